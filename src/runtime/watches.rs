//! Files that are watched, so that a service reads them again when they change.
//!
//! inotify(7) tells that something happens in the folders that lead to a file: also in those that
//! hold a symbolic link on the way there, for that is how Kubernetes puts a new ConfigMap in
//! place (`..data` becomes a link to another folder), and how releases are switched. Editors
//! rename a new file over the old one. So what is told is only an occasion to look: what counts is
//! whether another file is there now, by its number, its size and the time of its last change.
//!
//! Many changes at once are one: we look when there has been quiet for half a second, or after
//! five seconds without quiet; and a quarter of a second later once more, for a file that is being
//! written tells nothing between its first byte and its last. A file that is not there yet is waited for; one that goes away
//! is no news before it is back. While the service is still starting, the news wait.

use super::turn::Turn;
use crate::core::ids::ServiceId;
use crate::core::input::Input;
use crate::core::instance::State;
use crate::core::plan::Plan;
use crate::core::sorted::{Map, Set};
use crate::core::time::Moment;
use crate::sys::clock;
use crate::sys::watch::{Kept, Watched};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

/// So long nothing has to happen before we look.
const QUIET: Duration = Duration::from_millis(500);

/// So long we wait for quiet at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// So long a file has to stay as it is before it counts as changed, if it ever stays: so often
/// we look.
const CALM: Duration = Duration::from_millis(250);
const LOOKS_MAX: u32 = 20;

/// So many files of one pattern are looked at.
const FILES_MAX: usize = 1000;

/// So many links may lead to a file (path_resolution(7)).
const LINKS_MAX: u32 = 40;

/// All that is watched.
#[derive(Default)]
pub(super) struct Watches {
    eyes: Option<Watched<Kept<Inotify>>>,
    entries: Vec<Entry>,
    places: Map<WatchDescriptor, (PathBuf, Names)>,
    /// When we look: after so much quiet, but not later than this.
    due: Option<(Moment, Moment)>,
    has_warned: bool,
}

/// What one service watches.
struct Entry {
    service: ServiceId,
    patterns: Vec<(String, Files)>,
    /// What was found at the last look, if it was something new, and how often that was so.
    unsure: Option<(Vec<Option<Files>>, u32)>,
    /// It has changed, and the service does not know yet.
    has_news: bool,
}

/// What there is of a pattern.
type Files = Map<PathBuf, Stamp>;

/// By what a file is known to be another one: device, number, size, last change.
type Stamp = (u64, u64, u64, i64, i64);

/// Of a folder, what matters; `None` is everything.
type Names = Option<Set<OsString>>;

impl Watches {
    /// From now on these files are watched.
    pub(super) fn follow(&mut self, plan: &Plan, order: &[ServiceId]) {
        let mut before = std::mem::take(&mut self.entries);
        for service in order.iter().copied() {
            let Some(patterns) = &plan.service(service).watch else { continue };
            let is_same = |it: &Entry| {
                it.service == service && it.patterns.iter().map(|(pattern, _)| pattern).eq(patterns)
            };
            self.entries.push(match before.iter().position(is_same) {
                Some(at) => before.swap_remove(at),
                None => {
                    let look = |pattern: &String| (pattern.clone(), look(pattern).unwrap_or_default());
                    let patterns = patterns.iter().map(look).collect();
                    Entry { service, patterns, unsure: None, has_news: false }
                }
            });
        }
        if self.entries.is_empty() {
            (self.eyes, self.due) = (None, None);
            self.places.clear();
            return;
        }
        if let Err(error) = self.watch_places() {
            self.warn(error);
        }
        // What changed before we began to watch.
        self.stir();
    }

    fn warn(&mut self, error: nix::errno::Errno) {
        if !std::mem::replace(&mut self.has_warned, true) {
            let what = error.desc().to_lowercase();
            log::warn!(
                "cannot watch all files ({what}): see fs.inotify.max_user_watches and max_user_instances"
            );
        }
    }

