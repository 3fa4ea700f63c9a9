//! setuid(2), setgid(2), setgroups(2): becoming somebody else, for minisup itself. What a
//! child becomes is in `child`.

use crate::core::plan::Credentials;
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

/// Becomes this user, for good: real, effective and saved.
///
/// # Errors
/// EPERM: we are not root.
pub fn assume(who: &Credentials) -> Result<(), Errno> {
    let groups: Vec<Gid> = who.groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(who.uid), Gid::from_raw(who.gid));
    setgroups(&groups)?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}
