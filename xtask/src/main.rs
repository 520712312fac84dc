//! Commands for working on relay: `cargo xtask COMMAND`.
#![forbid(unsafe_code)]

mod build;
mod command;
mod fuzz;
mod host;
mod layers;
mod release;
mod setup;
mod suite;

use std::process::ExitCode;

use clap::Parser as _;

/// Commands for working on relay
#[derive(Debug, clap::Parser)]
#[command(name = "cargo xtask")]
enum Arguments {
    Bench(command::bench::Arguments),
    Demo(command::demo::Arguments),
    Dist(command::dist::Arguments),
    Docs(command::docs::Arguments),
    Fuzz(command::fuzz::Arguments),
    Setup(command::setup::Arguments),
    Test(command::test::Arguments),
    Layers(command::layers::Arguments),
    Vm(command::vm::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse() {
        Arguments::Bench(arguments) => command::bench::run(&arguments),
        Arguments::Demo(arguments) => command::demo::run(&arguments),
        Arguments::Dist(arguments) => command::dist::run(&arguments),
        Arguments::Docs(arguments) => command::docs::run(&arguments),
        Arguments::Fuzz(arguments) => command::fuzz::run(&arguments),
        Arguments::Setup(arguments) => Ok(command::setup::run(&arguments)),
        Arguments::Test(arguments) => command::test::run(arguments),
        Arguments::Layers(arguments) => command::layers::run(&arguments),
        Arguments::Vm(arguments) => command::vm::run(arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
