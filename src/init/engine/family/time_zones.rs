//! Named time zones: read from the image's files by the server's own tool, loaded in few statements.

use super::{Family, find};
use crate::init::crew::Stdin;
use crate::init::engine::Work;
use crate::init::engine::zones::Zones;
use crate::init::trouble::Trouble;
use crate::init::voice;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Where time zones lie (tzfile(5)).
const ZONEINFO: &str = "/usr/share/zoneinfo";

impl Family {
    /// Fills the tables of time zones, unless that is switched off or there are none to be had.
    ///
    /// # Errors
    /// The server refused something.
    pub fn load_time_zones(&self, work: &mut Work<'_>) -> Result<(), Trouble> {
        if self.is_set("INITDB_SKIP_TZINFO") {
            return Ok(());
        }
        let tool = find(self.kind.zone_tools, &self.environment);
        if !Path::new(ZONEINFO).is_dir() || !tool.as_bytes().contains(&b'/') {
            let missing = if tool.as_bytes().contains(&b'/') { ZONEINFO.into() } else { tool };
            voice::tell(format_args!(
                "warning: there is no {}, so named time zones are not loaded: install it, or set {} to say that none are wanted",
                missing.display(),
                self.full("INITDB_SKIP_TZINFO")
            ));
            return Ok(());
        }
        let file = work.private.join("zones.sql");
        // A shell for its `>`: what is 5 MB long is not held in memory.
        let argv = ["sh", "-c", r#"exec "$1" "$2" > "$3""#, "sh"].map(OsString::from);
        let argv = argv.into_iter().chain([tool, ZONEINFO.into(), file.clone().into_os_string()]);
        let what = "reading the time zones";
        let mut task = work.task(what, argv);
        task.environment = self.without_secrets(&work.environment);
        // It complains of each file below /usr/share/zoneinfo that is none.
        work.crew.run(task)?.success(what)?;
        let input = File::open(&file).map_err(|error| Trouble::io("read", &file, error))?;
        // Abbreviations that are too long are cut, as the images do with one of them.
        let preface = "SET @@SESSION.sql_mode = '';\nSET @@SESSION.sql_log_bin = 0;\n";
        let mut zones = Zones::new(preface, BufReader::new(input));
        let what = "loading the time zones";
        let mut task = self.question(work, what, Stdin::Feed(&mut zones));
        task.argv.push("--database=mysql".into());
        let ended = work.crew.run(task)?;
        let _ = fs::remove_file(&file);
        ended.success(what).map(drop)
    }
}
