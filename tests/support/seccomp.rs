//! seccomp(2): a kernel, or a container engine, that does not know newer system calls.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What the house treats as optional: each must have a fallback.
pub const NEWER: [i64; 6] = [
    libc::SYS_pidfd_open,
    libc::SYS_clone3,
    libc::SYS_close_range,
    libc::SYS_openat2,
    libc::SYS_statx,
    libc::SYS_epoll_pwait2,
];

/// A filter: these system calls answer with this error, all others are as ever.
#[derive(Clone, Debug)]
pub struct Filter {
    program: Vec<libc::sock_filter>,
    hangs: bool,
}

impl Filter {
    /// ENOSYS: an old kernel. EPERM: an old container engine on a newer one.
    pub fn new(calls: &[i64], errno: i32) -> Filter {
        Filter::answering(calls, libc::SECCOMP_RET_ERRNO | errno as u32)
    }

    /// No process may share another's memory (clone(2) with CLONE_VM): like a sandbox that
    /// has its own idea of processes.
    pub fn without_shared_memory(errno: i32) -> Filter {
        let mut filter = Filter::new(&[libc::SYS_clone], errno);
        // [load number] [is it clone?] [allow] [refuse]: between the last two questions, the
        // flags, which are the low half of the first argument.
        let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
        filter.program[1].jt = 0;
        filter.program[1].jf = 2;
        let flags = step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 16);
        let shares = step(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 1, 0, libc::CLONE_VM as u32);
        filter.program.splice(2..2, [flags, shares]);
        filter
    }

    fn answering(calls: &[i64], answer: u32) -> Filter {
        const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
        const IS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
        let step = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
        // The number is the first word of seccomp_data. Each hit jumps over the other
        // questions and the permission to the refusal.
        let mut program = vec![step(LOAD, 0, 0)];
        for (i, call) in calls.iter().enumerate() {
            program.push(step(IS, (calls.len() - i) as u8, *call as u32));
        }
        program.push(step(ANSWER, 0, libc::SECCOMP_RET_ALLOW));
        program.push(step(ANSWER, 0, answer));
        Filter { program, hangs: false }
    }

    /// These calls never answer, as on a file system that is dead, whoever makes them under it.
    pub fn hanging(calls: &[i64]) -> Filter {
        Filter { hangs: true, ..Filter::answering(calls, libc::SECCOMP_RET_USER_NOTIF) }
    }

    /// This system call answers this error when its argument (counted from 0) is that number.
    pub fn when(call: i64, argument: u32, is: u32, errno: i32) -> Filter {
        const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
        const IS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
        let step = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
        // Arguments begin after the number, the architecture and the instruction pointer.
        let program = vec![
            step(LOAD, 0, 0),
            step(IS, 3, call as u32),
            step(LOAD, 0, 16 + 8 * argument),
            step(IS, 1, is),
            step(ANSWER, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
            step(ANSWER, 0, libc::SECCOMP_RET_ALLOW),
        ];
        Filter { program, hangs: false }
    }

    /// Puts the calling process under it: system calls only, so it may be done after fork.
    pub fn apply(&self) -> std::io::Result<()> {
        let program =
            libc::sock_fprog { len: self.program.len() as u16, filter: self.program.as_ptr().cast_mut() };
        // SAFETY: a filter that lives through the call. Without CAP_SYS_ADMIN the kernel wants
        // no_new_privs first.
        unsafe {
            let mode = libc::SECCOMP_MODE_FILTER;
            if self.hangs {
                // Who could answer and does not: open for as long as we live, whatever we become.
                let (set, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
                let listener = libc::syscall(libc::SYS_seccomp, set, flags, &program) as i32;
                return match listener >= 0 && libc::fcntl(listener, libc::F_SETFD, 0) == 0 {
                    true => Ok(()),
                    false => Err(std::io::Error::last_os_error()),
                };
            }
            if libc::prctl(libc::PR_SET_SECCOMP, mode, &program) == 0 {
                return Ok(());
            }
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            match libc::prctl(libc::PR_SET_SECCOMP, mode, &program) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        }
    }
}

/// System calls that hang until they are answered, as on a dead file system.
pub struct Hanging {
    listener: OwnedFd,
}

impl Hanging {
    /// These calls, from now on, of the calling thread and all that it launches. `None`
    /// before Linux 5.0.
    pub fn new(calls: &[i64]) -> Option<Hanging> {
        let filter = Filter::answering(calls, libc::SECCOMP_RET_USER_NOTIF);
        let program =
            libc::sock_fprog { len: filter.program.len() as u16, filter: filter.program.as_ptr().cast_mut() };
        // SAFETY: a filter that lives through the call; the new descriptor is ours alone.
        unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
            let fd = libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &program) as i32;
            (fd >= 0).then(|| Hanging { listener: OwnedFd::from_raw_fd(fd) })
        }
    }

    /// Answers as many calls that hang, or will, with this error.
    pub fn answer(&self, count: usize, errno: i32) {
        self.respond(count, -errno, 0);
    }

    /// Lets as many calls that hang, or will, go on to the kernel (since Linux 5.5).
    pub fn let_go(&self, count: usize) {
        self.respond(count, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32);
    }

    fn respond(&self, count: usize, error: i32, flags: u32) {
        let mut answered = 0;
        while answered < count {
            // SAFETY: all bytes zero is a seccomp_notif, and the kernel wants it so.
            let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
            if !self.control(libc::SECCOMP_IOCTL_NOTIF_RECV, &mut call) {
                continue;
            }
            let mut answer = libc::seccomp_notif_resp { id: call.id, val: 0, error, flags };
            answered += usize::from(self.control(libc::SECCOMP_IOCTL_NOTIF_SEND, &mut answer));
        }
    }

    /// Whether it was done: not if the process has died in the meantime (seccomp_unotify(2)).
    fn control<T>(&self, request: libc::Ioctl, argument: &mut T) -> bool {
        loop {
            // SAFETY: an argument of the request's type.
            let done = unsafe { libc::ioctl(self.listener.as_raw_fd(), request, &raw mut *argument) } == 0;
            let error = std::io::Error::last_os_error();
            match error.raw_os_error() {
                _ if done => return true,
                // A signal came to us: an answer that is not sent again would hang for ever.
                Some(libc::EINTR) => {}
                Some(libc::ENOENT) => return false,
                _ => panic!("{error}"),
            }
        }
    }
}

/// Makes the command run, with all that it launches, where the [`NEWER`] calls answer `errno`.
pub fn refuse(command: &mut Command, errno: i32) -> &mut Command {
    let filter = Filter::new(&NEWER, errno);
    // SAFETY: `apply` makes system calls only.
    unsafe { command.pre_exec(move || filter.apply()) }
}
