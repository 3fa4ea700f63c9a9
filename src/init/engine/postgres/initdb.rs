//! initdb: how it is called, and what it cannot bear.
//!
//! It breaks at quotes in the superuser's name, reads one line of a password file, and wants a name for whom it
//! runs as.

use super::{INITDB_ARGS, PLAIN_NAME, Postgres, ids, place, rules};
use crate::config::Accounts;
use crate::init::directories::write_private;
use crate::init::engine::{Variables, Work, set_variable, variable};
use crate::init::trouble::Trouble;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

impl Postgres {
    /// Fills `work.data`; the superuser's password is this one.
    pub(super) fn run_initdb(&self, work: &mut Work<'_>, password: &str) -> Result<(), Trouble> {
        let owner = work.who.as_ref().map(|who| ids(Some(who)));
        if let Some(waldir) = &self.settings.waldir {
            place::prepare_waldir(waldir, &work.final_data, owner)?;
        }
        let file = work.private.join("password");
        write_private(work, &file, format!("{password}\n").as_bytes())?;
        let what = "initdb";
        let mut task = work.task(what, [self.program("initdb")]);
        task.argv.extend(self.initdb_words(work, &file)?);
        self.name_for_initdb(work, &mut task.environment)?;
        let ended = work.crew.run(task);
        let _ = fs::remove_file(&file);
        ended?.success(what)?;
        if !place::is_cluster(&work.data) {
            return Err(Trouble::Other(format!("initdb made no database: see {INITDB_ARGS}")));
        }
        Ok(())
    }

    /// What initdb calls the superuser.
    pub(super) fn first_name(&self) -> &str {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.@ ".contains(c);
        match self.settings.user.chars().all(is_plain) {
            true => &self.settings.user,
            false => PLAIN_NAME,
        }
    }

    /// Lets the file that makes up for a missing line of /etc/passwd stand in `environment`: initdb, alone of
    /// all, wants to know the name of who runs it.
    fn name_for_initdb(&self, work: &Work<'_>, environment: &mut Variables) -> Result<(), Trouble> {
        let (uid, gid) = ids(work.who.as_ref());
        let accounts = Accounts::parse(&fs::read("/etc/passwd").unwrap_or_default(), b"");
        if accounts.user_of(uid).is_some() {
            return Ok(());
        }
        let Some(library) = wrapper_library() else {
            return Err(Trouble::Rules(vec![format!(
                "initdb refuses to run as user {uid}, who has no line in /etc/passwd. Run as a user that has one (the \
                 image's is called postgres), add a line (RUN useradd --uid {uid} …, or mount a file at /etc/passwd), \
                 or have libnss_wrapper in the image (Debian's package libnss-wrapper)"
            )]));
        };
        let name = "postgres";
        let passwd = work.private.join("passwd");
        let group = work.private.join("group");
        let lines = [
            (
                &passwd,
                "NSS_WRAPPER_PASSWD",
                format!("{name}:x:{uid}:{gid}:PostgreSQL:/nonexistent:/bin/false\n"),
            ),
            (&group, "NSS_WRAPPER_GROUP", format!("{name}:x:{gid}:\n")),
        ];
        for (path, variable, line) in lines {
            write_private(work, path, line.as_bytes())?;
            set_variable(environment, variable, path);
        }
        set_variable(environment, "LD_PRELOAD", library);
        Ok(())
    }

    /// The words that initdb is called with, besides its name.
    fn initdb_words(&self, work: &Work<'_>, password_file: &Path) -> Result<Vec<OsString>, Trouble> {
        let with = |start: &str, rest: &OsStr| {
            let mut word = OsString::from(start);
            word.push(rest);
            word
        };
        let asked =
            rules::initdb_words(&self.settings.initdb_args).map_err(|fault| Trouble::Rules(vec![fault]))?;
        let mut words = vec![
            with("--pgdata=", work.data.as_os_str()),
            with("--username=", OsStr::new(self.first_name())),
            with("--pwfile=", password_file.as_os_str()),
        ];
        if let Some(waldir) = &self.settings.waldir {
            words.push(with("--waldir=", waldir.as_os_str()));
        }
        let says = |start: &str| asked.iter().any(|word| word.starts_with(start));
        if !says("-E") && !says("--encoding") {
            if let Some(charset) = &self.charset {
                words.push(with("--encoding=", OsStr::new(charset)));
            } else if !says("--locale") && !says("--lc-ctype") && is_locale_plain(&work.environment) {
                words.push("--encoding=UTF8".into());
            }
        }
        words.extend(asked.into_iter().map(OsString::from));
        Ok(words)
    }
}

/// Whether nobody has chosen a locale: LC_ALL goes before LC_CTYPE, and that before LANG (locale(7)).
fn is_locale_plain(environment: &Variables) -> bool {
    let chosen = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| variable(environment, name));
    chosen.is_none_or(|locale| locale == "C" || locale == "POSIX")
}

/// Where libnss_wrapper.so is: in the directory of libraries, or in the one of this kind of machine.
fn wrapper_library() -> Option<PathBuf> {
    let below = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let places = [PathBuf::from("/usr/lib"), PathBuf::from("/usr/local/lib"), PathBuf::from("/usr/lib64")];
    let mut places = places.into_iter().chain(below).map(|place| place.join("libnss_wrapper.so"));
    places.find(|path| path.is_file())
}
