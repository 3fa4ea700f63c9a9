//! The stacks of docker/, each built and run by docker-compose in a real Docker engine: in one container and one
//! container per tier, asked from outside through the published port. Slow and ignored by default: `make stacks`
//! makes the engine, the base and the image minisup, then runs these one after another.
#![allow(clippy::print_stderr, reason = "what was measured is worth a line")]
#![allow(dead_code, reason = "not every stack needs all of what they share")]

mod browser;
mod container;
#[path = "../support/docker.rs"]
mod docker;
#[path = "../support/gunicorn.rs"]
mod gunicorn;
mod http;
mod stack;

mod bases;
mod catnip;
mod django;
mod employees;
mod flask_redis;
mod food_trucks;
mod static_site;
mod two_apps;
