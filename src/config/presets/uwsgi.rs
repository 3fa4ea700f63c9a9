//! uWSGI.
//!
//! Its TERM is a brutal reload, and `die-on-term` makes of it a brutal end: no plain signal
//! stops it gracefully. A hook on the master does, from the command line, whatever the
//! ini file says. Without a master nobody relaunches workers, and there is nobody to hang
//! the hook on; without need-app it runs and answers 500 when the application does not load.
//! HUP has its workers finish, executes it again in the same process, and new workers come when the application
//! has been loaded; if it does not load, all is over. It knows no `--check-config`, but `--no-server` is the same program
//! with the same settings which loads the application, binds no socket of its own, and ends, with 22 if nothing could be
//! loaded. So that is the check, with lazy-apps turned off, for else nobody would load anything, and with nothing
//! that it would leave behind or take away: its pid goes into its own name, which vacuum cannot remove. What `exec-pre-app` and
//! its like do it does, as any start would. Its routers (`http`) would bind, so they are left out; where a
//! file asks for one there is no check.
//!
//! After HUP, sockets that LISTEN_FDS has told it of it
//! does not find again then, and ends. So with held sockets a reload is a rolling replacement.
//! No signal makes it open its log again; a hook on the master does that, too, where the master is who writes
//! it (`log-master`, or what implies it). We do not ask for that: what an application says while it loads
//! would be in the file only afterwards.

use super::{is_script, not_itself, options, own_file};
use crate::config::diagnostics::Problems;
use crate::config::launch::Draft;
use crate::config::probe::host_and_port;
use crate::core::plan::{HttpProbe, Probe, ProbeAddress, Statuses, Told, UwsgiProbe};
use crate::core::signal::Signal;
use crate::core::sorted;
use std::time::Duration;

/// So long new workers may take: the old ones have 60 s for their requests, and the application is loaded.
const RENEWAL: Duration = Duration::from_secs(90);

/// Options behind which a file is named.
const NAME_FILES: [&str; 4] = ["--ini", "--config", "--include", "--inherit"];

/// Options that have a process of its own bind an address.
const ROUTERS: [&str; 6] = ["http", "https", "http2", "https2", "fastrouter", "rawrouter"];

/// Options that name a log file: whoever asks for a reload is to see what the check says.
const LOGS: [&str; 2] = ["logto", "logto2"];

/// So deep files may name others, which may be themselves.
const NESTED_MAX: u32 = 8;

const HOOK: &str = "unix_signal:15 gracefully_kill_them_all";
const REOPEN: [&str; 2] = ["--hook-master-start", "unix_signal:10 uwsgi_log_reopen"];
/// Each makes the master write the log, for itself and its workers.
const LOG_MASTER: [&str; 5] =
    ["log-master", "threaded-logger", "log-maxsize", "touch-logrotate", "touch-logreopen"];

