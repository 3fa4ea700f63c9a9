//! Why the presets say what they say, for whoever asks `minisup check`.

use crate::core::plan::{Probe, ServiceSpec};

/// Why this preset gives a service this key; `None` where there is nothing to explain.
pub fn why(preset: &str, key: &str, spec: &ServiceSpec) -> Option<&'static str> {
    // Somebody has taken it away.
    if key == "reload" && spec.reload.is_none() || key == "reopen" && spec.reopen.is_none() {
        return None;
    }
    let probe = spec.ready.as_ref().map(|ready| &ready.probe);
    Some(match (preset, key, probe) {
        (_, "reopen", _) => "it opens its log files again",
        (_, "user", _) => "it keeps the data of others",
        ("nginx", "ready", Some(Probe::File(_))) => "it writes that file when it listens everywhere",
        ("nginx", "ready", _) => "nobody says where its pid file is",
        ("nginx", "stop", _) => "QUIT lets requests finish, but has no bound of its own",
        ("nginx", "reload", _) => "new workers take over its listeners; a wrong configuration is not tried",
        ("nginx", "after", _) => "it is launched when they answer, and stops before them",
        ("gunicorn", "ready", Some(Probe::Http(_))) => "its READY=1 comes before there is a worker",
        ("gunicorn", "ready", Some(Probe::Tcp(_) | Probe::Unix(_))) => "it speaks TLS there",
        ("gunicorn" | "uwsgi", "ready", Some(Probe::Notify)) => "where it answers cannot be known",
        ("uwsgi", "ready", _) => "its READY=1 may come before the application is loaded",
        ("gunicorn", "stop", _) => "TERM lets requests finish",
        ("gunicorn", "reload", _) => "HUP with code that does not load would end it",
        ("uwsgi", "stop", _) => "with the hook TERM lets requests finish; INT cuts them off",
        ("uwsgi", "reload", _) => "it lets requests finish, and executes itself anew in the same process",
        ("postgres", "stop", _) => "INT rolls back and writes; TERM would wait for every client to leave",
        ("postgres", "ready", _) => "it accepts connections before it has recovered",
        ("redis", "ready", Some(Probe::Exec(_))) => "it listens while it still loads",
        ("redis", "stop", _) => "it saves what is to be saved",
        ("mariadb" | "mysql" | "mongodb", "stop", _) => "everything is written first, which may take long",
        _ => return None,
    })
}
