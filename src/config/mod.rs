//! From text to [`Plan`](crate::core::plan::Plan): as written, then as meant.
#![forbid(unsafe_code)]
