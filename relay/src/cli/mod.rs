//! The command line: one file per verb. Parsing validates and does nothing else; the verbs read,
//! plan, print and apply.

mod check;
mod claim;
mod completions;
mod doctor;
mod down;
mod exit;
mod explain;
mod facts;
mod follow;
mod genkey;
mod graph;
mod guard;
mod host;
mod import;
mod live;
mod lock;
mod man;
mod observe;
mod output;
mod peer;
mod plan;
mod qr;
mod reload;
mod running;
mod stats;
mod status;
mod subject;
mod trace;
mod up;
mod wg_quick;

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Command, CommandFactory as _, Parser, Subcommand};

/// Relays packets between WireGuard peers that list each other, in the kernel.
///
/// Configures a WireGuard interface from /etc/relay/relay.toml and attaches eBPF programs that
/// decide who may talk to whom, count it and send packets straight back out. No process stays
/// in the data path.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done or allowed, 1 failed or denied, 2 usage or configuration, \
                  3 the host lacks something.\n\nExamples:\n  relay check                 \
                  is the configuration right?\n  relay up --dry-run          what would change?\n  \
                  relay up                    make it so\n  relay status                \
                  is it still so?\n  relay stats                 who talked, who was refused and \
                  why"
)]
struct Cli {
    /// The main configuration file; fragments are read from relay.d beside it.
    #[arg(
        long,
        global = true,
        env = "RELAY_CONFIG",
        default_value = "/etc/relay/relay.toml",
        value_name = "FILE",
        help_heading = "Global options"
    )]
    config: PathBuf,
    /// The BPF file system that keeps programs and counters.
    #[arg(
        long,
        global = true,
        env = "RELAY_BPFFS",
        default_value = "/sys/fs/bpf",
        value_name = "DIR",
        help_heading = "Global options"
    )]
    bpffs: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make the kernel what the configuration says; run again, it changes nothing.
    Up(up::Up),
    /// The same, but only where the relay is up; costs no packet.
    Reload(reload::Reload),
    /// Keep fence and guard where they belong, for as long as it runs.
    Follow(follow::Follow),
    /// Show whether the relay is what the configuration says.
    Status(status::Status),
    /// Remove the interface, the programs, the counters and the fence.
    Down(down::Down),
    /// Show traffic, handshakes and refused packets of each peer.
    Stats(stats::Stats),
    /// Say whether A reaches B, and what to write where if not.
    Explain(explain::Explain),
    /// Show refused packets: the last ones, or as they come.
    Observe(observe::Observe),
    /// Show every packet and what becomes of it, for as long as it runs.
    Trace(trace::Trace),
    /// Show who may talk to whom.
    Graph(graph::Graph),
    /// Check the host, and say what to do about what is wrong.
    Doctor(doctor::Doctor),
    /// Check the configuration and report every problem; touch nothing.
    Check(check::Check),
    /// Add, remove, rename and show peers, and the configurations of their clients.
    Peer(peer::Peer),
    /// Make a private key, like `wg genkey`.
    Genkey(genkey::Genkey),
    /// Make a configuration of a WireGuard hub's wg-quick file.
    Import(import::Import),
    /// Print what a shell needs to complete relay's command line.
    Completions(completions::Completions),
    /// Print relay's manual page, or write all of them.
    Man(man::Man),
}

/// The definition of the command line, from which its documentation is made.
pub fn command() -> Command {
    Cli::command()
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed terminal is no reason to fail differently.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::DONE });
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("RELAY_LOG"))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    let outcome = match &cli.verb {
        Verb::Up(up) => up.run(&cli.config, &cli.bpffs),
        Verb::Reload(reload) => reload.run(&cli.config, &cli.bpffs),
        Verb::Follow(follow) => follow.run(&cli.config, &cli.bpffs),
        Verb::Status(status) => status.run(&cli.config, &cli.bpffs),
        Verb::Down(down) => down.run(&cli.config, &cli.bpffs),
        Verb::Stats(stats) => stats.run(&cli.config, &cli.bpffs),
        Verb::Explain(explain) => explain.run(&cli.config, &cli.bpffs),
        Verb::Observe(observe) => observe.run(&cli.config, &cli.bpffs),
        Verb::Trace(trace) => trace.run(&cli.config, &cli.bpffs),
        Verb::Graph(graph) => graph.run(&cli.config, &cli.bpffs),
        Verb::Doctor(doctor) => doctor.run(&cli.config, &cli.bpffs),
        Verb::Check(check) => check.run(&cli.config),
        Verb::Peer(peer) => peer.run(&cli.config, &cli.bpffs),
        Verb::Genkey(genkey) => genkey.run(),
        Verb::Import(import) => import.run(),
        Verb::Completions(completions) => completions.run(),
        Verb::Man(man) => man.run(),
    };
    match outcome {
        Ok(()) => ExitCode::from(exit::DONE),
        Err(error) => {
            let code = exit::code(&error);
            if code != exit::DONE && error.downcast_ref::<exit::Denied>().is_none() {
                // Nobody reads a closed pipe.
                drop(writeln!(io::stderr(), "{}", exit::describe(&error)));
            }
            ExitCode::from(code)
        }
    }
}
