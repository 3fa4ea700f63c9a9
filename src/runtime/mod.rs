//! Where the rooms meet: boot, the loop, and the deeds that actions ask for.
#![forbid(unsafe_code)]
