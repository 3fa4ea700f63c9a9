//! Lists of C strings: argv and envp as execve(2) wants them.
//!
//! All words of a list lie in one buffer, each ended by a NUL, so that a list costs one
//! allocation and many launches can share one environment.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

/// Words, each ended by a NUL, in one buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    bytes: Vec<u8>,
    count: usize,
    has_nul: bool,
}

impl Words {
    /// No words.
    pub fn new() -> Words {
        Words::default()
    }

    /// The environment that this process was started with, each word as it is. To be called
    /// where nobody changes it: minisup never does.
    pub fn inherited() -> Words {
        unsafe extern "C" {
            static environ: *const *const std::ffi::c_char;
        }
        let mut words = Words::new();
        // SAFETY: environ(7) is null or an array of C strings that ends with a null.
        unsafe {
            let mut next = environ;
            while !next.is_null() && !(*next).is_null() {
                words.push(OsStr::from_bytes(std::ffi::CStr::from_ptr(*next).to_bytes()));
                next = next.add(1);
            }
        }
        words
    }

    /// Adds a word. A NUL within it makes the launch fail with [`Stage::Arguments`](super::launch::Stage).
    pub fn push(&mut self, word: impl AsRef<OsStr>) {
        self.append(word.as_ref().as_bytes());
        self.end();
    }

    /// Adds `name=value`.
    pub fn push_variable(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        self.append(name.as_ref().as_bytes());
        self.bytes.push(b'=');
        self.append(value.as_ref().as_bytes());
        self.end();
    }

    /// Becomes the program that the first word names, looked for as execvp(3) does, in this environment. std's
    /// `Command` would be 20 kB of code more, for it knows a hundred other things.
    ///
    /// # Errors
    /// Always, for where it succeeds it does not return.
    pub fn exec(&self, environment: &Words) -> io::Error {
        if self.is_empty() || self.has_nul || environment.has_nul {
            return io::ErrorKind::InvalidInput.into();
        }
        let [argv, envp] = [self, environment]
            .map(|words| words.pointers().chain([std::ptr::null()]).collect::<Vec<*const libc::c_char>>());
        // SAFETY: both are arrays of C strings that end with a null, and live until then. Rust has SIGPIPE ignored,
        // which would be inherited.
        unsafe {
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            libc::execvpe(argv[0], argv.as_ptr(), envp.as_ptr());
        }
        io::Error::last_os_error()
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The words, without their NULs.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.split(|b| *b == 0).take(self.count)
    }

    /// The value of the variable `name`, if this is an environment and has it.
    pub fn variable(&self, name: &str) -> Option<&[u8]> {
        let of = |word| <[u8]>::strip_prefix(word, name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        self.iter().find_map(of)
    }

    /// The first word, as people read it.
    pub(super) fn first_lossy(&self) -> String {
        String::from_utf8_lossy(self.iter().next().unwrap_or(b"")).into_owned()
    }

    pub(super) fn has_nul(&self) -> bool {
        self.has_nul
    }

    /// Pointers to the words: good as long as `self` lives and is not changed.
    pub(super) fn pointers(&self) -> impl Iterator<Item = *const libc::c_char> {
        self.iter().map(|word| word.as_ptr().cast())
    }

    fn append(&mut self, bytes: &[u8]) {
        self.has_nul |= bytes.contains(&0);
        self.bytes.extend_from_slice(bytes);
    }

    fn end(&mut self) {
        self.bytes.push(0);
        self.count += 1;
    }
}

impl<W: AsRef<OsStr>> FromIterator<W> for Words {
    fn from_iter<I: IntoIterator<Item = W>>(words: I) -> Words {
        let mut list = Words::new();
        words.into_iter().for_each(|word| list.push(word));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_went_in() {
        let words: Words = ["a", "", "b c"].into_iter().collect();
        assert_eq!(words.iter().collect::<Vec<_>>(), [&b"a"[..], b"", b"b c"]);
        assert_eq!(words.len(), 3);
        assert_eq!(Words::new().iter().count(), 0);
    }

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let mut words = Words::new();
        words.push_variable("PATHS", "/no");
        words.push_variable("PATH", "/bin:/usr/bin");
        assert_eq!(words.variable("PATH"), Some(&b"/bin:/usr/bin"[..]));
        assert_eq!(words.variable("PAT"), None);
    }

    #[test]
    fn a_nul_within_a_word_is_noticed() {
        assert!(["a\0b"].into_iter().collect::<Words>().has_nul());
        assert!(!["a", "b"].into_iter().collect::<Words>().has_nul());
    }
}
