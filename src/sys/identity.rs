//! setuid(2), setgid(2), setgroups(2): becoming somebody else, for minisup itself. What a
//! child becomes is in `child`.

use crate::core::plan::Credentials;
use nix::errno::Errno;
use nix::unistd::{
    Gid, Uid, getegid, geteuid, getgroups, setfsgid, setfsuid, setgroups, setresgid, setresuid,
};

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

/// Does something as the file system would let this user do it: whether a file can be opened is asked by opening
/// it. Only for root, who becomes itself again, and only what a process does with files changes, not who may signal it
/// (setfsuid(2)). Nobody, and anyone who is not root, does it as itself.
pub fn as_seen_by<T>(who: Option<&Credentials>, act: impl FnOnce() -> T) -> T {
    /// Ourselves again, even if `act` panics.
    struct Back(Uid, Gid, Vec<Gid>);
    impl Drop for Back {
        fn drop(&mut self) {
            setfsuid(self.0);
            setfsgid(self.1);
            // It was refused before, too.
            let _ = setgroups(&self.2);
        }
    }
    let Some(who) = who.filter(|_| geteuid().is_root()) else { return act() };
    let _back = Back(geteuid(), getegid(), getgroups().unwrap_or_default());
    let groups: Vec<Gid> = who.groups.iter().copied().map(Gid::from_raw).collect();
    // Where there is a user namespace that refuses it, groups are of no use to it either.
    let _ = setgroups(&groups);
    setfsgid(Gid::from_raw(who.gid));
    setfsuid(Uid::from_raw(who.uid));
    act()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_seen_as_another_user_sees_it() {
        if !geteuid().is_root() {
            return;
        }
        let path = std::env::temp_dir().join(format!("minisup-identity-{}", std::process::id()));
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let nobody = Credentials { uid: 65_534, gid: 65_534, groups: Box::new([65_534]) };
        let member = Credentials { groups: Box::new([0]), ..nobody.clone() };
        let reads = |who: Option<&Credentials>| as_seen_by(who, || fs::read(&path).is_ok());
        assert_eq!([reads(Some(&nobody)), reads(Some(&member)), reads(None)], [false, true, true]);
        assert!(fs::read(&path).is_ok(), "we are ourselves again");
        fs::remove_file(&path).unwrap();
    }
}
