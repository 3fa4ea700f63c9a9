//! An engine asked about its variables, without a process.

use minisup::init::engine::{self, Level, Remark};
use minisup::init::{OnPartial, Order, Request};
use std::ffi::OsString;
use std::time::Duration;

/// A first start of this engine with these variables and nothing else.
pub fn request(engine: &str, variables: &[(&str, &str)]) -> Request {
    let environment = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Request {
        engine: engine.to_owned(),
        directory: "/nowhere".into(),
        each_start: None,
        data_directory: None,
        on_partial: OnPartial::Retry,
        order: Order::Glob,
        user: None,
        charset: None,
        script_timeout: None,
        start_timeout: Duration::from_secs(60),
        dry_run: false,
        json: false,
        server: Vec::new(),
        environment: environment.collect(),
    }
}

/// What the engine says of these variables.
pub fn remarks(engine: &str, variables: &[(&str, &str)]) -> Vec<Remark> {
    engine::engine(&request(engine, variables)).unwrap_or_else(|trouble| panic!("{trouble}")).check()
}

/// The messages of one level.
pub fn texts(engine: &str, variables: &[(&str, &str)], level: Level) -> Vec<String> {
    let found = remarks(engine, variables).into_iter().filter(|remark| remark.level == level);
    found.map(|remark| remark.text).collect()
}
