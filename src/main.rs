//! argv → cli → exit code; nothing else.

fn main() {}
