//! Two functions of glibc that the static binary has its own versions of.
//!
//! A static program carries whatever its functions refer to, needed or not. glibc's
//! assertions bring the translation of messages, wide characters and character set
//! conversion; its pthread_getattr_np brings scanf, with four kinds of floating point.
//! Ours bring nothing: the binary is 170 kB smaller. (Linked dynamically, as in tests,
//! all that is there anyway, and these two are not.)
//!
//! If glibc ever refers to its own in another way, the linker sees two of a kind and stops.

use std::ffi::{CStr, c_char, c_int, c_uint};

/// assert(3): glibc has found its own data damaged. Says where, as glibc does, and aborts.
///
/// # Safety
/// glibc calls it with C strings, or null.
#[unsafe(no_mangle)]
unsafe extern "C" fn __assert_fail(
    what: *const c_char,
    file: *const c_char,
    _line: c_uint,
    _function: *const c_char,
) -> ! {
    for word in [text(file), b": assertion failed: ", text(what), b"\n"] {
        // SAFETY: the bytes are there. Nothing is allocated here: it may be malloc that failed.
        unsafe { libc::write(2, word.as_ptr().cast(), word.len()) };
    }
    // SAFETY: takes no argument.
    unsafe { libc::abort() }
}

/// pthread_getattr_np(3): Rust asks it where the main thread's stack ends, which glibc finds
/// out by reading the whole of /proc/self/maps. We do without: a stack that overflows is
/// a plain SIGSEGV, and each start is some system calls shorter.
#[unsafe(no_mangle)]
extern "C" fn pthread_getattr_np(_: libc::pthread_t, _: *mut libc::pthread_attr_t) -> c_int {
    libc::ENOSYS
}

fn text<'a>(words: *const c_char) -> &'a [u8] {
    if words.is_null() {
        return b"?";
    }
    // SAFETY: not null, so a C string; glibc's are constants.
    unsafe { CStr::from_ptr(words) }.to_bytes()
}
