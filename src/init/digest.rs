//! SHA-256: by what we know a script, or a value that must not be written down, again.

use sha2::{Digest, Sha256};
use std::io::{self, Read};

/// The SHA-256 of everything that comes, in hexadecimal digits, and how many bytes it was.
///
/// # Errors
/// Those of reading.
pub fn of(mut from: impl Read) -> io::Result<(String, u64)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut count = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok((hex(&hash.finalize()), count)),
            Ok(read) => {
                hash.update(&buffer[..read]);
                count += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_digest_is_that_of_fips_180_2() {
        let (abc, count) = super::of(&b"abc"[..]).unwrap();
        assert_eq!(abc, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(count, 3);
    }
}
