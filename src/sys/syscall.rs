//! syscall(2) without libc: for the child, which shares our memory and with it our `errno`.
//!
//! Each returns what the kernel returns: a value, or a negative error number.

#[cfg(target_arch = "x86_64")]
use std::arch::asm;

#[cfg(target_arch = "aarch64")]
use std::arch::asm;

/// A system call with up to five arguments; unused ones are 0.
///
/// # Safety
/// As the system call's manual page has it. Touches no memory but through the arguments.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn call(number: libc::c_long, a: usize, b: usize, c: usize, d: usize, e: usize) -> isize {
    let result: isize;
    // SAFETY: the registers are those of the x86-64 calling convention of syscall(2); the
    // instruction clobbers rcx and r11 only. The arguments are the caller's duty.
    unsafe {
        asm!("syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _,
            options(nostack));
    }
    result
}

/// A system call with up to five arguments; unused ones are 0.
///
/// # Safety
/// As the system call's manual page has it. Touches no memory but through the arguments.
#[inline(always)]
#[cfg(target_arch = "aarch64")]
pub(super) unsafe fn call(number: libc::c_long, a: usize, b: usize, c: usize, d: usize, e: usize) -> isize {
    let result: isize;
    // SAFETY: the registers are those of the arm64 calling convention of syscall(2), which
    // clobbers x0 only. The arguments are the caller's duty.
    unsafe {
        asm!("svc 0",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            options(nostack));
    }
    result
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("minisup knows the system calls of x86_64 and aarch64 only");

/// A system call: `sys!(SYS_chdir, path)`.
macro_rules! sys {
    ($number:ident) => { sys!($number, 0) };
    ($number:ident, $a:expr) => { sys!($number, $a, 0) };
    ($number:ident, $a:expr, $b:expr) => { sys!($number, $a, $b, 0) };
    ($number:ident, $a:expr, $b:expr, $c:expr) => { sys!($number, $a, $b, $c, 0) };
    ($number:ident, $a:expr, $b:expr, $c:expr, $d:expr) => { sys!($number, $a, $b, $c, $d, 0) };
    ($number:ident, $a:expr, $b:expr, $c:expr, $d:expr, $e:expr) => {
        $crate::sys::syscall::call(
            libc::$number, $a as usize, $b as usize, $c as usize, $d as usize, $e as usize,
        )
    };
}
pub(super) use sys;
