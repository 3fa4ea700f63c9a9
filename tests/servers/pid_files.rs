//! Whoever types `nginx -s reload` finds the nginx that serves, also after it has been replaced.

use crate::needs_namespaces;
use crate::reloads::below;
use crate::stage::{Container, Stage};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Output};

const WEB: &str = r#"
[supervisor]
control_socket = "FOLDER/minisup.sock"

[service.web]
preset       = "nginx"
command      = "nginx -e stderr -c FOLDER/nginx.conf"
restart_mode = "rolling"
sockets      = { http = "tcp://ADDRESS" }
"#;

struct Play {
    stage: Stage,
    container: Container,
}

impl Play {
    fn new(name: &str, keys: &str) -> Play {
        let stage = Stage::new(name, "return 200;");
        std::fs::set_permissions(&stage.folder, PermissionsExt::from_mode(0o777)).unwrap();
        let container = stage.run(&format!("{WEB}{keys}"));
        stage.wait_for_page(&container);
        container.wait_for_output("all is up");
        Play { stage, container }
    }

    fn minisup(&self, words: &[&str]) -> Output {
        self.stage.minisup(words)
    }

    fn does(&self, words: &[&str]) {
        let output = self.minisup(words);
        assert!(output.status.success(), "{words:?}: {output:?}\n{}", self.container.last_words());
    }

    /// The number of the nginx that serves, as it is known in the container.
    fn pid(&self) -> String {
        let output = self.minisup(&["status", "web", "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        status["instances"][0]["pid"].to_string()
    }

    /// nginx itself, told to do something by whoever is in the container.
    fn nginx(&self, order: &str) -> Output {
        let inside = format!("--target={}", self.container.services("nginx")[0]);
        let conf = self.stage.folder.join("nginx.conf");
        let words = ["--pid", "--mount", "nginx", "-s", order, "-c", conf.to_str().unwrap()];
        Command::new("nsenter").arg(inside).args(words).output().unwrap()
    }

    fn wait_for_its_pid_file(&self) {
        let (file, pid) = (self.stage.folder.join("nginx.pid"), self.pid());
        self.container.wait_until("the pid file of the nginx that serves", || {
            std::fs::read_to_string(&file).is_ok_and(|text| text.trim() == pid)
        });
    }

    fn owner(&self) -> u32 {
        self.stage.folder.join("nginx.pid").metadata().unwrap().uid()
    }

    fn ends_well(self) {
        self.container.signal(libc::SIGTERM);
        let file = self.stage.folder.join("nginx.pid");
        let (code, output) = self.container.wait();
        assert_eq!(code, 0, "{output}");
        assert!(!file.exists(), "nginx removes what is its own");
    }
}

#[test]
fn after_two_replacements_nginxs_pid_file_names_the_living_master() {
    needs_namespaces!();
    let play = Play::new("pid-file", "");
    let mut seen = vec![play.pid()];
    for _ in 0..2 {
        play.does(&["restart", "web"]);
        play.wait_for_its_pid_file();
        let pid = play.pid();
        assert!(!seen.contains(&pid), "{seen:?} {pid}");
        seen.push(pid);
    }
    let workers = || below(play.container.services("nginx")[0], "nginx: worker process");
    let before = workers();
    let output = play.nginx("reload");
    assert!(output.status.success(), "{output:?}");
    play.container.wait_until("new workers", || workers().iter().any(|worker| !before.contains(worker)));
    play.ends_well();
}

#[test]
fn an_nginx_that_does_not_get_ready_leaves_the_pid_file_to_the_one_that_goes_on() {
    needs_namespaces!();
    let keys = r#"ready = { exec = ["test", "!", "-e", "FOLDER/broken"], timeout = "2s" }"#;
    let play = Play::new("pid-file-stays", keys);
    let old = play.pid();
    play.stage.write("broken", "");
    let output = play.minisup(&["restart", "web"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(play.pid(), old);
    play.wait_for_its_pid_file();
    play.ends_well();
}

#[test]
fn a_pid_file_that_names_a_killed_nginx_gets_the_one_that_goes_on() {
    needs_namespaces!();
    let keys = r#"ready = { exec = ["test", "!", "-e", "FOLDER/unready"], timeout = "5m" }"#;
    let play = Play::new("pid-file-killed", keys);
    let (old, file) = (play.pid(), play.stage.folder.join("nginx.pid"));
    let before = play.container.services("nginx");
    play.stage.write("unready", "");
    play.does(&["restart", "web", "--no-wait"]);
    let named = || std::fs::read_to_string(&file).unwrap_or_default().trim().to_owned();
    play.container.wait_until("the pid file of the new nginx", || !["", &old].contains(&&*named()));
    let killed = named();
    let mut masters = play.container.services("nginx");
    masters.retain(|master| !before.contains(master));
    assert_eq!(masters.len(), 1, "{masters:?}");
    // SAFETY: kill(2) touches no memory of ours.
    assert_eq!(unsafe { libc::kill(masters[0], libc::SIGKILL) }, 0);
    // Nobody is left who would remove it.
    play.wait_for_its_pid_file();
    assert_eq!(named(), old, "instead of {killed}");
    let output = play.nginx("reload");
    assert!(output.status.success(), "{output:?}");
    play.ends_well();
}

#[test]
fn the_pid_file_of_an_nginx_that_is_no_root_is_written_by_its_user() {
    needs_namespaces!();
    let play = Play::new("pid-file-user", "user = \"www-data\"\n");
    let user = play.owner();
    assert_ne!(user, 0);
    play.does(&["restart", "web"]);
    play.wait_for_its_pid_file();
    assert_eq!(play.owner(), user);
    play.does(&["restart", "web"]);
    play.wait_for_its_pid_file();
    play.ends_well();
}
