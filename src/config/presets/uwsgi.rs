//! uWSGI.
use crate::config::diagnostics::Problems;
use crate::config::launch::Draft;
use crate::core::plan::Probe;

/// Completes the command.
pub fn adjust(_draft: &mut Draft<'_>, _problems: &mut Problems) -> Option<Probe> {
    None
}
