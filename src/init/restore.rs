//! A backup among the scripts becomes the data directory, instead of all else.
//!
//! It is unpacked beside the directory that is being made, by the image's tar as the server's user: so nothing in
//! it is written where that user may not write, and whom a file is to belong to is no question. How it is packed we
//! know ourselves. Then the engine makes a data directory of it. If that is interrupted all begins again, as when any
//! data directory is made.

use super::crew::{Feed, Stdin, Task};
use super::engine::{Engine, Work};
use super::ground::{self, Ground};
use super::journal::{Journal, UNDER_WAY};
use super::scripts::listing::Packing;
use super::scripts::preflight::{How, Item};
use super::scripts::progress::{Place, Progress};
use super::scripts::unpack::Unpacked;
use super::trouble::Trouble;
use crate::core::exit::Outcome;
use std::fs::{self, DirBuilder};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// Its name in the holder, while it is unpacked.
const UNPACKED: &str = "backup";

/// Restores a backup into `work.data`, which is there and empty.
///
/// # Errors
/// It cannot be unpacked, is no backup, or a program of the database failed.
pub fn run(
    engine: &dyn Engine,
    work: &mut Work<'_>,
    ground: &Ground,
    journal: &mut Journal,
    backup: &Item,
    progress: &mut Progress,
) -> Result<(), Trouble> {
    let (Some(restoring), How::Restore(packing)) = (engine.restoring(), &backup.how) else {
        return Err(Trouble::Other(format!("{} restores no backups", engine.name())));
    };
    let script = &backup.script;
    let sha256 = script.sha256().map_err(|error| Trouble::io("read", &script.path, error))?;
    journal.begin_script(&script.name, script.size, &sha256);
    journal.write(&ground.holder, UNDER_WAY)?;
    let folder = ground.holder.join(UNPACKED);
    // What an earlier try has unpacked; the archive is still there.
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Trouble::io("remove", &folder, error));
        }
        Ok(()) | Err(_) => {}
    }
    DirBuilder::new().mode(0o700).create(&folder).map_err(|error| Trouble::io("create", &folder, error))?;
    ground::give(&folder, work.who.as_ref()).map_err(|error| Trouble::io("give away", &folder, error))?;

    progress.begin(1, &script.name, script.size, backup.weight(), true);
    let unpacked = unpack(work, backup, *packing, folder.clone(), progress);
    progress.end(unpacked.is_ok());
    unpacked?;
    progress.stage("restoring the backup");
    restoring.restore(work, &folder)?;
    fs::remove_dir_all(&folder).map_err(|error| Trouble::io("remove", &folder, error))?;
    journal.end_script(&Outcome::Exited(0).to_string());
    Ok(())
}

fn unpack(
    work: &mut Work<'_>,
    backup: &Item,
    packing: Packing,
    folder: PathBuf,
    progress: &mut Progress,
) -> Result<(), Trouble> {
    let path = &backup.script.path;
    let content = Unpacked::open(path, packing).map_err(|error| Trouble::io("open", path, error))?;
    let mut archive = Archive { content, given: 0, progress };
    let what = format!("unpacking {} (tar)", path.display());
    let task = Task {
        directory: Some(folder),
        stdin: Stdin::Feed(&mut archive),
        ..work.task(&what, ["tar", "-x", "-f", "-"])
    };
    work.crew.run(task)?.success(&what).map(drop)
}

/// An archive's bytes on their way into tar.
struct Archive<'a> {
    content: Unpacked,
    given: u64,
    progress: &'a mut Progress,
}

impl Feed for Archive<'_> {
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = loop {
            match self.content.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.given += count as u64;
        self.report(count == 0);
        Ok(count)
    }

    fn tick(&mut self) {
        self.report(false);
    }
}

impl Archive<'_> {
    fn report(&mut self, is_over: bool) {
        let place = Place { taken: self.content.taken(), given: self.given, line: 0, is_over };
        self.progress.reached(place, || None);
    }
}
