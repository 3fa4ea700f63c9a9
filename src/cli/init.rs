//! `minisup init`: a database's first start.

use crate::config::values;
use crate::init::{self, OnPartial, Order, Request};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Make a database's first start: data directory, users, scripts. Nothing is done if there is
/// data already; after a crash it goes on or begins again.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// mariadb, mysql, postgres or mongodb
    #[arg(value_name = "ENGINE", value_parser = engine)]
    engine: String,
    /// Scripts that are run once: .sh, .sql (.gz .xz .zst .bz2), .js
    #[arg(long, value_name = "DIR", default_value = "/docker-entrypoint-initdb.d")]
    directory: PathBuf,
    /// Scripts of which each new one is run at every start
    #[arg(long, value_name = "DIR")]
    each_start: Option<PathBuf>,
    /// Where the data is to lie; by default the server is asked
    #[arg(long, value_name = "DIR")]
    data_directory: Option<PathBuf>,
    /// What to do about a first start that did not end: retry, quarantine or fail
    #[arg(long, value_name = "WHAT", default_value = "retry", value_parser = on_partial)]
    on_partial: OnPartial,
    /// In which order scripts are run: glob (10 before 2) or version (2 before 10)
    #[arg(long, value_name = "ORDER", default_value = "glob", value_parser = order)]
    order: Order,
    /// Whom the server runs as; by default the engine's own account
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The character set of scripts
    #[arg(long, value_name = "NAME")]
    charset: Option<String>,
    /// How long one script may take; by default for ever
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    script_timeout: Option<Duration>,
    /// How long the temporary server may take until it answers
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = values::duration)]
    start_timeout: Duration,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Say it as JSON
    #[arg(long)]
    json: bool,
    /// The server's own command line, as it will run later
    #[arg(last = true, value_name = "SERVER ARGV")]
    server: Vec<OsString>,
}

/// Makes it. Returns the exit code.
pub fn run(args: Args) -> u8 {
    init::run(&Request {
        engine: args.engine,
        directory: args.directory,
        each_start: args.each_start,
        data_directory: args.data_directory,
        on_partial: args.on_partial,
        order: args.order,
        user: args.user,
        charset: args.charset,
        script_timeout: args.script_timeout,
        start_timeout: args.start_timeout,
        dry_run: args.dry_run,
        json: args.json,
        server: args.server,
        environment: std::env::vars_os().collect(),
    })
}

fn engine(text: &str) -> Result<String, String> {
    const NAMES: [(&str, &str); 8] = [
        ("mariadb", "mariadb"),
        ("mariadbd", "mariadb"),
        ("mysql", "mysql"),
        ("mysqld", "mysql"),
        ("postgres", "postgres"),
        ("postgresql", "postgres"),
        ("mongodb", "mongodb"),
        ("mongod", "mongodb"),
    ];
    match NAMES.iter().find(|(name, _)| *name == text) {
        Some((_, engine)) => Ok((*engine).to_owned()),
        None => Err("there are mariadb, mysql, postgres and mongodb".into()),
    }
}

fn on_partial(text: &str) -> Result<OnPartial, String> {
    match text {
        "retry" => Ok(OnPartial::Retry),
        "quarantine" => Ok(OnPartial::Quarantine),
        "fail" => Ok(OnPartial::Fail),
        _ => Err("it is retry, quarantine or fail".into()),
    }
}

fn order(text: &str) -> Result<Order, String> {
    match text {
        "glob" => Ok(Order::Glob),
        "version" => Ok(Order::Version),
        _ => Err("it is glob or version".into()),
    }
}
