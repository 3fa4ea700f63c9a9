//! proc(5): who listens at an address, for a message. Where /proc does not tell, nobody is named.

use crate::core::socket::SocketAddress;
use std::fs;
use std::net::{IpAddr, SocketAddr};

/// "nginx (pid 12)", if that can be told.
pub(super) fn of(address: &SocketAddress) -> Option<String> {
    let inode = match address {
        SocketAddress::Tcp(address) => inode_of_tcp(*address)?,
        SocketAddress::Unix(path) => inode_of_unix(path.to_str()?)?,
    };
    let wanted = format!("socket:[{inode}]");
    let number = |entry: &fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let processes = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| number(&entry));
    for pid in processes {
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        let is_it = |file: fs::DirEntry| {
            fs::read_link(file.path()).is_ok_and(|target| target.to_str() == Some(wanted.as_str()))
        };
        if open.flatten().any(is_it) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

/// The number of the socket that listens there. A listener on all addresses holds the port of each.
fn inode_of_tcp(address: SocketAddr) -> Option<String> {
    const LISTENS: &str = "0A";
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let mut candidates = lines.filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (ip, port) = fields.nth(1)?.split_once(':')?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?;
        let is_here = u16::from_str_radix(port, 16) == Ok(address.port()) && state == LISTENS;
        let is_any = ip.bytes().all(|byte| byte == b'0');
        let same = is_any || address.ip().is_unspecified() || ip == in_hex(address.ip());
        (is_here && same).then(|| inode.to_owned())
    });
    candidates.next()
}

/// As /proc/net has it: words of 32 bits, each in the machine's own order of bytes.
fn in_hex(ip: IpAddr) -> String {
    let word = |bytes: &[u8]| {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        format!("{:08X}", u32::from_ne_bytes(bytes))
    };
    match ip {
        IpAddr::V4(ip) => word(&ip.octets()),
        IpAddr::V6(ip) => ip.octets().chunks(4).map(word).collect(),
    }
}

fn inode_of_unix(path: &str) -> Option<String> {
    // "0000: 00000002 00000000 00010000 0001 01 12345 /run/x.sock": 00010000 is a listener's flag.
    let table = fs::read_to_string("/proc/net/unix").ok()?;
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let (flags, inode) = (fields.nth(3)?, fields.nth(2)?);
        (flags == "00010000" && fields.next() == Some(path)).then(|| inode.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_look_as_the_kernel_writes_them() {
        let own = |word: u32| format!("{:08X}", u32::from_ne_bytes(word.to_be_bytes()));
        assert_eq!(in_hex("127.0.0.1".parse().unwrap()), own(0x7f00_0001));
        assert_eq!(in_hex("::1".parse().unwrap()), own(0) + &own(0) + &own(0) + &own(1));
    }
}
