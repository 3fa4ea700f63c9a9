//! Nothing panics, and whoever is refused is told where: for a few seconds of random
//! bytes, mutated references and random trees. `PROPTEST_CASES=100000` for longer.

use super::{Folder, around};
use minisup::config::keys::{self, INSIDE, Key};
use minisup::config::load;
use proptest::prelude::*;
use std::path::Path;

fn reference() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/reference.toml")).unwrap()
}

/// Reads it, and prints what is wrong with it.
fn check(text: &[u8]) -> Result<(), TestCaseError> {
    let folder = Folder::new();
    let path = folder.write("supervise.toml", text);
    match load(&[path], &around()) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                let _ = warning.to_string();
            }
        }
        Err(errors) => {
            prop_assert!(!errors.list.is_empty());
            for error in &errors.list {
                let placed = error.place.as_ref().is_some_and(|p| p.line > 0 && p.column > 0);
                prop_assert!(placed, "without a place: {error}");
            }
            let printed = errors.to_string();
            prop_assert!(printed.contains("supervise.toml:"), "{}", printed);
        }
    }
    Ok(())
}

/// Keys that exist, and some that do not.
fn key() -> impl Strategy<Value = String> {
    let groups: Vec<&[Key]> = [keys::TOP, keys::SUPERVISOR, keys::SERVICE]
        .into_iter()
        .chain(INSIDE.iter().flat_map(|(_, groups)| groups.iter().copied()))
        .collect();
    let names: Vec<String> = groups.into_iter().flatten().map(|key| key.name.to_owned()).collect();
    prop_oneof![8 => proptest::sample::select(names), 1 => "[a-z_]{1,8}", 1 => Just("\"\\u0007 .\"".to_owned())]
}

/// Values that could be right somewhere.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        (-2i64..70000).prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:?}")),
        any::<bool>().prop_map(|b| b.to_string()),
        proptest::sample::select(vec![
            "\"TERM\"",
            "\"5s\"",
            "\"64KiB\"",
            "\"a:ready\"",
            "\"a\"",
            "\"b\"",
            "\"nginx\"",
            "\"uwsgi\"",
            "\"gunicorn\"",
            "\"postgres\"",
            "\"127.0.0.1:80\"",
            "\"http://h/\"",
            "\"/run/x\"",
            "\"${NAME}\"",
            "\"${NONE}\"",
            "\"${NONE:-${NAME}}\"",
            "\"$${\"",
            "\"\"",
            "\"www-data\"",
            "\"unlimited\"",
            "\"oneshot\"",
            "\"true\"",
            "\"nginx -g 'daemon off;' -c\"",
            "1979-05-27",
            "0o22",
            "\"\\u0000\"",
            "\"é\\t\u{202e}\"",
            "nan",
            "-inf",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,12}".prop_map(|s| format!("{s:?}")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(", "))),
            proptest::collection::vec((key(), inner), 0..4).prop_map(|pairs| {
                let pairs: Vec<_> =
                    pairs.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
                format!("{{ {} }}", pairs.join(", "))
            }),
        ]
    })
}

fn table() -> impl Strategy<Value = String> {
    let header = proptest::sample::select(vec![
        "supervisor",
        "environment",
        "defaults",
        "signals",
        "service.a",
        "service.b",
        "service.c",
        "service.a.ready",
        "service.b.stop",
        "service.c.health",
        "defaults.log",
        "defaults.limits",
        "service",
        "gateway",
    ]);
    let line = (key(), value()).prop_map(|(key, value)| format!("{key} = {value}\n"));
    (header, proptest::collection::vec(line, 0..8)).prop_map(|(header, lines)| {
        let command = if header.starts_with("service.") && !header[8..].contains('.') {
            "command = \"a\"\n"
        } else {
            ""
        };
        format!("[{header}]\n{command}{}", lines.concat())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(256), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        check(&bytes)?;
    }

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        check(text.as_bytes())?;
    }

    #[test]
    fn toml_like_text(text in "[\\[\\]{}\"'=.,#\n a-c0-9$:\\\\-]{0,200}") {
        check(text.as_bytes())?;
    }

    #[test]
    fn random_trees(tables in proptest::collection::vec(table(), 0..8)) {
        check(tables.concat().as_bytes())?;
    }

    #[test]
    fn mutated_references(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..8)) {
        let mut bytes = reference().into_bytes();
        for (at, byte, kind) in changes {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                // A line that was an example comes alive.
                _ => {
                    if let Some(hash) = bytes[at..].windows(3).position(|w| w == b"\n# ") {
                        bytes.drain(at + hash + 1..at + hash + 3);
                    }
                }
            }
        }
        check(&bytes)?;
    }
}
