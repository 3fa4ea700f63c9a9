//! Which descriptors the child has: the ones that it is given, each at its number, and nothing else of ours.
//!
//! A table that it shares with us is left first ([`part`]); what is not for it is closed last ([`close_gaps`]), for what
//! it is given may lie there.

use super::{Failure, PARTED, Report, Task, failed, ok};
use crate::sys::stage::Stage;
use crate::sys::syscall::sys;
use std::ffi::{c_int, c_uint};

/// Makes the descriptors below the number the child's own, without a look at the others, and says so. Where the kernel
/// refuses after all, it copies them all (unshare(2)).
pub(super) unsafe fn part(task: &Task) -> Result<(), Failure> {
    let parted = Report { stage: PARTED, errno: 0, detail: 0 };
    // SAFETY: see `steps`.
    unsafe {
        let refused = sys!(SYS_close_range, task.part_at, c_uint::MAX, libc::CLOSE_RANGE_UNSHARE) < 0;
        if refused {
            ok!(Descriptors, task.part_at, sys!(SYS_unshare, libc::CLONE_FILES));
        }
        sys!(SYS_write, task.report, &raw const parted, size_of::<Report>());
    }
    Ok(())
}

/// Puts each descriptor at its number; what lies in the way of another is lifted above all of them first.
pub(super) unsafe fn place(task: *mut Task) -> Result<(), Failure> {
    // SAFETY: see `steps`; indices stay below `count`.
    unsafe {
        let moves = &(*task).moves;
        let above = (*task).above;
        if (*task).report < above {
            (*task).report = ok!(Descriptors, lift((*task).report, above)) as c_int;
        }
        let mut i = 0;
        while i < moves.count {
            let step = &mut *moves.items.add(i);
            if step.lift {
                step.from = ok!(Descriptors, step.to, lift(step.from, above)) as c_int;
            }
            i = i.wrapping_add(1);
        }
        i = 0;
        while i < moves.count {
            let step = &*moves.items.add(i);
            let result = if step.from == step.to {
                sys!(SYS_fcntl, step.to, libc::F_SETFD, 0)
            } else {
                sys!(SYS_dup3, step.from, step.to, 0)
            };
            if i < (*task).stdio {
                ok!(Stdio, step.to, result);
            } else {
                ok!(Descriptors, step.to, result);
            }
            i = i.wrapping_add(1);
        }
    }
    Ok(())
}

unsafe fn lift(fd: c_int, above: c_int) -> isize {
    // SAFETY: see `steps`.
    unsafe { sys!(SYS_fcntl, fd, libc::F_DUPFD_CLOEXEC, above) }
}

/// Closes what is not for the child at once: until exec does it, it could wait for a file system, and who else
/// waits for the end of a pipe would wait with it.
pub(super) unsafe fn close_gaps(task: &Task) {
    // SAFETY: see `steps`; the index stays below `count`.
    unsafe {
        let mut i = 0;
        while i < task.gaps.count {
            let [first, last] = *task.gaps.items.add(i);
            let is_within = first <= task.report && task.report <= last;
            if is_within {
                close(first, task.report.wrapping_sub(1));
                close(task.report.wrapping_add(1), last);
            } else {
                close(first, last);
            }
            i = i.wrapping_add(1);
        }
    }
}

unsafe fn close(first: c_int, last: c_int) {
    // SAFETY: see `steps`. From more to less the kernel refuses.
    unsafe { sys!(SYS_close_range, first, last, 0) };
}
