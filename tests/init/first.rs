//! A first start in a test: a folder of its own for data and scripts, an environment with nothing in it that
//! the test did not put there, and `minisup init` run to its end.

use crate::support::MINISUP;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A first start that is to be made. Its folder goes with it.
pub struct First {
    /// Everything of the test.
    pub folder: PathBuf,
    engine: &'static str,
    variables: Vec<(String, Vec<u8>)>,
    options: Vec<String>,
    server: Vec<String>,
}

/// How it went.
#[derive(Debug)]
pub struct Made {
    /// The exit code.
    pub code: i32,
    /// What was said, on both streams.
    pub said: String,
}

impl First {
    /// Of this engine, with data in `data` of a new folder and scripts in `scripts`.
    pub fn of(engine: &'static str) -> First {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("minisup-init-{}-{number}", std::process::id()));
        fs::create_dir_all(folder.join("scripts")).unwrap();
        for path in [&folder, &folder.join("scripts")] {
            // The database's user has to come through, whatever the umask.
            fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
        }
        First { folder, engine, variables: Vec::new(), options: Vec::new(), server: Vec::new() }
            .with("PATH", std::env::var("PATH").unwrap())
    }

    /// With a variable.
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> First {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// With an option of `minisup init`.
    pub fn option(mut self, words: &[&str]) -> First {
        self.options.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// With the real server's command line.
    pub fn server(mut self, words: &[&str]) -> First {
        self.server = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// With a script; one whose name ends in `.sh` and begins with `x` is executable.
    pub fn script(self, name: &str, text: impl AsRef<[u8]>) -> First {
        let path = self.folder.join("scripts").join(name);
        fs::write(&path, text).unwrap();
        let mode = if name.ends_with(".sh") && name.contains("run") { 0o755 } else { 0o644 };
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Where the data is to lie.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The command, for whoever wants to start it himself.
    pub fn command(&self) -> Command {
        use std::os::unix::ffi::OsStrExt;
        let program = std::env::var_os("MINISUP").unwrap_or_else(|| MINISUP.into());
        let mut command = Command::new(program);
        command.args(["init", self.engine, "--directory"]).arg(self.folder.join("scripts"));
        command.args(&self.options).env_clear();
        for (name, value) in &self.variables {
            command.env(name, OsStr::from_bytes(value));
        }
        if !self.server.is_empty() {
            command.arg("--").args(&self.server);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Makes it.
    pub fn make(&self) -> Made {
        let output = self.command().output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let made = Made {
            code: output.status.code().unwrap_or(-1),
            said: String::from_utf8_lossy(&said).into_owned(),
        };
        eprintln!("--- {} init {}: {}\n{}", self.engine, self.folder.display(), made.code, made.said);
        made
    }

    /// Makes it, and it must succeed.
    pub fn succeed(&self) -> String {
        let made = self.make();
        assert_eq!(made.code, 0, "{}", made.said);
        made.said
    }

    /// Makes it, and it must be refused with these words before anything is touched.
    pub fn refused_with(&self, words: &str) {
        let made = self.make();
        assert_eq!(made.code, 78, "{}", made.said);
        assert!(made.said.contains(words), "{words:?} is not in:\n{}", made.said);
        assert!(!self.data().exists(), "the data directory was touched");
    }
}

impl Drop for First {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The text of a file.
pub fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}
