//! `hooks`: commands around a service's life.

use super::diagnostics::Problems;
use super::file::Value;
use super::probe::some_time;
use super::view::View;
use crate::core::plan::{Hooks, Kind};

/// `hooks`; `None` if there are none.
pub fn hooks(
    service: &View<'_>,
    kind: Kind,
    is_ever_ready: bool,
    problems: &mut Problems,
) -> Option<Box<Hooks>> {
    let field = service.get("hooks")?;
    match &field.node.value {
        Value::String(text) if text == "none" => return None,
        Value::Table(_) => {}
        _ => return field.wrong(r#"a table such as { before_start = ["./migrate"] }, or "none""#, problems),
    }
    let table = service.inside("hooks", "hooks.");
    let timeout = table.get("timeout").and_then(|timeout| some_time(timeout, problems));
    let mut command = |name: &'static str| table.get(name).and_then(|field| field.command(problems));
    let hooks = Hooks {
        before_start: command("before_start"),
        after_ready: command("after_ready"),
        before_stop: command("before_stop"),
        after_exit: command("after_exit"),
        timeout: timeout?,
    };
    if let Some(field) = table.get("after_ready")
        && kind == Kind::Oneshot
        && !is_ever_ready
        && field.layer == 0
    {
        let message = "a oneshot without `ready` is never ready";
        problems.error(field.key, message).mark("`after_exit` runs when it is done");
    }
    let none = Hooks { timeout: hooks.timeout, ..Hooks::default() };
    (hooks != none).then(|| Box::new(hooks))
}
