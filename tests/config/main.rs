//! Configurations as people write them, and what comes of them.

mod additions;
mod command;
mod errands;
mod errors;
mod first_start;
mod fuzz;
mod images;
mod limits;
mod manual;
mod presets;
mod reference;
mod scripts;
mod services;
mod traps;
mod words;

use minisup::config::{Accounts, Loaded, Surroundings, load};
use minisup::core::plan::*;
use minisup::core::signal::Signal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("minisup-config-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn around() -> Surroundings {
    let passwd = b"root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n\
        postgres:x:70:70::/var/lib/postgresql:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";
    let group = b"root:x:0:\nwww-data:x:33:\nadm:x:4:www-data\n";
    Surroundings {
        environment: vec![
            ("PATH".into(), "/usr/bin:/bin:/usr/sbin:/sbin".into()),
            ("HOME".into(), "/root".into()),
            ("NAME".into(), "value".into()),
        ],
        accounts: Accounts::parse(passwd, group),
        ..Surroundings::default()
    }
}

fn loaded(text: &str) -> Loaded {
    let folder = Folder::new();
    let path = folder.write("supervise.toml", text);
    load(&[path], &around()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn plan(text: &str) -> Plan {
    loaded(text).plan
}

/// All errors as they are printed, with the folder's name taken out.
fn errors(text: &str) -> String {
    let folder = Folder::new();
    let path = folder.write("supervise.toml", text);
    let errors = load(&[path], &around()).map(|loaded| loaded.plan).unwrap_err();
    errors.to_string().replace(&format!("{}/", folder.0.display()), "")
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const SMALLEST: &str = r#"
[service.app]
preset    = "gunicorn"
command   = "gunicorn --bind unix:/run/app.sock app:app"
user      = "www-data"
directory = "/srv/app"

[service.web]
preset    = "nginx"
requires  = ["app"]
"#;

#[test]
fn the_smallest_real_file_becomes_a_plan() {
    let plan = plan(SMALLEST);
    let [app, web] = &plan.services[..] else { panic!("{plan:?}") };
    assert_eq!((&*app.name, &*web.name), ("app", "web"));
    let Some(Ready { probe: Probe::Http(http), timeout, .. }) = app.ready.as_deref() else {
        panic!("{app:?}")
    };
    assert_eq!(http.address, ProbeAddress::Unix("/run/app.sock".into()));
    assert_eq!(http.status, Statuses::range(100, 599));
    assert_eq!(*timeout, seconds(60));
    let extra = app.launch.extra.as_deref().unwrap();
    let who = extra.credentials.as_ref().unwrap();
    assert_eq!((who.uid, who.gid, &who.groups[..]), (33, 33, &[33, 4][..]));
    assert_eq!(extra.directory.as_deref(), Some("/srv/app".as_ref()));
    let home = ("HOME".to_string(), "/var/www".to_string());
    assert!(app.launch.environment.contains(&home), "{:?}", app.launch.environment);
    assert_eq!(&web.launch.command[..], ["nginx", "-g", "daemon off;"]);
    let steps = [(Signal::QUIT, seconds(6)), (Signal::TERM, seconds(2))];
    assert_eq!(&web.stop.sequence[..], steps);
    assert_eq!(web.requires[0].condition, Condition::Ready);
}

#[test]
fn a_misspelt_key_is_shown_with_its_place_and_its_cure() {
    let text = "[service.app]\ncomand = \"x\"\n";
    let expected = "\
supervise.toml:1:10: error: the service `app` has no command
  1 | [service.app]
    |          ^^^ add `command = …`
supervise.toml:2:1: error: unknown key \"comand\" in [service.app]
  2 | comand = \"x\"
    | ^^^^^^ did you mean \"command\"?";
    assert_eq!(errors(text), expected);
}

#[test]
fn a_cycle_is_said_with_its_path() {
    let text = r#"
service.a = { command = "a", requires = ["b"] }
service.b = { command = "b", after = ["c"] }
service.c = { command = "c", requires = ["a"] }
"#;
    let said = errors(text);
    assert!(said.contains("services wait for one another: a → b → c → a"), "{said}");
}
