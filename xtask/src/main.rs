//! relay's own commands: `cargo xtask COMMAND`.
#![forbid(unsafe_code)]

mod apt;
mod command;
mod process;
mod progress;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::Parser as _;

/// What a checkout of relay can do
#[derive(Debug, clap::Parser)]
#[command(name = "cargo xtask")]
enum Arguments {
    Vm(command::vm::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse() {
        Arguments::Vm(arguments) => command::vm::run(arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
