//! All log files of ours: one for each path, however many streams lead there, so that no
//! two writers mix their lines.

use super::file::LogFile;
use crate::core::plan::FileSink;
use crate::core::time::Moment;
use ::log::warn;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A file in the table.
pub(super) type FileId = u16;

/// See the head of this file.
#[derive(Default)]
pub(super) struct Files {
    list: Vec<Option<LogFile>>,
    /// The one whose old file is being compressed: one at a time is enough of a burden.
    compressing: Option<FileId>,
}

/// An old log file that another process is to compress, for PID 1 has no time for it.
#[derive(Debug)]
pub struct Compression {
    /// What is compressed: open, for it may be renamed meanwhile, and another get its name.
    pub from: OwnedFd,
    /// Where to; what is there is an earlier try.
    pub to: PathBuf,
}

impl Files {
    /// The file at this path, for one more stream. `None` if there are too many files.
    pub(super) fn open(&mut self, sink: &FileSink, number: u32) -> Option<FileId> {
        let path = sink.of_instance(number);
        let is_it =
            |file: &Option<LogFile>| file.as_ref().is_some_and(|f| f.path().as_os_str() == path.as_os_str());
        let known = self.list.iter().position(is_it).or_else(|| self.list.iter().position(Option::is_none));
        let id = FileId::try_from(known.unwrap_or(self.list.len())).ok()?;
        if known.is_none() {
            self.list.push(None);
        }
        let file = self.list[usize::from(id)].get_or_insert_with(|| LogFile::new(path, sink));
        file.sink = sink.clone();
        file.users += 1;
        Some(id)
    }

    /// A stream that led there leads there no more.
    pub(super) fn close(&mut self, id: FileId) {
        if let Some(file) = &mut self.list[usize::from(id)] {
            file.users -= 1;
        }
        self.forget_idle(id);
    }

    pub(super) fn get(&mut self, id: FileId) -> Option<&mut LogFile> {
        self.list.get_mut(usize::from(id))?.as_mut()
    }

    /// When [`retry`](Self::retry) has something to do.
    pub(super) fn retry_at(&self) -> Option<Moment> {
        self.list.iter().flatten().filter_map(LogFile::retry_at).min()
    }

    /// Tries to write what waits, and tells what happened.
    pub(super) fn retry(&mut self, now: Moment) {
        self.each(|file| file.retry(now));
    }

    /// Opens all anew.
    pub(super) fn reopen(&mut self, now: Moment) {
        self.each(|file| file.reopen(now));
    }

    /// Tells what happened to them.
    pub(super) fn tell(&mut self) {
        for news in self.list.iter_mut().flatten().flat_map(LogFile::take_news) {
            warn!("{news}");
        }
    }

    /// The next compression, if none is under way.
    pub(super) fn compress(&mut self) -> Option<Compression> {
        if self.compressing.is_some() {
            return None;
        }
        let mut files = self.list.iter_mut().enumerate();
        let found = files.find_map(|(id, file)| Some((id, file.as_mut()?.compress()?)));
        self.tell();
        let (id, (from, to)) = found?;
        self.compressing = Some(id as FileId);
        Some(Compression { from, to })
    }

    /// The compression has ended.
    pub(super) fn compressed(&mut self, result: Result<(), String>) {
        let Some(id) = self.compressing.take() else { return };
        if let Some(file) = self.get(id) {
            file.compressed(result);
        }
        self.tell();
        self.forget_idle(id);
    }

    fn each(&mut self, work: impl Fn(&mut LogFile)) {
        self.list.iter_mut().flatten().for_each(work);
        self.tell();
        for id in 0..self.list.len() as FileId {
            self.forget_idle(id);
        }
    }

    fn forget_idle(&mut self, id: FileId) {
        self.list[usize::from(id)].take_if(|file| file.is_idle());
    }
}
