//! Old log files are compressed by a process of their own (`minisup gzip`), one at a time and
//! nicer than the services. It gets the old file open, and when it has ended PID 1 gives the result its name:
//! only PID 1 knows which number the old file has by then.

use super::deaths::Owner;
use super::turn::Turn;
use crate::core::exit::Outcome;
use crate::core::plan::LaunchExtra;
use crate::log::Compression;
use crate::sys::launch::{Order, Stdio, Verdict, launch};
use crate::sys::pid1;
use crate::sys::words::Words;
use std::os::fd::AsRawFd;

/// How nice it is (setpriority(2)).
const NICE: i32 = 10;

impl Turn {
    /// Launches what compresses the next old file, if there is one.
    pub(super) fn compress_logs(&mut self) {
        if self.supervisor.phase().is_ending() {
            return;
        }
        while let Some(compression) = self.pump.compress() {
            match launch_compressor(&compression) {
                Ok((pid, verdict)) => {
                    self.compressing = Some(verdict);
                    self.children.add(pid, Owner::Compressor);
                    return;
                }
                Err(why) => self.pump.compressed(Err(why)),
            }
        }
    }

    /// It has ended.
    pub(super) fn compressor_ended(&mut self, outcome: Outcome) {
        let launched = self.compressing.take().map_or(Ok(()), |mut verdict| verdict.of_dead());
        self.pump.compressed(match (launched, outcome) {
            (Err(error), _) => Err(error.to_string()),
            (Ok(()), Outcome::Exited(0)) => Ok(()),
            (Ok(()), outcome) => Err(outcome.to_string()),
        });
        self.compress_logs();
    }
}

fn launch_compressor(compression: &Compression) -> Result<(crate::core::ids::Pid, Verdict), String> {
    let mut argv = Words::new();
    argv.push(pid1::own_program());
    argv.push("gzip");
    argv.push("--to");
    argv.push(&compression.to);
    argv.push("-");
    let extra = LaunchExtra { nice: Some(NICE), ..LaunchExtra::default() };
    // What it has to say goes where our own messages go.
    let stdin = Stdio::Fd(compression.from.as_raw_fd());
    let order = Order { argv, stdin, stdout: Stdio::Null, extra: Some(&extra), ..Order::default() };
    let launched = launch(order).map_err(|error| error.to_string())?;
    Ok((launched.pid, launched.verdict))
}
