//! Where what a child writes goes, and how its lines are handled.

use super::plan::{LogFormat, with_instance};
use std::path::PathBuf;
use std::rc::Rc;

/// Where one stream of a child goes: to all of these. [`Sink::Inherit`] and [`Sink::Null`] stand
/// alone. Shared by all services that have the same.
pub type Sinks = Rc<[Sink]>;

/// One place where a stream of a child goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sink {
    /// The container's own descriptor: nothing is copied.
    Inherit,
    /// Through the pump to the container's descriptor, whole lines only.
    Forward,
    /// /dev/null.
    Null,
    /// A file of our own, rotated when it gets too large.
    File(FileSink),
    /// Nowhere but the ring of its instance, which may get this large, in bytes; 0: no ring.
    /// Without it, whatever passes through the pump is kept in a ring of the usual size.
    Ring(u32),
}

/// A file that lines are appended to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileSink {
    /// Where; absolute. `${instance}` is still in it: see [`FileSink::of_instance`].
    pub path: PathBuf,
    /// It is rotated before it gets larger than this, in bytes; `None`: never.
    pub max_size: Option<u64>,
    /// So many old ones are kept: `x.log.1` is the youngest.
    pub keep: u32,
    /// Whether old ones are compressed: `x.log.1.gz`.
    pub compress: bool,
    /// How lines look in it.
    pub format: LogFormat,
    /// Whether each line is stamped.
    pub timestamps: bool,
}

impl FileSink {
    /// Where the instance with this number within its service writes.
    pub fn of_instance(&self, number: u32) -> PathBuf {
        with_instance(&self.path.to_string_lossy(), number).into()
    }
}

impl Sink {
    /// Whether minisup reads what goes there.
    pub fn is_read(&self) -> bool {
        match self {
            Sink::Forward | Sink::File(_) | Sink::Ring(_) => true,
            Sink::Inherit | Sink::Null => false,
        }
    }
}

/// How a child's lines are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPolicy {
    /// Whether its name stands before each line, whatever the supervisor's format is.
    pub prefix: bool,
    /// Whether each line is stamped.
    pub timestamps: bool,
    /// A longer line is cut here, and marked; in bytes.
    pub max_line: usize,
    /// What happens when the container's stdout takes no more.
    pub when_full: WhenFull,
}

/// What happens when a sink takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The child waits.
    Block,
    /// Lines are dropped, counted, and the count is said.
    Drop,
}
