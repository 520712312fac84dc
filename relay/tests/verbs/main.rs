//! Commands that work on files: runs the binary in a directory of its own. None touches the kernel.

mod check;
mod client;
mod delivery;
mod history;
mod import;
mod keys;
mod lend;
mod packaging;
mod peer;
mod rules;
#[path = "../schema/mod.rs"]
mod schema;
mod secrets;
mod site;
mod webhook;
mod writers;
