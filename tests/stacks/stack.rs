//! A stack of docker/: what its compose file says, built and run by docker-compose.
//!
//! Compose files publish `"127.0.0.1:${PORT-8080}:8080"` (an empty PORT is a free one) and build with
//! `network: ${BUILD_NETWORK:-default}`; whatever else a test sets is in `environment`.

use crate::container::Container;
use crate::docker::stdout;
use std::process::{Command, Stdio};

/// A compose project of its own. Dropped, it is gone with its volumes; its images stay, for the next run.
pub struct Stack {
    files: Vec<String>,
    project: String,
    environment: Vec<(String, String)>,
}

impl Stack {
    /// The stack of this file in docker/ (`"two-apps/compose.yaml"`), its images built, nothing started.
    pub fn built(file: &str) -> Stack {
        Stack::built_with(file, &[])
    }

    /// The same, with variables for the compose file.
    pub fn built_with(file: &str, environment: &[(&str, &str)]) -> Stack {
        Stack::built_of(&[file], environment)
    }

    /// The same, of several files, a later one over an earlier one.
    pub fn built_of(files: &[&str], environment: &[(&str, &str)]) -> Stack {
        let last = files[files.len() - 1];
        let name = last.trim_end_matches("/compose.yaml").trim_end_matches(".yaml").replace(['/', '.'], "-");
        let own = [("PORT", ""), ("BUILD_NETWORK", "host")];
        let pairs = own.iter().chain(environment);
        let stack = Stack {
            files: files.iter().map(|file| format!("{}/docker/{file}", env!("CARGO_MANIFEST_DIR"))).collect(),
            project: format!("minisup-test-{name}"),
            environment: pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        };
        // What a test that was killed has left.
        stack.down_with_volumes();
        stack.compose(&["build", "--quiet"]);
        stack
    }

    /// Starts all of it, and waits until every container is healthy.
    pub fn up(&self) {
        self.compose(&["up", "--detach"]);
        self.wait_until_healthy();
    }

    /// Starts one service, and nothing that it depends on.
    pub fn start(&self, service: &str) {
        self.compose(&["up", "--detach", "--no-deps", service]);
    }

    /// Starts a service and kills it when the status of its oneshot `init` says this. It has a fifth of a
    /// processor until then, so that no moment is over before anybody has asked.
    pub fn kill_at(&self, service: &str, init: &str, moment: &str) {
        self.compose(&["up", "--no-start", "--no-deps", service]);
        let container = self.container(service);
        container.limit_cpus("0.2");
        container.start();
        container
            .wait_until(moment, || stdout(&container.exec(&["minisup", "status", init])).contains(moment));
        container.kill();
        container.limit_cpus("2");
    }

    pub fn wait_until_healthy(&self) {
        let ids = self.compose(&["ps", "--quiet"]);
        assert!(!ids.trim().is_empty(), "{:?}: nothing runs", self.files);
        for id in ids.lines() {
            Container::of(id).wait_until_healthy();
        }
    }

    /// The container of a service.
    pub fn container(&self, service: &str) -> Container {
        let id = self.compose(&["ps", "--quiet", "--all", service]);
        let id = id.lines().next().unwrap_or_else(|| panic!("{:?}: no container of {service}", self.files));
        Container::of(id)
    }

    /// The image that a service was built as.
    pub fn image(&self, service: &str) -> String {
        self.container(service).field("Image")
    }

    /// The network that its containers are in.
    pub fn network(&self) -> String {
        format!("{}_default", self.project)
    }

    /// `docker-compose restart`, until all are healthy again.
    pub fn restart(&self) {
        self.compose(&["restart"]);
        self.wait_until_healthy();
    }

    /// Removes its containers; its volumes stay.
    pub fn down(&self) {
        self.compose(&["down"]);
    }

    /// Removes its containers and its volumes.
    pub fn down_with_volumes(&self) {
        self.compose(&["down", "--volumes", "--remove-orphans"]);
    }

    /// `docker-compose ARGS`, which must succeed: what it printed.
    pub fn compose(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("docker-compose");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker-compose -f {:?} {args:?}:\n{error}", self.files);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker-compose");
        command.args(self.files.iter().flat_map(|file| ["--file", file]));
        command.args(["--project-name", &self.project]).args(args);
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = self.command(&["down", "--volumes", "--remove-orphans"]).output();
    }
}
