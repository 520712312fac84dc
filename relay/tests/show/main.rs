//! Commands that need no running relay: output and exit codes.

mod diff;
mod doctor;
mod explain;
mod graph;
#[path = "../schema/mod.rs"]
mod schema;
mod stats;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Runs relay with this configuration, without colour and without the caller's environment.
fn relay(config: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_relay"))
        .arg("--config")
        .arg(config)
        .args(arguments)
        .env_remove("RELAY_BPFFS")
        .env_remove("WG_COLOR_MODE")
        .env("NO_COLOR", "1")
        .output()
        .expect("the binary runs")
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}
