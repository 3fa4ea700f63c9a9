//! Where the socket is: one list, read from its beginning by the supervisor, which takes the
//! first place that it may have, and by clients, which take the first where somebody listens.
//!
//! The configured place is the first. Where that cannot be written (a read-only root, another
//! user): `$XDG_RUNTIME_DIR/minisup.sock`, then the directory for temporary files. That one
//! may be shared by users and by containers, so the name has our user and our PID namespace in it.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the socket is if nobody says something else.
pub const DEFAULT: &str = "/run/minisup.sock";

/// The places for a supervisor that runs as this user, best first.
pub fn of_supervisor(configured: &Path, uid: u32) -> Vec<PathBuf> {
    let mut places = vec![configured.to_owned()];
    places.extend(runtime_directory());
    places.push(temporary(uid));
    places
}

/// Where a client that runs as this user looks: where a supervisor of the same user would
/// listen, then where one that runs as PID 1's user would.
pub fn of_client(configured: &Path, uid: u32) -> Vec<PathBuf> {
    let mut places = of_supervisor(configured, uid);
    if let Ok(first) = std::fs::metadata("/proc/1")
        && first.uid() != uid
    {
        places.push(temporary(first.uid()));
    }
    places
}

fn runtime_directory() -> Option<PathBuf> {
    let directory = std::env::var_os("XDG_RUNTIME_DIR").filter(|text: &OsString| !text.is_empty())?;
    Some(Path::new(&directory).join("minisup.sock"))
}

fn temporary(uid: u32) -> PathBuf {
    // `pid:[4026531836]`; without /proc the user has to be enough.
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let namespace: String = link.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    let name = match namespace.as_str() {
        "" => format!("minisup-{uid}.sock"),
        namespace => format!("minisup-{uid}-{namespace}.sock"),
    };
    std::env::temp_dir().join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_looks_where_the_supervisor_would_listen_and_in_the_same_order() {
        let own = of_supervisor(Path::new(DEFAULT), 1000);
        assert_eq!(own[0], Path::new(DEFAULT));
        assert!(own.last().unwrap().to_str().unwrap().contains("minisup-1000"));
        assert_eq!(of_client(Path::new(DEFAULT), 1000)[..own.len()], own);
    }
}
