//! What is done if we ourselves are at fault.
//!
//! A panic in PID 1 must not be its end: the kernel would kill every database in the
//! container with it. It is caught once, around the loop; then everything is stopped with
//! what needs little state: TERM to all, the shutdown timeout, KILL. Until then somebody has to
//! take what they write: who writes to a pipe that nobody reads is killed by SIGPIPE in the
//! middle of its orderly end.

use super::turn::{LAST_LINES, LAST_READERS, Turn};
use crate::core::signal::Signal;
use crate::log::Pump;
use crate::sys::{clock, reap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Runs the loop; `None` if it panicked, and everything has been stopped.
pub(super) fn guard(turn: &mut Turn, timeout: Duration, run: impl FnOnce(&mut Turn) -> u8) -> Option<u8> {
    match catch_unwind(AssertUnwindSafe(|| run(turn))) {
        Ok(code) => Some(code),
        Err(_) => {
            log::error!("this is a fault of minisup itself: stopping everything");
            stop_everything(turn, timeout);
            None
        }
    }
}

fn stop_everything(turn: &mut Turn, timeout: Duration) {
    let mut pump = Some(&mut turn.pump);
    // What panicked may be the pump itself: then it is let alone.
    let mut with_pump = |work: fn(&mut Pump)| {
        let works =
            pump.as_deref_mut().is_some_and(|pump| catch_unwind(AssertUnwindSafe(|| work(pump))).is_ok());
        if !works {
            pump = None;
        }
    };
    let kill_at = clock::now() + timeout;
    turn.sweep.signal(Signal::TERM);
    // Who has been stopped takes it only when it goes on.
    turn.sweep.signal(Signal::CONT);
    while turn.sweep.is_anybody_left() {
        while reap::any().is_some() {}
        if clock::now() >= kill_at {
            turn.sweep.signal(Signal::KILL);
        }
        if clock::now() >= kill_at + Duration::from_secs(1) {
            break;
        }
        with_pump(Pump::turn);
        clock::pause(Duration::from_millis(10));
    }
    with_pump(|pump| pump.finish(LAST_LINES));
    // Nobody is to look for us where we are no more.
    let _ = catch_unwind(AssertUnwindSafe(|| turn.clients.finish(Duration::ZERO)));
    turn.sweep.let_readers_end(LAST_READERS);
}

#[cfg(test)]
mod tests {
    use super::super::{Origin, boot};
    use super::*;
    use crate::config;
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::rc::Rc;

    const INSIDE: &str = "MINISUP_RESCUE_TEST";

    /// One who ends when asked, one who has stopped itself, one who must be killed, and their
    /// orphans.
    const SERVICES: &str = r#"
        supervisor.shutdown_timeout = "500ms"

        [service.good]
        command = ["sh", "-c", "trap 'echo asked; touch asked; exit' TERM; touch good; while :; do sleep 0.02; done"]

        [service.asleep]
        command = ["sh", "-c", "trap 'touch woken; exit' TERM; touch asleep; kill -STOP $$"]

        [service.deaf]
        command = ["sh", "-c", "trap '' TERM; (setsid sleep 1001 &); touch deaf; exec sleep 1002"]
    "#;

    #[test]
    fn after_a_panic_of_the_loop_everything_is_stopped_and_reaped() {
        if let Some(folder) = std::env::var_os(INSIDE) {
            return inside(Path::new(&folder));
        }
        let folder = std::env::temp_dir().join(format!("minisup-rescue-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("x.toml"), SERVICES).unwrap();
        let this = "runtime::rescue::tests::after_a_panic_of_the_loop_everything_is_stopped_and_reaped";
        let ended = Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", this, "--nocapture", "--test-threads=1"])
            .current_dir(&folder)
            .env(INSIDE, &folder)
            .output()
            .unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        if said.starts_with("unshare: ") {
            assert!(std::env::var_os("MINISUP_REQUIRE_NAMESPACES").is_none(), "{said}");
            let _ = writeln!(std::io::stderr(), "SKIPPED: {said}");
            return;
        }
        assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stdout));
        assert!(said.contains("a fault of the test's own"), "{said}");
        let written = String::from_utf8_lossy(&ended.stdout);
        assert!(written.contains("asked\n"), "its last words are lost: {written}");
        assert!(said.contains("this is a fault of minisup itself: stopping everything"), "{said}");
    }

    /// As PID 1: the real loop with real services, and a panic while it waits.
    fn inside(folder: &Path) {
        assert_eq!(std::process::id(), 1);
        let files: [PathBuf; 1] = [folder.join("x.toml")];
        let around = config::Surroundings::here();
        let config::Loaded { plan, became, .. } = config::load(&files, &around).unwrap();
        let timeout = plan.supervisor.shutdown_timeout;
        let tokio = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
        let _entered = tokio.enter();
        let mut turn = boot::prepare(Rc::new(plan), Origin::new(files.into(), &around, became)).unwrap();
        let up = || ["good", "asleep", "deaf"].iter().all(|name| folder.join(name).exists());
        let fault = async {
            while !up() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("a fault of the test's own");
        };
        let code = guard(&mut turn, timeout, |turn| {
            tokio.block_on(async {
                tokio::select! {
                    code = turn.run() => code,
                    () = fault => 0,
                }
            })
        });
        assert_eq!(code, None);
        assert!(!reap::has_children());
        assert_eq!(["asked", "woken"].map(|name| folder.join(name).exists()), [true; 2]);
        let pids = std::fs::read_dir("/proc").unwrap().flatten();
        let others =
            pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|pid: &i32| *pid != 1);
        assert_eq!(others.count(), 0);
    }
}
