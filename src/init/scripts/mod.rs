//! What becomes of the files in a database's directory of scripts, and of its migrations.
//!
//! ```text
//!  listing ─► preflight ─► provision: each script between two entries of the journal
//!  (which      (look,         │
//!   files)      shell:        ├─► feed ─► unpack ─► client        (.sql, packed or not, .js)
//!               is it         ├─► shell ─► bash, sh               (.sh)
//!               sound?)       └─► progress ◄─ statements          (how far, which statement)
//! ```
//!
//! - [`listing`][]: which files lie there, of which kind, in which order
//! - [`preflight`][]: the plan, with all that is wrong in it, before anything is touched; [`look`][]: what is in a
//!   file, [`quotes`][] and not in a literal; [`shell`][]: who runs a `.sh`
//! - [`provision`][]: they are run; [`each_start`][]: so are migrations, each once
//! - [`feed`][]: a script's bytes on their way; [`unpack`][]: whatever they are packed with; [`statements`][]: which
//!   one a line was; [`progress`][]: how far it is

pub mod each_start;
pub mod feed;
pub mod listing;
pub mod look;
pub mod preflight;
pub mod progress;
pub mod provision;
pub mod quotes;
pub mod shell;
pub mod statements;
pub mod unpack;