/// Adds what makes it stop well, and finds where it will answer.
pub fn adjust(draft: &mut Draft<'_>, problems: &mut Problems) -> Option<Probe> {
    if draft.argv.is_empty() {
        return None;
    }
    if !draft.program().starts_with("uwsgi") || is_script(draft.program()) {
        not_itself(draft, "uwsgi", problems);
        return None;
    }
    let settings = Settings::read(draft);
    for name in ["daemonize", "daemonize2"] {
        if settings.get(name).is_some() {
            let message = "uWSGI puts itself in the background and seems to have ended";
            problems.warning(draft.span, message).mark(format!("take `{name}` out"));
        }
    }
    if settings.get("emperor").is_some() {
        // It has no workers of its own; its TERM already stops the vassals.
        return Some(Probe::Notify);
    }
    if settings.get("master").is_some_and(off) {
        let message = "uWSGI without a master: TERM cuts requests off, and workers that die stay dead";
        problems.warning(draft.span, message).mark("let it have one");
    } else {
        let mut add = Vec::new();
        if settings.get("master").is_none() {
            add.push("--master".to_owned());
        }
        if settings.get("need-app").is_none() {
            add.push("--need-app".to_owned());
        }
        let hooked = |signal: &str| settings.all("hook-master-start").any(|hook| hook.starts_with(signal));
        if !hooked("unix_signal:15 ") {
            add.extend(["--hook-master-start".to_owned(), HOOK.to_owned()]);
        }
        if !add.is_empty() {
            draft.adjusted.push(format!("added {}, so that TERM lets requests finish", quoted(&add)));
        }
        let has =
            |names: &[&str]| names.iter().any(|name| settings.get(name).is_some_and(|value| !off(value)));
        if has(&["logto", "logto2"]) && has(&LOG_MASTER) && !hooked("unix_signal:10 ") {
            let hook = REOPEN.map(str::to_owned);
            draft.adjusted.push(format!("added {}, so that USR1 opens its log file again", quoted(&hook)));
            draft.reopen = Some(Signal::USR1);
            add.extend(hook);
        }
        // Options go before a positional ini file, which may come last.
        draft.argv.splice(1..1, add);
    }
    let is_by_number = draft.argv.iter().any(|word| word.contains("fd://"));
    if (draft.sockets.is_none() || is_by_number) && !settings.get("master").is_some_and(off) {
        draft.renews = Some(RENEWAL);
        draft.check = settings.trial(&draft.argv);
        draft.logs =
            LOGS.iter().filter_map(|name| settings.get(name)).map(|path| draft.resolve(path)).collect();
    }
    if settings.get("http").or(settings.get("https")).is_some() {
        let message = "uWSGI's http router is gone as soon as it is to stop: whoever came by it is cut off";
        problems
            .warning(draft.span, message)
            .mark("`http-socket` instead of `http`, or nginx in front of `socket`");
    }
    if let Some(place) = settings.threads()
        && draft.rolling
    {
        let message = format!(
            "uWSGI with threads ({place}), replaced while it serves: an old worker may not end, and loses requests"
        );
        problems
            .warning(draft.span, message)
            .mark("processes without threads; or restart_mode = \"stop-start\"");
    }
    if let Some(sockets) = &mut draft.sockets {
        draft.takes_all = true;
        if is_by_number {
            sockets.told = Told::ByNumber;
            draft.takes_all = false;
        } else {
            draft.cannot_reload = true;
            let text = "a reload is a rolling replacement: after HUP it would look for its sockets in vain";
            draft.adjusted.push(text.into());
        }
        // A numbered one may speak either protocol; those of LISTEN_FDS speak the usual one.
        let speaks_http = settings.get("protocol") == Some("http")
            || settings.get("http-socket").is_some_and(|socket| socket.starts_with("fd://"));
        return sockets.first_reached().map(|address| any_answer(address, speaks_http));
    }
    Some(settings.probe(draft).unwrap_or(Probe::Notify))
}

fn any_answer(address: ProbeAddress, speaks_http: bool) -> Probe {
    match speaks_http {
        false => Probe::Uwsgi(UwsgiProbe { address, path: "/".into() }),
        true => Probe::Http(HttpProbe {
            address,
            host: "localhost".into(),
            path: "/".into(),
            status: Statuses::range(100, 599),
        }),
    }
}

/// Words as they would be typed.
fn quoted(words: &[String]) -> String {
    let word = |word: &String| if word.contains(' ') { format!("'{word}'") } else { word.clone() };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn off(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "false" | "0" | "no" | "off")
}

/// An option counts only if something holds that is not known here.
struct Doubtful;

/// Options of the command line, of `UWSGI_*`, and of the ini files the command names: name and value.
struct Settings {
    all: Vec<(String, String)>,
    /// Where each file's begin, and its name.
    files: Vec<(usize, String)>,
    /// Those that count only if something holds (`if-env`), or are repeated (`for`).
    doubtful: Vec<usize>,
}

