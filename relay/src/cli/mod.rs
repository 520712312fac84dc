//! The command line: one file per verb. Parsing validates and does nothing else; the verbs call the
//! engine and print.

mod bench;
mod check;
mod completions;
mod diagnostics;
mod diff;
mod doctor;
mod down;
mod drain;
mod ended;
mod events;
mod exit;
mod explain;
mod flows;
mod follow;
mod genkey;
mod graph;
mod import;
mod learn;
mod lend;
mod live;
mod man;
mod mesh;
mod observe;
mod open;
mod output;
mod peer;
mod progress;
mod qr;
mod quota;
mod reload;
mod serve;
mod stats;
mod status;
mod subject;
mod suggest;
mod takeover;
mod trace;
mod trial;
mod unused;
mod up;
mod usage;
mod webhook;

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::engine::{Kind, Site, Source};

/// Relay packets between WireGuard peers that list each other, in the kernel.
///
/// Configures a WireGuard interface from /etc/relay/relay.toml and attaches eBPF programs that
/// decide who may talk to whom, count packets and send them straight back out. No process stays in
/// the data path.
#[derive(Debug, Parser)]
#[command(
    name = "relay",
    version,
    after_help = "Exit codes: 0 success or allowed, 1 failure or not allowed, 2 usage or configuration \
                  error, 3 the host lacks something.\n\nExamples:\n  \
                  relay check                 validate the configuration\n  \
                  relay up --dry-run          show what would change\n  \
                  relay up                    apply the configuration\n  \
                  relay status                compare the relay with its configuration\n  \
                  relay stats                 show traffic and dropped packets"
)]
struct Cli {
    /// Main configuration file; fragments are read from relay.d beside it.
    #[arg(
        long,
        global = true,
        env = "RELAY_CONFIG",
        default_value = "/etc/relay/relay.toml",
        value_name = "FILE",
        help_heading = "Global options"
    )]
    config: PathBuf,
    /// BPF file system for programs and counters.
    #[arg(
        long,
        global = true,
        env = "RELAY_BPFFS",
        default_value = "/sys/fs/bpf",
        value_name = "DIR",
        help_heading = "Global options"
    )]
    bpffs: PathBuf,
    /// Directory that records which configuration each client was given, what is used of quotas, and
    /// the history of counts.
    #[arg(
        long,
        global = true,
        env = "RELAY_STATE",
        default_value = "/var/lib/relay",
        value_name = "DIR",
        help_heading = "Global options"
    )]
    state: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Apply the configuration (idempotent).
    Up(up::Up),
    /// Apply the configuration if the relay is up, without packet loss.
    Reload(reload::Reload),
    /// Keep fence and guard in place until stopped.
    Follow(follow::Follow),
    /// Compare the relay with its configuration.
    Status(status::Status),
    /// Remove the interface, the programs, the counters and the fence.
    Down(down::Down),
    /// Show traffic, handshakes and dropped packets of each peer.
    Stats(stats::Stats),
    /// Explain whether A can reach B, and which lines to change if not.
    Explain(explain::Explain),
    /// Show dropped packets: the last ones, or live.
    Observe(observe::Observe),
    /// Show what happens: peers that come and go, changes of the policy, dropped packets.
    Events(events::Events),
    /// Show live flows between peers with rules.
    Flows(flows::Flows),
    /// Show what peers have used of their quotas.
    Quota(quota::Quota),
    /// Show what peers have transferred in a month or a day.
    Usage(usage::Usage),
    /// Show every packet and its verdict until stopped.
    Trace(trace::Trace),
    /// Try a configuration beside the policy in force, and show what differs.
    Try(trial::Try),
    /// Learn what peers use of each other.
    Learn(learn::Learn),
    /// Write rules for what peers used.
    Suggest(suggest::Suggest),
    /// List entries of lists and rules that nobody used.
    Unused(unused::Unused),
    /// Show who may talk to whom.
    Graph(graph::Graph),
    /// Show what a configuration lets through that another does not.
    Diff(diff::Diff),
    /// Serve metrics, an API and live updates over HTTP until stopped.
    Serve(serve::Serve),
    /// Try a webhook of `relay serve`.
    Webhook(webhook::Webhook),
    /// Show the relays of the site, and tell them who is at home here.
    Mesh(mesh::Mesh),
    /// Take over peers that are at home at other relays.
    Takeover(takeover::Takeover),
    /// Hand this relay's peers over to another relay.
    Drain(drain::Drain),
    /// Check the host and suggest remedies.
    Doctor(doctor::Doctor),
    /// Measure what this host can relay, in network namespaces of its own.
    Bench(bench::Bench),
    /// Validate the configuration and report every problem.
    Check(check::Check),
    /// Add, remove, rename and show peers and their clients' configurations.
    Peer(peer::Peer),
    /// Lend access for a time: a rule that ends by itself.
    Lend(lend::Lend),
    /// Generate a private key, like `wg genkey`.
    Genkey(genkey::Genkey),
    /// Convert a wg-quick hub file.
    Import(import::Import),
    /// Print a completion script for a shell.
    Completions(completions::Completions),
    /// Print relay's manual page, or write all pages.
    Man(man::Man),
}

