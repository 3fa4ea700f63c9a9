//! Bytes of children, to where they go.
#![forbid(unsafe_code)]
