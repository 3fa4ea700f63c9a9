//! `watch`: files, folders and patterns whose change reloads a service.

use super::diagnostics::Problems;
use super::view::View;
use std::path::Path;

/// `watch`: absolute, or in the service's working directory. `None` if there is nothing to watch.
pub fn watch(service: &View<'_>, directory: Option<&Path>, problems: &mut Problems) -> Option<Box<[String]>> {
    let field = service.get("watch")?;
    let mut patterns = Vec::new();
    for (text, element) in field.texts(problems)? {
        let path = directory.unwrap_or(Path::new("")).join(text);
        if !path.is_absolute() {
            let message = format!("`watch` of \"{text}\": a path that begins with / is needed");
            problems.error(element.span(), message).mark("or set `directory`");
            continue;
        }
        let path = path.to_string_lossy().into_owned();
        match glob::Pattern::new(&path) {
            Ok(_) => patterns.push(path),
            Err(error) => {
                problems.error(element.span(), format!("`watch` of \"{text}\": {}", error.msg));
            }
        }
    }
    (!patterns.is_empty()).then(|| patterns.into())
}
