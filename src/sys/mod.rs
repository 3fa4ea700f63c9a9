//! The kernel, one file per manual page. The only `unsafe`, the only `waitid`, the only clock.
