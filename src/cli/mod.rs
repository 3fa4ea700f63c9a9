//! One file per subcommand; the only room that prints for people.
#![forbid(unsafe_code)]