/// The files and pins that the global options name.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    config: &'a Path,
    bpffs: &'a Path,
    state: &'a Path,
}

impl<'a> Place<'a> {
    /// The same for the engine.
    fn site(self, verb: &'static str) -> Site<'a> {
        let Self { config, bpffs, state } = self;
        Site { config, bpffs, state, verb, notice: output::notice }
    }

    /// The same for what looks for as long as it runs.
    fn source(self, verb: &'static str, which: &subject::Which) -> Source {
        let Self { config, bpffs, state } = self;
        Source {
            config: config.to_owned(),
            bpffs: bpffs.to_owned(),
            state: state.to_owned(),
            interface: which.interface.clone(),
            verb,
            notice: output::notice,
        }
    }
}

/// Keeps keys out of core files, of this process and of those that it starts (getrlimit(2)).
fn without_core() -> io::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    Ok(setrlimit(Resource::Core, none)?)
}

/// The definition of the command line, for completions, manual pages and references.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let no_core = without_core();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed output does not change the exit code.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::DONE });
        }
    };
    diagnostics::init();
    if let Err(error) = no_core {
        tracing::warn!(
            "a crash may write keys to a core file: cannot set RLIMIT_CORE to 0: {error}"
        );
    }
    let place = Place { config: &cli.config, bpffs: &cli.bpffs, state: &cli.state };
    let outcome = match &cli.verb {
        Verb::Up(up) => up.run(place),
        Verb::Reload(reload) => reload.run(place),
        Verb::Follow(follow) => follow.run(place),
        Verb::Status(status) => status.run(place),
        Verb::Down(down) => down.run(place),
        Verb::Stats(stats) => stats.run(place),
        Verb::Explain(explain) => explain.run(place),
        Verb::Observe(observe) => observe.run(place),
        Verb::Events(events) => events.run(place),
        Verb::Flows(flows) => flows.run(place),
        Verb::Quota(quota) => quota.run(place),
        Verb::Usage(usage) => usage.run(place),
        Verb::Trace(trace) => trace.run(place),
        Verb::Try(trial) => trial.run(place),
        Verb::Learn(learn) => learn.run(place),
        Verb::Suggest(suggest) => suggest.run(place),
        Verb::Unused(unused) => unused.run(place),
        Verb::Graph(graph) => graph.run(place),
        Verb::Diff(diff) => diff.run(place),
        Verb::Serve(serve) => serve.run(place),
        Verb::Webhook(webhook) => webhook.run(place),
        Verb::Mesh(mesh) => mesh.run(place),
        Verb::Takeover(takeover) => takeover.run(place),
        Verb::Drain(drain) => drain.run(place),
        Verb::Doctor(doctor) => doctor.run(place),
        Verb::Bench(bench) => bench.run(place),
        Verb::Check(check) => check.run(place.config),
        Verb::Peer(peer) => peer.run(place),
        Verb::Lend(lend) => lend.run(place),
        Verb::Genkey(genkey) => genkey.run(),
        Verb::Import(import) => import.run(),
        Verb::Completions(completions) => completions.run(),
        Verb::Man(man) => man.run(),
    };
    match outcome {
        Ok(()) => ExitCode::from(exit::DONE),
        Err(error) => {
            let code = exit::code(&error);
            // An answer is already printed, and a closed pipe has no reader.
            if code != exit::DONE && error.kind() != Kind::NotAllowed {
                drop(writeln!(io::stderr(), "{}", exit::describe(&error)));
            }
            ExitCode::from(code)
        }
    }
}
