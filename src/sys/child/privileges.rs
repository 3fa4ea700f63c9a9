//! Who the child is, and what it may: limits, user and groups, capabilities; and where it stands.
//!
//! The order is the kernel's: bounds are set while we still may, the user is changed, and what is kept beyond that is
//! raised again; the directory comes last, for it is the user who must be able to enter it.

use super::{Extra, Failure, Identity, failed, limit, ok};
use crate::sys::stage::Stage;
use crate::sys::syscall::sys;
use std::ffi::c_int;

const LAST_CAPABILITY: c_int = 63;

/// Sets all of it, in that order.
pub(super) unsafe fn assume(extra: &Extra) -> Result<(), Failure> {
    // SAFETY: see `steps`.
    unsafe {
        if let Some(mask) = extra.umask {
            sys!(SYS_umask, mask);
        }
        if let Some(nice) = extra.nice {
            ok!(Nice, nice, sys!(SYS_setpriority, libc::PRIO_PROCESS, 0, nice));
        }
        if extra.oom_score.count > 0 {
            let path = c"/proc/self/oom_score_adj".as_ptr();
            let file =
                ok!(OomScore, sys!(SYS_openat, libc::AT_FDCWD, path, libc::O_WRONLY | libc::O_CLOEXEC));
            ok!(OomScore, sys!(SYS_write, file, extra.oom_score.items, extra.oom_score.count));
            sys!(SYS_close, file);
        }
        let mut i = 0;
        while i < extra.limits.count {
            let (resource, values) = &*extra.limits.items.add(i);
            limit(*resource, values)?;
            i = i.wrapping_add(1);
        }
        if let Some(kept) = extra.capabilities {
            bound(kept)?;
            if kept != 0 && extra.identity.is_some() {
                ok!(Capabilities, -1, sys!(SYS_prctl, libc::PR_SET_KEEPCAPS, 1));
            }
        }
        if let Some(identity) = &extra.identity {
            become_user(identity)?;
        }
        if let Some(kept) = extra.capabilities {
            keep(kept)?;
        }
        if extra.no_new_privileges {
            ok!(NoNewPrivileges, sys!(SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1));
        }
        if !extra.directory.is_null() {
            ok!(Directory, sys!(SYS_chdir, extra.directory));
        }
    }
    Ok(())
}

unsafe fn become_user(identity: &Identity) -> Result<(), Failure> {
    let groups = &identity.groups;
    // SAFETY: see `steps`.
    unsafe {
        let result = sys!(SYS_setgroups, groups.count, groups.items);
        if !(identity.already && result == -(libc::EPERM as isize)) {
            ok!(Groups, result);
        }
        ok!(Group, identity.gid as i32, sys!(SYS_setgid, identity.gid));
        ok!(User, identity.uid as i32, sys!(SYS_setuid, identity.uid));
    }
    Ok(())
}

/// Drops all capabilities but these from the bounding set.
unsafe fn bound(kept: u64) -> Result<(), Failure> {
    let mut number: c_int = 0;
    while number <= LAST_CAPABILITY {
        // SAFETY: see `steps`.
        unsafe {
            // 0: is dropped already. Negative: there is no such capability, nor any after it.
            let bounding = sys!(SYS_prctl, libc::PR_CAPBSET_READ, number);
            if bounding < 0 {
                break;
            }
            if bounding == 1 && (kept >> number) & 1 == 0 {
                ok!(Capabilities, number, sys!(SYS_prctl, libc::PR_CAPBSET_DROP, number));
            }
        }
        number = number.wrapping_add(1);
    }
    Ok(())
}

/// Makes these, and no others, permitted, effective, inheritable and ambient.
unsafe fn keep(kept: u64) -> Result<(), Failure> {
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    let (low, high) = (kept as u32, (kept >> 32) as u32);
    let data: [u32; 6] = [low, low, low, high, high, high];
    // SAFETY: see `steps`.
    unsafe {
        ok!(Capabilities, -1, sys!(SYS_capset, header.as_ptr(), data.as_ptr()));
        // Before Linux 4.3 there are none, and then there is nothing to clear.
        sys!(SYS_prctl, libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        let mut number: c_int = 0;
        while number <= LAST_CAPABILITY {
            if (kept >> number) & 1 == 1 {
                let raise = libc::PR_CAP_AMBIENT_RAISE;
                ok!(Capabilities, number, sys!(SYS_prctl, libc::PR_CAP_AMBIENT, raise, number, 0, 0));
            }
            number = number.wrapping_add(1);
        }
    }
    Ok(())
}
