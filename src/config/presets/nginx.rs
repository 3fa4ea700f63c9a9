//! nginx.
//!
//! It puts itself in the background unless told `daemon off;`, and refuses to start when
//! told twice: so it is added, but only where neither the command nor nginx.conf says it.
//! It tells nobody when it is ready, but writes its pid file then; where nobody says which that is, a
//! connection to where it listens tells as much. It knows no LISTEN_FDS, but takes
//! sockets from `NGINX=3;4;`, as from a predecessor of its own; those that no `listen` names it closes.
//!
//! HUP with a configuration that nginx cannot carry out (an address that somebody else has, a log that it
//! may not write) leaves the old workers as they are, and `nginx -t`, another process with other
//! rights a moment earlier, may have liked it: so it has read it only when there are new workers. It
//! tries an address five times, half a second apart.
//!
//! Its title covers its environment, so `NGINX=` does not tell a new binary's master, but the title does. From
//! 1.13.8 on it heeds USR2 only if it has changed its parent, hence never in the foreground.

use super::nginx_conf::{Statement, directive, directives, statements, statements_of};
use super::{is_script, not_itself};
use crate::config::diagnostics::Problems;
use crate::config::launch::Draft;
use crate::config::probe::host_and_port;
use crate::core::plan::{Heirs, Probe, Told};
use std::path::PathBuf;
use std::time::Duration;

/// Where it writes its pid if nobody says where, as it is built: by Debian, by nginx.org, from source.
const PID_FILES: [&str; 3] = ["/run/nginx.pid", "/var/run/nginx.pid", "/usr/local/nginx/logs/nginx.pid"];

/// Where it complains if nobody says where, as it is built.
const LOGS: [&str; 2] = ["/var/log/nginx/error.log", "/usr/local/nginx/logs/error.log"];

/// So long new workers may take, besides reading the configuration.
const RENEWAL: Duration = Duration::from_secs(5);

/// Adds `-g 'daemon off;'`, and makes the check for a reload.
pub fn adjust(draft: &mut Draft<'_>, problems: &mut Problems) -> Option<Probe> {
    if draft.argv.is_empty() {
        return None;
    }
    if draft.program() != "nginx" && !draft.program().starts_with("nginx-") || is_script(draft.program()) {
        not_itself(draft, "nginx", problems);
        return None;
    }
    if let Some(held) = &mut draft.sockets {
        held.told = Told::AsNginx;
        draft.adjusted.push("its sockets are told by NGINX=: each must be the address of a `listen`".into());
    }
    let arguments = Arguments::read(&draft.argv);
    let conf = arguments.conf(draft);
    let global = arguments.global.map(|(_, text)| statements(&format!("{text};"))).unwrap_or_default();
    let of_line = |name: &str| directive(&global, name);
    let on_line = in_background(&global);
    let in_file = conf.as_ref().and_then(|(_, statements)| in_background(statements));
    let place = arguments.global.map(|(at, _)| at);
    // nginx refuses a directive without its end.
    if let Some(word) = place.map(|at| &mut draft.argv[at])
        && !word.trim_end().ends_with([';', '}'])
    {
        word.push(';');
    }
    match (on_line, in_file) {
        (Some(true), _) | (None, Some(true)) => {
            let message =
                "nginx is told `daemon on`: it puts itself in the background and seems to have ended";
            let problem = problems.warning(draft.span, message);
            match (in_file, &conf) {
                (Some(true), Some((path, _))) => problem.mark(format!("take it out of {}", path.display())),
                _ => problem.mark("say `daemon off;`"),
            };
        }
        (Some(false), Some(_)) => {
            if let Some((path, _)) = &conf {
                let message = format!("nginx refuses to start: `daemon` is also in {}", path.display());
                problems.warning(draft.span, message).mark("say it in one place only");
            }
        }
        (Some(false), None) | (None, Some(false)) => {}
        (None, None) => {
            match place {
                // A second -g would replace the first.
                Some(at) => draft.argv[at].push_str(" daemon off;"),
                None => draft.argv.extend(["-g".to_owned(), "daemon off;".to_owned()]),
            }
            draft.adjusted.push("added -g 'daemon off;', so that it stays in the foreground".into());
        }
    }
    let mut check = vec![draft.argv[0].clone(), "-t".into(), "-q".into()];
    check.extend(Arguments::read(&draft.argv).kept.iter().map(|word| word.to_string()));
    draft.check = Some(check.into());
    let of_file = |name: &str| conf.as_ref().and_then(|(_, statements)| directive(statements, name));
    let is_alone = of_line("master_process").or_else(|| of_file("master_process"));
    draft.renews = is_alone.is_none_or(|value| value != "off").then_some(RENEWAL);
    draft.logs = logs(&global, conf.as_ref().map_or(&[], |(_, statements)| statements));
    // The pid file is written when nginx.conf has been read and everything listens. Where
    // the path is built in, nobody can know it.
    let pid =
        of_line("pid").or_else(|| of_file("pid")).filter(|path| path.starts_with('/')).map(PathBuf::from);
    let pid_files = match &pid {
        Some(pid) => [pid.clone()].into(),
        None => PID_FILES.map(PathBuf::from).into(),
    };
    draft.heirs = Some(Heirs { pid_files, titles: ["nginx: master process".to_owned()].into() });
    match pid {
        Some(pid) => Some(Probe::File(pid)),
        // We listen there ourselves.
        None if draft.sockets.is_some() => None,
        None => listener(&conf?.1),
    }
}