    /// Watches every folder on the way to every file, and no other.
    fn watch_places(&mut self) -> nix::Result<()> {
        if self.eyes.is_none() {
            let eyes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
            self.eyes = Some(Watched::new(Kept(eyes)).map_err(|_| nix::errno::Errno::ENOMEM)?);
        }
        let Some(eyes) = &self.eyes else { return Ok(()) };
        let mut wanted = Map::new();
        for (pattern, _) in self.entries.iter().flat_map(|it| &it.patterns) {
            ways_to(pattern, &mut wanted);
        }
        let what = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let before = std::mem::take(&mut self.places);
        let mut result = Ok(());
        for (folder, names) in wanted {
            match eyes.add_watch(&folder, what) {
                Ok(place) => {
                    // Two paths may be one folder.
                    let (_, known) = self.places.get_or_insert_with(place, || (folder, Some(Set::new())));
                    merge(known, names);
                }
                // It has gone since: then something happened in the folder above it.
                Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR) => {}
                Err(errno) => result = Err(errno),
            }
        }
        for place in
            before.into_iter().map(|(place, _)| place).filter(|place| !self.places.contains_key(place))
        {
            let _ = eyes.rm_watch(place);
        }
        result
    }

    /// Something has happened: we look when there is quiet.
    fn stir(&mut self) {
        let now = clock::now();
        let latest = self.due.map_or(now + PATIENCE, |(_, latest)| latest);
        self.due = Some((now + QUIET, latest));
    }

    /// Returns when something has happened, or there has been quiet for long enough.
    pub(super) async fn ready(&self) {
        let Some(eyes) = &self.eyes else { return std::future::pending().await };
        let happens = eyes.ready();
        match self.due {
            Some((quiet, latest)) => drop(timeout(quiet.min(latest).since(clock::now()), happens).await),
            None => happens.await,
        }
    }

    /// Whether anything has happened that may matter.
    fn hear(&mut self) {
        let mut matters = false;
        while let Some(events) = self.eyes.as_ref().and_then(|eyes| eyes.read_events().ok()) {
            for event in events {
                matters |= event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW)
                    || match (self.places.get(&event.wd), &event.name) {
                        (Some((_, Some(names))), Some(name)) => names.contains(name),
                        (Some((_, None)), _) | (Some(_), None) => true,
                        (None, _) => false,
                    };
            }
        }
        if matters {
            self.stir();
        }
    }
}

impl Entry {
    fn look(&mut self) {
        // One that goes away is no news before it is back.
        let new = |(pattern, before): &(String, Files)| look(pattern).filter(|now| now != before);
        let found: Vec<Option<Files>> = self.patterns.iter().map(new).collect();
        if found.iter().all(Option::is_none) {
            self.unsure = None;
            return;
        }
        match self.unsure.take() {
            Some((before, looks)) if before != found && looks < LOOKS_MAX => {
                self.unsure = Some((found, looks + 1));
            }
            None => self.unsure = Some((found, 1)),
            Some(_) => {
                self.has_news = true;
                for ((_, files), now) in self.patterns.iter_mut().zip(found) {
                    *files = now.unwrap_or_else(|| std::mem::take(files));
                }
            }
        }
    }
}

impl Turn {
    /// Tells of files that have changed.
    pub(super) fn take_changes(&mut self) {
        self.rounds.watches.hear();
        let Some((quiet, latest)) = self.rounds.watches.due else { return };
        if quiet.min(latest) > clock::now() {
            return;
        }
        self.rounds.watches.due = None;
        // First watched, then looked at: so that nothing happens in between.
        if let Err(error) = self.rounds.watches.watch_places() {
            self.rounds.watches.warn(error);
        }
        self.rounds.watches.entries.iter_mut().for_each(Entry::look);
        if self.rounds.watches.entries.iter().any(|it| it.unsure.is_some()) {
            let again = clock::now() + CALM;
            self.rounds.watches.due = Some((again, again));
        }
        for index in 0..self.rounds.watches.entries.len() {
            let Entry { service, has_news: true, .. } = self.rounds.watches.entries[index] else { continue };
            if self.is_starting(service) {
                self.rounds.watches.stir();
                continue;
            }
            self.rounds.watches.entries[index].has_news = false;
            log::info!("files that {} watches have changed", self.supervisor.plan().service(service).name);
            self.tell(Input::Changed(service));
            self.perform_all();
        }
    }

