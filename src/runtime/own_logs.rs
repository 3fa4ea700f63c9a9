//! What a server writes into log files of its own from a certain moment on.
//!
//! nginx says in its `error_log` why it did not do what it was told, and so do gunicorn and uWSGI where they
//! have a log file. The presets know its name (`Reload::logs`); and a server whose stderr is a file by now has made
//! it so itself: nginx does it with its main error_log, wherever that is said. Only regular files are read, only
//! what came after the moment, only once, and not more than the last of it.

use crate::core::ids::Pid;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// So much of each is read at most.
const MOST: u64 = 64 * 1024;

/// Files, each with how long it was.
pub(super) struct OwnLogs(Vec<(PathBuf, u64)>);

impl OwnLogs {
    /// These, and what the process has made of its stderr, as long as they are now.
    pub(super) fn of(pid: Pid, known: &[PathBuf]) -> OwnLogs {
        let stderr = PathBuf::from(format!("/proc/{pid}/fd/2"));
        let mut seen = Vec::new();
        let mut logs = Vec::new();
        for path in [stderr].into_iter().chain(known.iter().cloned()) {
            match fs::metadata(&path) {
                Ok(about) if about.is_file() && !seen.contains(&(about.dev(), about.ino())) => {
                    seen.push((about.dev(), about.ino()));
                    logs.push((path, about.len()));
                }
                Ok(_) => {}
                // It may come.
                Err(_) => logs.push((path, 0)),
            }
        }
        OwnLogs(logs)
    }

    /// What has been written since, by line.
    pub(super) fn new_lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, before) in self.0.drain(..) {
            if let Some(text) = written_since(&path, before) {
                lines.extend(text.lines().map(str::to_owned).filter(|line| !line.trim().is_empty()));
            }
        }
        lines
    }
}

fn written_since(path: &Path, before: u64) -> Option<String> {
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    // Shorter than before: it has been emptied, and begun anew.
    let begin = if length < before { 0 } else { before };
    let from = begin.max(length.saturating_sub(MOST));
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line may be half a one.
    let text = if from > begin { text.split_once('\n')?.1 } else { &text };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_what_is_new_is_read_and_only_the_last_of_it() {
        let folder = std::env::temp_dir().join(format!("minisup-own-logs-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (there, late) = (folder.join("there"), folder.join("late"));
        fs::write(&there, "old\n").unwrap();
        let known = [there.clone(), there.clone(), late.clone(), "/dev/stderr".into(), folder.clone()];
        let since = || OwnLogs::of(Pid(0), &known);

        let mut logs = since();
        let mut file = File::options().append(true).open(&there).unwrap();
        file.write_all(b"new\n\nlast").unwrap();
        fs::write(&late, "late\n").unwrap();
        assert_eq!(logs.new_lines(), ["new", "last", "late"]);

        logs = since();
        let more = "x".repeat(99);
        (0..1000).for_each(|_| writeln!(file, "{more}").unwrap());
        let lines = logs.new_lines();
        assert_eq!(lines.len(), MOST as usize / 100);
        assert!(lines.iter().all(|line| *line == more));

        logs = since();
        fs::write(&there, "anew\n").unwrap();
        assert_eq!(logs.new_lines(), ["anew"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
