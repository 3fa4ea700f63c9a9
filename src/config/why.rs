//! Which layer each key of a service comes from, for `check --plan`.

use super::diagnostics::{Origin, Sources, Span};
use super::file::{Table, Value};
use super::keys::INSIDE;
use crate::core::sorted::Map;

/// Who gave a key its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The service itself: the file and the line.
    Service(String),
    /// `[defaults]`: the file and the line.
    Defaults(String),
    /// The preset of this name.
    Preset(&'static str),
}

/// All keys of a service that are not at their defaults, with dots for those of inner
/// tables (`stop.signal`), and who gave each of them. What the uppermost layer says counts.
pub fn of(layers: &[(Layer, &Table)], sources: &Sources) -> Map<String, Source> {
    let mut found = Map::new();
    for (layer, table) in layers {
        for (name, entry) in &table.0 {
            let inner = match &entry.node.value {
                Value::Table(inner) if INSIDE.iter().any(|(known, _)| *known == &**name) => Some(inner),
                _ => None,
            };
            match inner {
                Some(inner) => {
                    for (key, entry) in &inner.0 {
                        let name = format!("{name}.{key}");
                        found.get_or_insert_with(name, || layer.source(entry.key, sources));
                    }
                }
                None => {
                    found.get_or_insert_with(name.to_string(), || layer.source(entry.key, sources));
                }
            }
        }
    }
    found
}

/// A layer that can be named.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Layer {
    Service,
    Preset(&'static str),
    Defaults,
}

impl Layer {
    fn source(self, span: Span, sources: &Sources) -> Source {
        match self {
            Layer::Service => Source::Service(place(span, sources)),
            Layer::Defaults => Source::Defaults(place(span, sources)),
            Layer::Preset(name) => Source::Preset(name),
        }
    }
}

/// The file and the line.
pub fn place(span: Span, sources: &Sources) -> String {
    match &sources.get(span.source).origin {
        Origin::File(path) => format!("{}:{}", path.display(), sources.line(span)),
        Origin::Preset(name) => format!("preset {name}"),
        Origin::Defaults => "default".to_owned(),
    }
}