    fn is_starting(&self, service: ServiceId) -> bool {
        self.supervisor.instances_of(service).any(|id| match self.supervisor.instance(id).state {
            State::Launching { .. }
            | State::Executing { .. }
            | State::Preparing { .. }
            | State::Starting { .. } => true,
            State::Stopped
            | State::Waiting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Killing { .. }
            | State::Sweeping { .. }
            | State::Backoff { .. }
            | State::Exited { .. }
            | State::Fatal { .. } => false,
        })
    }
}

/// What there is of a pattern now; `None` if it is one file or folder and not there.
fn look(pattern: &str) -> Option<Files> {
    let mut files = Files::new();
    if !has_wildcard(pattern) {
        note(Path::new(pattern), &mut files)?;
        return Some(files);
    }
    for path in glob::glob(pattern).into_iter().flatten().flatten().take(FILES_MAX) {
        note(&path, &mut files);
    }
    Some(files)
}

/// A file, or what is in a folder.
fn note(path: &Path, files: &mut Files) -> Option<()> {
    let stamp = |it: &fs::Metadata| (it.dev(), it.ino(), it.size(), it.mtime(), it.mtime_nsec());
    let it = fs::metadata(path).ok()?;
    if !it.is_dir() {
        files.insert(path.to_owned(), stamp(&it));
        return Some(());
    }
    for entry in fs::read_dir(path).ok()?.flatten().take(FILES_MAX) {
        if let Ok(it) = fs::metadata(entry.path())
            && !it.is_dir()
        {
            files.insert(entry.path(), stamp(&it));
        }
    }
    Some(())
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The folders in which something may happen that matters for a pattern.
fn ways_to(pattern: &str, out: &mut Map<PathBuf, Names>) {
    if !has_wildcard(pattern) {
        return walk(Path::new(pattern), out, LINKS_MAX, true);
    }
    let is_plain = |part: &Component<'_>| !has_wildcard(&part.as_os_str().to_string_lossy());
    let fixed: PathBuf = Path::new(pattern).components().take_while(is_plain).collect();
    walk(&fixed, out, LINKS_MAX, true);
    for path in glob::glob(pattern).into_iter().flatten().flatten().take(FILES_MAX) {
        walk(&path, out, LINKS_MAX, true);
    }
}

/// Follows a path from the root: notes each folder that holds a link of it, the first that
/// lacks the next part, and the one at its end, with what leads to the files in it if these count.
fn walk(path: &Path, out: &mut Map<PathBuf, Names>, links: u32, files_count: bool) {
    let mut at = PathBuf::from("/");
    let mut parts = path.components();
    while let Some(part) = parts.next() {
        let name = match part {
            Component::Normal(name) => name,
            Component::ParentDir => {
                at.pop();
                continue;
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
        };
        let next = at.join(name);
        match fs::symlink_metadata(&next) {
            Ok(it) if it.is_symlink() => {
                see(&at, name, out);
                if let (Ok(target), Some(links)) = (fs::read_link(&next), links.checked_sub(1)) {
                    walk(&at.join(target).join(parts.as_path()), out, links, files_count);
                }
                return;
            }
            Ok(it) if it.is_dir() => {
                if parts.as_path().as_os_str().is_empty() {
                    see(&at, name, out);
                    if files_count {
                        see_files(&next, out, links);
                    }
                }
                at = next;
            }
            Ok(_) | Err(_) => return see(&at, name, out),
        }
    }
}

/// All of a folder, and the ways to files that links in it lead to. Folders in it are not looked into,
/// whether they are links or not.
fn see_files(folder: &Path, out: &mut Map<PathBuf, Names>, links: u32) {
    merge(out.get_or_insert_with(folder.to_owned(), || None), None);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten().take(FILES_MAX) {
        if entry.file_type().is_ok_and(|it| it.is_symlink()) {
            walk(&entry.path(), out, links, false);
        }
    }
}

fn see(folder: &Path, name: &OsStr, out: &mut Map<PathBuf, Names>) {
    let names = Some(Set::from([name.to_owned()]));
    merge(out.get_or_insert_with(folder.to_owned(), || Some(Set::new())), names);
}

fn merge(known: &mut Names, more: Names) {
    match (known.as_mut(), more) {
        (Some(names), Some(more)) => names.extend(more),
        (Some(_), None) => *known = None,
        (None, _) => {}
    }
}