impl Settings {
    fn read(draft: &Draft<'_>) -> Settings {
        let mut all = Vec::new();
        let argv = &draft.argv;
        for (at, word) in argv.iter().enumerate().skip(1) {
            let value = argv.get(at + 1).filter(|next| !next.starts_with('-')).cloned().unwrap_or_default();
            match word.strip_prefix("--") {
                Some(option) => match option.split_once('=') {
                    Some((name, value)) => all.push((name.to_owned(), value.to_owned())),
                    None => all.push((option.to_owned(), value)),
                },
                None if word == "-M" => all.push(("master".to_owned(), "true".to_owned())),
                None if word == "-s" => all.push(("socket".to_owned(), value)),
                None if word == "-T" => all.push(("enable-threads".to_owned(), "true".to_owned())),
                None if word == "-d" => all.push(("daemonize".to_owned(), value)),
                None => {}
            }
        }
        for (name, value) in draft.environment.variables.iter() {
            if let Some(option) = name.strip_prefix("UWSGI_") {
                all.push((option.to_ascii_lowercase().replace('_', "-"), value.clone()));
            }
        }
        let mut files: Vec<String> = options(argv, "--ini", None).into_iter().map(str::to_owned).collect();
        files.extend(all.iter().filter(|(name, _)| name == "ini").map(|(_, file)| file.clone()));
        let is_ini = |word: &&String| word.ends_with(".ini") || word.contains(".ini:");
        files.extend(argv.iter().skip(1).filter(is_ini).filter(|word| !word.starts_with('-')).cloned());
        sorted::sort(&mut files);
        files.dedup();
        let mut settings = Settings { all, files: Vec::new(), doubtful: Vec::new() };
        for file in &files {
            settings.read_file(file, draft, NESTED_MAX);
        }
        settings
    }

    /// The options of `file.ini`, or of a section of it: `file.ini:section`.
    fn read_file(&mut self, file: &str, draft: &Draft<'_>, deeper: u32) {
        let (path, section) = file.split_once(':').unwrap_or((file, "uwsgi"));
        let Some(text) = own_file(&draft.resolve(path)) else { return };
        self.files.push((self.all.len(), path.to_owned()));
        let mut named = Vec::new();
        for (name, value, is_sure) in ini(&text, section) {
            if name == "ini" && deeper > 0 {
                let is_here = value.starts_with(':');
                named.push(if is_here { format!("{path}{value}") } else { value.clone() });
            }
            if !is_sure {
                self.doubtful.push(self.all.len());
            }
            self.all.push((name, value));
        }
        for file in named {
            self.read_file(&file, draft, deeper - 1);
        }
    }