/// The files of its `error_log`, or the one that is built in. What begins at the prefix is not known here; what goes
/// to stderr is heard anyway.
fn logs(global: &[Statement], conf: &[Statement]) -> Vec<PathBuf> {
    let named: Vec<&[String]> = [global, conf].iter().flat_map(|it| directives(it, "error_log")).collect();
    if named.is_empty() {
        return LOGS.map(PathBuf::from).into();
    }
    let paths = named.iter().filter_map(|words| words.first()).filter(|path| path.starts_with('/'));
    paths.map(PathBuf::from).collect()
}

/// A connection to the first address that it listens at, if that can be told from its own file.
fn listener(conf: &[Statement]) -> Option<Probe> {
    let mut listens = directives(conf, "listen").filter(|words| !words.iter().any(|word| word == "udp"));
    let address = listens.next()?.first()?;
    if let Some(path) = address.strip_prefix("unix:") {
        return Some(Probe::Unix(PathBuf::from(path)));
    }
    let is_port = address.bytes().all(|byte| byte.is_ascii_digit());
    let address = if is_port { format!(":{address}") } else { address.clone() };
    let address = host_and_port(&address, Some(80))?.replace("localhost:", "127.0.0.1:");
    address.parse().ok().map(Probe::Tcp)
}

/// What of nginx's arguments matters (`nginx -h`).
#[derive(Default)]
struct Arguments<'a> {
    conf: Option<&'a str>,
    prefix: Option<&'a str>,
    /// The word that holds the directives of -g, and they.
    global: Option<(usize, &'a str)>,
    /// Everything that `nginx -t` must be given too.
    kept: Vec<&'a str>,
}

impl<'a> Arguments<'a> {
    fn read(argv: &'a [String]) -> Arguments<'a> {
        let mut found = Arguments::default();
        let mut at = 1;
        while at < argv.len() {
            let word = argv[at].as_str();
            let Some(letters) = word.strip_prefix('-') else {
                at += 1;
                continue;
            };
            for (offset, letter) in letters.char_indices() {
                if !matches!(letter, 'c' | 'p' | 'g' | 'e' | 's') {
                    continue;
                }
                let rest = &letters[offset + letter.len_utf8()..];
                let (index, value) = match (rest, argv.get(at + 1)) {
                    ("", Some(next)) => (at + 1, next.as_str()),
                    (rest, _) => (at, rest),
                };
                found.kept.extend(argv[at..=index].iter().map(String::as_str));
                match letter {
                    'c' => found.conf = Some(value),
                    'p' => found.prefix = Some(value),
                    'g' => found.global = Some((index, value)),
                    _ => {}
                }
                at = index;
                break;
            }
            at += 1;
        }
        found
    }

    /// nginx.conf and what it says. A relative path begins at the prefix, which is built in.
    fn conf(&self, draft: &Draft<'_>) -> Option<(PathBuf, Vec<Statement>)> {
        let built_in = ["/etc/nginx", "/usr/share/nginx", "/usr/local/nginx"];
        let candidates: Vec<PathBuf> = match (self.prefix, self.conf) {
            (_, Some(conf)) if conf.starts_with('/') => vec![conf.into()],
            (Some(prefix), conf) => {
                let prefix = draft.resolve(prefix);
                match conf {
                    Some(conf) => vec![prefix.join(conf)],
                    None => vec![prefix.join("conf/nginx.conf"), "/etc/nginx/nginx.conf".into()],
                }
            }
            (None, Some(conf)) => built_in.iter().map(|prefix| PathBuf::from(prefix).join(conf)).collect(),
            (None, None) => vec!["/etc/nginx/nginx.conf".into(), "/usr/local/nginx/conf/nginx.conf".into()],
        };
        candidates.into_iter().find_map(|path| statements_of(&path).map(|statements| (path, statements)))
    }
}

/// What a piece of nginx configuration says of `daemon`: `Some(true)` for on.
fn in_background(statements: &[Statement]) -> Option<bool> {
    directive(statements, "daemon").map(|value| value != "off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_of_the_background_is_found() {
        let in_background = |text: &str| super::in_background(&statements(text));
        assert_eq!(in_background("user x;\ndaemon off;\nevents {}\n"), Some(false));
        assert_eq!(in_background("daemon   on ;"), Some(true));
        assert_eq!(in_background("# daemon off;\nevents {}"), None);
        let in_background = |text: &str| super::in_background(&statements(text));
        assert_eq!(in_background("user x; # daemon off;\n"), None);
        assert_eq!(in_background("log_format x 'daemon off;';"), None);
        assert_eq!(in_background("events {} daemon off;"), Some(false));
        assert_eq!(in_background("daemonic off;"), None);
        assert_eq!(in_background("map $a $b { daemon off; }"), None);
    }

    #[test]
    fn arguments_are_read_as_nginx_reads_them() {
        let argv: Vec<String> =
            ["nginx", "-c/a.conf", "-qg", "user x;", "-p", "/p"].iter().map(|w| w.to_string()).collect();
        let found = Arguments::read(&argv);
        assert_eq!((found.conf, found.prefix), (Some("/a.conf"), Some("/p")));
        assert_eq!(found.global, Some((3, "user x;")));
        assert_eq!(found.kept, ["-c/a.conf", "-qg", "user x;", "-p", "/p"]);
    }
}
