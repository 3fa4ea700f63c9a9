//! When there is nothing to do, nothing is done.

use crate::needs_namespaces;
use crate::stage::{Place, Run, supervise};
use crate::support::wait_until;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// How often the kernel has given minisup the processor, and taken it away.
fn switches(run: &Run) -> (String, String) {
    (run.field("voluntary_ctxt_switches"), run.field("nonvoluntary_ctxt_switches"))
}

/// Watches a process for as long: its end would be seen. The time is what is tested here.
fn watch_for_ten_seconds(pid: i32) {
    // SAFETY: numbers only; the new descriptor is ours alone.
    let pidfd = unsafe { OwnedFd::from_raw_fd(libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32) };
    let mut polled = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd of ours.
    assert_eq!(unsafe { libc::poll(&mut polled, 1, 10_000) }, 0, "it has ended");
}

#[test]
fn idle_with_a_hundred_services_it_does_not_wake_up() {
    needs_namespaces!();
    let mut config = String::new();
    for n in 0..100 {
        config += &format!("[service.s{n}]\ncommand = ['sleep', '10000']\n");
    }
    let mut run = supervise(Place::Pid1, &config).start();
    run.said("all is up");
    // What Up itself gives to do is done when it sleeps.
    let mut before = switches(&run);
    wait_until("it sleeps", || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        std::mem::replace(&mut before, switches(&run)) == switches(&run)
    });
    watch_for_ten_seconds(run.pid());
    assert_eq!(switches(&run), before, "(voluntary, involuntary)");
    run.stops_with(0);
}
