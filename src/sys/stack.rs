//! mmap(2): what a child stands on between clone and exec.
//!
//! A few pages with a guard page below. Stacks are used again, so that a thousand launches
//! touch no more memory than the few that are on their way at once.

use std::io;
use std::ptr;
use std::sync::{Mutex, PoisonError};

/// The child calls nothing but the kernel; a debug build needs some 3 KiB.
const ROOM: usize = 12 * 1024;
/// More than these are given back to the kernel.
const KEPT: usize = 16;

static FREE: Mutex<Vec<Stack>> = Mutex::new(Vec::new());

/// One stack, ours alone until dropped.
#[derive(Debug)]
pub(super) struct Stack {
    bottom: usize,
    size: usize,
}

impl Stack {
    /// One from the free list, or a new one.
    pub(super) fn take() -> io::Result<Stack> {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.map_or_else(Stack::map, Ok)
    }

    /// Where a stack that grows down begins; 16-aligned.
    pub(super) fn top(&self) -> *mut libc::c_void {
        (self.bottom + self.size) as *mut libc::c_void
    }

    /// Back to the free list. Nobody may stand on it any more.
    pub(super) fn give_back(self) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(self);
        }
    }

    /// Unmaps all free ones: after boot, few are needed at once.
    pub(super) fn release_free() {
        FREE.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn map() -> io::Result<Stack> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let writable = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let size = page + ROOM.next_multiple_of(page);
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing of ours.
        let bottom = unsafe { libc::mmap(ptr::null_mut(), size, writable, flags, -1, 0) };
        if bottom == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Stack { bottom: bottom as usize, size };
        // SAFETY: the lowest page of the mapping that was just made. Should it fail
        // there is no guard page, and still enough stack.
        unsafe { libc::mprotect(bottom, page, libc::PROT_NONE) };
        Ok(stack)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the whole mapping that `map` made; we own it and nobody stands on it.
        unsafe { libc::munmap(self.bottom as *mut libc::c_void, self.size) };
    }
}
