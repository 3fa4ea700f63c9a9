//! madvise(2): what only boot needed goes back to the kernel.
//!
//! Reading arguments and configuration touches most of the program once; PID 1 then lives for
//! months in a small part of it. What nobody else uses of a mapped program counts as our
//! memory until the kernel is short of it, so we hand it back ourselves: whatever is needed
//! again comes from the page cache, sixteen pages at a time. With one service it is the difference between 3 MB
//! and 0.7 MB.
//!
//! What it costs: the first stop takes some ten page faults, when the page cache still has the program; if it does not,
//! reads from a disk. They were thirty-three while functions lay as they were compiled; now what PID 1 does when
//! all is up lies side by side (`benches/functions.ld`). To leave that mapped would not hold it for sure: a
//! kernel short of memory takes mapped pages of files, too, and only mlock(2) would hold them, which a
//! container's limits may forbid.
//!
//! When: once all is done and the loop is about to fall asleep, from within its last step before epoll_wait(2).
//! Handed back a step earlier, the way from there to the kernel alone would bring a quarter of it (0.75 MB) back.
//!
//! Only segments that cannot be written are handed back. The others hold relocated pointers
//! and variables, which are in no file.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// auxv(3): the size of one program header, for which libc has no name.
const AT_PHENT: libc::c_ulong = 4;

/// Asks for [`give_back`] before the loop sleeps the next time: when boot is over, and when a configuration has
/// been read again.
pub fn give_back_before_sleep() {
    IS_ASKED.store(true, Relaxed);
}

/// The loop is about to sleep.
pub fn before_sleep() {
    if IS_ASKED.swap(false, Relaxed) {
        give_back();
    }
}

static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// Hands back the unused heap, the stacks that launches stood on, and the pages of the program itself. A kernel
/// that refuses leaves everything as it was.
pub fn give_back() {
    super::stack::Stack::release_free();
    // SAFETY: gives free memory of the allocator back; touches nothing that is in use.
    unsafe { libc::malloc_trim(0) };
    let page = page_size();
    for segment in unwritable_segments() {
        // The first and last page may be shared with a segment that can be written.
        let start = segment.start.next_multiple_of(page);
        let end = segment.end / page * page;
        if start < end {
            // SAFETY: a private mapping of a file that nobody could have written to: the next
            // touch reads the same bytes from the file again.
            unsafe { libc::madvise(start as *mut c_void, end - start, libc::MADV_DONTNEED) };
        }
    }
}

/// How many bytes a page of memory has.
pub(super) fn page_size() -> usize {
    // SAFETY: asks for a number.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// Where the program itself lies in memory, without what can be written (elf(5), getauxval(3)).
fn unwritable_segments() -> impl Iterator<Item = std::ops::Range<usize>> {
    // SAFETY: asks for numbers that the kernel gave us at exec; 0 where it gave none.
    let value = |kind| unsafe { libc::getauxval(kind) };
    let (at, count, size) = (value(libc::AT_PHDR), value(libc::AT_PHNUM), value(AT_PHENT));
    let is_known = at != 0 && size == size_of::<libc::Elf64_Phdr>() as u64;
    let headers: &[libc::Elf64_Phdr] = if is_known {
        // SAFETY: the kernel says that so many headers of this size lie there; they are mapped as
        // part of the program, for as long as it runs, and never written.
        unsafe { std::slice::from_raw_parts(at as *const libc::Elf64_Phdr, count as usize) }
    } else {
        &[]
    };
    // A position-independent program says where it meant its headers to be; others lie where they say.
    let own = headers.iter().find(|header| header.p_type == libc::PT_PHDR);
    let bias = own.map_or(0, |header| at.wrapping_sub(header.p_vaddr));
    let is_unwritable = |h: &&libc::Elf64_Phdr| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W == 0;
    headers.iter().filter(is_unwritable).map(move |header| {
        let start = bias.wrapping_add(header.p_vaddr) as usize;
        start..start + header.p_memsz as usize
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_that_runs_lies_in_what_is_handed_back() {
        let here = give_back as *const () as usize;
        assert!(unwritable_segments().any(|segment| segment.contains(&here)));
    }

    #[test]
    fn nothing_that_can_be_written_is_handed_back() {
        static VARIABLE: std::sync::Mutex<u8> = std::sync::Mutex::new(1);
        let there = &raw const VARIABLE as usize;
        assert!(!unwritable_segments().any(|segment| segment.contains(&there)));
    }

    #[test]
    fn afterwards_there_is_less_and_everything_still_works() {
        let words: Vec<String> = (0..1000).map(|n| format!("word {n}")).collect();
        let Some(before) = resident() else { return };
        give_back();
        let after = resident().expect("it was there before");
        assert!(after < before, "{after} kB after, {before} kB before");
        assert_eq!(words.concat().len(), words.iter().map(String::len).sum::<usize>());
    }

    /// Resident kB of the program's own file, from smaps (proc(5)); `None` without /proc.
    fn resident() -> Option<usize> {
        let program = std::env::current_exe().ok()?;
        let smaps = std::fs::read_to_string("/proc/self/smaps").ok()?;
        let mut is_ours = false;
        let mut sum = 0;
        for line in smaps.lines() {
            let first = line.split_whitespace().next()?;
            if !first.ends_with(':') {
                is_ours = line.ends_with(program.to_str()?);
            } else if first == "Rss:" && is_ours {
                sum += line.split_whitespace().nth(1)?.parse::<usize>().ok()?;
            }
        }
        Some(sum)
    }
}
