//! The verbs that work on files, run as a stranger runs them: the built binary, in a directory of
//! its own. None of them touches the kernel.

mod check;
mod client;
mod delivery;
mod import;
mod keys;
mod packaging;
mod peer;
#[path = "../schema/mod.rs"]
mod schema;
mod secrets;
mod site;
