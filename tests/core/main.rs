//! The core, tried in every state, in random order, and in worlds of its own.

mod asking;
mod cells;
mod differing;
mod draining;
mod heirs;
mod hooks;
mod judge;
mod living;
mod process;
mod properties;
mod rng;
mod rolling;
#[cfg(debug_assertions)]
mod scale;
mod simulation;
mod specs;
mod stage;
mod transitions;
mod updating;
mod waiting;
mod world;