    /// What makes its workers have threads, and the file that says so: `threads = 4 in uwsgi.ini`.
    fn threads(&self) -> Option<String> {
        let is_it = |(name, value): &(String, String)| match name.as_str() {
            "threads" => value.trim().parse::<u32>().is_ok_and(|count| count > 1),
            "enable-threads" => !off(value),
            _ => false,
        };
        let at = self.all.iter().position(is_it)?;
        let (name, value) = &self.all[at];
        let setting = if name == "threads" { format!("threads = {}", value.trim()) } else { name.clone() };
        let file = self.files.iter().rev().find(|(begin, _)| *begin <= at);
        Some(file.map_or(setting.clone(), |(_, file)| format!("{setting} in {file}")))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.all.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What an option certainly is; an error if that depends on what is not known here.
    fn certain(&self, name: &str) -> Result<Option<&str>, Doubtful> {
        let mut of_name = self.all.iter().enumerate().filter(|(_, (known, _))| known == name).peekable();
        let is_given = of_name.peek().is_some();
        match of_name.find(|(at, _)| !self.doubtful.contains(at)) {
            Some((_, (_, value))) => Ok(Some(value)),
            None if is_given => Err(Doubtful),
            None => Ok(None),
        }
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The command that loads the application as this one does, and ends.
    fn trial(&self, argv: &[String]) -> Option<Box<[String]>> {
        let mut trial: Vec<String> = Vec::new();
        let mut words = argv.iter();
        let mut routers_left_out = 0;
        while let Some(word) = words.next() {
            let option = word.strip_prefix("--").unwrap_or_default();
            let (name, has_value) = option.split_once('=').map_or((option, false), |(name, _)| (name, true));
            let is_router = ROUTERS.contains(&name);
            if is_router || LOGS.contains(&name) {
                routers_left_out += usize::from(is_router);
                if !has_value {
                    words.next();
                }
                continue;
            }
            // What is in a file of another kind is not known here.
            if [".yaml", ".yml", ".xml", ".json"].iter().any(|end| word.ends_with(end)) {
                return None;
            }
            // Read where it stands, and not after all that follows.
            let is_named = trial.last().is_some_and(|before| NAME_FILES.contains(&before.as_str()));
            if (word.ends_with(".ini") || word.contains(".ini:")) && !word.starts_with('-') && !is_named {
                trial.push("--ini".to_owned());
            }
            trial.push(word.clone());
        }
        let routers = ROUTERS.iter().map(|name| self.all(name).count()).sum::<usize>();
        for (name, value) in [
            ("lazy-apps", "false"),
            ("lazy", "false"),
            ("vacuum", "false"),
            ("pidfile", "/proc/self/comm"),
            ("pidfile2", "/proc/self/comm"),
        ] {
            trial.extend(["--set".to_owned(), format!("{name}={value}")]);
        }
        trial.push("--no-server".to_owned());
        (routers == routers_left_out).then(|| trial.into())
    }

    /// An answer on its first socket: it may be bound long before the application is there.
    fn probe(&self, draft: &Draft<'_>) -> Option<Probe> {
        let sure = |name: &str| self.certain(name).ok().flatten();
        let http = ["http-socket", "http", "http11-socket"].into_iter().find_map(sure);
        let speaks_http = http.is_some() || self.certain("protocol").ok()? == Some("http");
        let socket = http.or_else(|| sure("socket")).or_else(|| sure("uwsgi-socket"))?;
        // uWSGI's own variables, descriptors, shared and abstract sockets: it will tell us.
        if socket.is_empty() || socket.contains(['%', '$', '@', '=']) || socket.starts_with("fd:") {
            return None;
        }
        let address = if socket.starts_with('/') {
            ProbeAddress::Unix(socket.into())
        } else if !socket.contains(':') {
            // It goes to its folder before it binds.
            let folder = self.certain("chdir").ok()?.unwrap_or("");
            if folder.contains(['%', '$', '@']) {
                return None;
            }
            ProbeAddress::Unix(draft.resolve(folder).join(socket))
        } else {
            ProbeAddress::Tcp(host_and_port(socket, None)?)
        };
        Some(any_answer(address, speaks_http))
    }
}

/// The options in a section of an ini file, and whether they count in any case.
fn ini(text: &str, wanted: &str) -> Vec<(String, String, bool)> {
    let (mut inside, mut is_sure) = (false, true);
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.trim_end().trim_end_matches(']').trim() == wanted;
        } else if inside && !line.starts_with([';', '#']) {
            let (name, value) = line.split_once('=').unwrap_or((line, "true"));
            let (name, value) = (name.trim(), value.trim());
            match name {
                "" => {}
                "endif" | "end-if" | "endfor" | "end-for" => is_sure = true,
                "ifenv" | "ifexists" | "ifplugin" | "ifdir" | "for" => is_sure = false,
                name if name.starts_with("if-") || name.starts_with("for-") => is_sure = false,
                name => found.push((name.to_owned(), value.to_owned(), is_sure)),
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_in_their_section_only() {
        let text = "master = false\n[other]\nsocket = :1\n[uwsgi]\n; socket = :2\nsocket = :3\nlazy-apps\n";
        let read = |section: &str| {
            let found = ini(text, section);
            found
                .into_iter()
                .map(|(name, value, is_sure)| format!("{name} {value} {is_sure}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(read("uwsgi"), ["socket :3 true", "lazy-apps true true"]);
        assert_eq!(read("other"), ["socket :1 true"]);
    }

    #[test]
    fn what_stands_in_an_if_or_a_for_is_doubtful() {
        let text =
            "[uwsgi]\nif-env = X\na = 1\nendif =\nb = 2\nfor = 1 2\nc = 3\nendfor =\nifdir = /x\nd = 4\n";
        let sure: Vec<_> = ini(text, "uwsgi").into_iter().map(|(name, _, is_sure)| (name, is_sure)).collect();
        let expected = [("a", false), ("b", true), ("c", false), ("d", false)];
        assert_eq!(sure, expected.map(|(name, is_sure)| (name.to_owned(), is_sure)));
    }
}
