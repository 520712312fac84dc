//! The program that measures for `cargo xtask bench`: writes a line of JSON per figure.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Result;
use clap::Parser as _;
use relay_bench::measure::{
    commands::{Commands, Cost, PACE},
    fleet::{Fleet, Shape},
    flows, guard, instructions,
    layer::Layer,
    memory,
    mesh::{self, Case, Phase, Way},
    native, processors, siege,
};
use relay_tests::Family;
use serde_json::{Value, json};

/// Measure one subject.
#[derive(Debug, clap::Parser)]
enum Arguments {
    /// Guest instructions per packet; needs a clock that counts instructions.
    Instructions(Sizes),
    /// Guest instructions per packet of a flow; needs a clock that counts instructions.
    Flows,
    /// Nanoseconds per packet on this machine.
    Native {
        #[command(flatten)]
        sizes: Sizes,
        /// Rounds over all layers.
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        /// Runs per layer and round.
        #[arg(long, default_value_t = 9)]
        runs: u32,
    },
    /// Nanoseconds per run of the relay's program alone.
    Alone(Sizes),
    /// Nanoseconds per run of the relay's program, alone and while another processor runs it, too.
    Processors,
    /// Instructions of the guard, alone and in a flood; without --shift, nanoseconds alone.
    Guard {
        /// An instruction takes 2^SHIFT ns; needs a clock that counts instructions, one processor,
        /// and WireGuard in the kernel.
        #[arg(long)]
        shift: Option<u32>,
    },
    /// Instructions of commands of a running relay; without --shift, the time of one command.
    Commands {
        /// The `relay` binary.
        #[arg(long)]
        relay: PathBuf,
        /// Numbers of peers.
        #[arg(long, value_delimiter = ',', required = true)]
        peers: Vec<u32>,
        /// An instruction takes 2^SHIFT ns; needs a clock that counts instructions.
        #[arg(long)]
        shift: Option<u32>,
    },
    /// Instructions of commands that change much: the first `up`, a reload with one more peer, `down`.
    Changes {
        /// The `relay` binary.
        #[arg(long)]
        relay: PathBuf,
        /// Numbers of peers.
        #[arg(long, value_delimiter = ',', required = true)]
        peers: Vec<u32>,
        /// An instruction takes 2^SHIFT ns; needs a clock that counts instructions.
        #[arg(long)]
        shift: u32,
    },
    /// Instructions of `relay takeover`.
    Takeover {
        /// The `relay` binary.
        #[arg(long)]
        relay: PathBuf,
        /// Number of peers.
        #[arg(long)]
        peers: u32,
        /// An instruction takes 2^SHIFT ns; needs a clock that counts instructions.
        #[arg(long)]
        shift: u32,
    },
    /// Time and memory of one policy.
    Memory {
        /// Number of peers.
        #[arg(long)]
        peers: u32,
        /// Which peers list each other.
        #[arg(long, value_parser = shape)]
        shape: Shape,
        /// Number of runs; the minimum time counts.
        #[arg(long, default_value_t = 5)]
        times: u32,
    },
    /// What gossip costs and how fast it is: over UDP, or with --lost over channels.
    Mesh {
        /// Relays of the site.
        #[arg(long)]
        relays: usize,
        /// Peers of the site.
        #[arg(long)]
        peers: u32,
        /// Datagrams of a thousand that a channel loses.
        #[arg(long)]
        lost: Option<u32>,
    },
}

#[derive(Debug, clap::Args)]
struct Sizes {
    /// Numbers of peers.
    #[arg(long, value_delimiter = ',', required = true)]
    peers: Vec<u32>,
    /// Names of layers [default: all].
    #[arg(long, value_delimiter = ',', value_parser = layer)]
    layers: Vec<Layer>,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse() {
        Arguments::Instructions(sizes) => count_instructions(&sizes),
        Arguments::Flows => count_flows(),
        Arguments::Native { sizes, rounds, runs } => time_layers(&sizes, rounds, runs),
        Arguments::Alone(sizes) => time_program(&sizes),
        Arguments::Processors => time_processors(),
        Arguments::Guard { shift } => count_guard(shift),
        Arguments::Commands { relay, peers, shift } => count_commands(&relay, &peers, shift),
        Arguments::Changes { relay, peers, shift } => count_changes(&relay, &peers, shift),
        Arguments::Takeover { relay, peers, shift } => Commands::new(relay, peers)
            .and_then(|commands| say_cost(&commands.take_over(shift)?, peers)),
        Arguments::Memory { peers, shape, times } => weigh(Fleet { peers, shape }, times),
        Arguments::Mesh { relays, peers, lost } => {
            let way = lost.map_or(Way::Udp, |lost| Way::Channels { lost });
            gossip(Case { relays, peers, way })
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn count_instructions(sizes: &Sizes) -> Result<()> {
    for &peers in &sizes.peers {
        for layer in layers(sizes) {
            let mut row = json!({ "layer": layer.name(), "peers": peers });
            if let Some(excuse) = layer.excuse(peers) {
                row["excuse"] = excuse.into();
                say(&row)?;
                continue;
            }
            for (family, len, cost) in instructions::measure(layer, peers)? {
                row["family"] = family.name().into();
                row["len"] = len.into();
                row["instructions"] = cost.least.into();
                row["median"] = cost.median.into();
                row["packets"] = cost.packets.into();
                say(&row)?;
            }
        }
    }
    Ok(())
}

fn count_flows() -> Result<()> {
    let lists_alone = (flows::Way::Lists, 0);
    let others = flows::RULES.into_iter().flat_map(|rules| flows::Way::ALL.map(|way| (way, rules)));
    let others = others.filter(|(way, rules)| way.is_measured_beside(*rules));
    for (way, rules) in [lists_alone].into_iter().chain(others) {
        for (packets, cost) in flows::measure(way, rules)? {
            say(&json!({
                "way": way.name(),
                "rules": rules,
                "family": packets.family.name(),
                "transport": packets.transport.to_string(),
                "side": if packets.of_beginner { "beginner" } else { "answerer" },
                "instructions": cost.least,
                "median": cost.median,
                "packets": cost.packets,
            }))?;
        }
    }
    Ok(())
}

fn time_layers(sizes: &Sizes, rounds: u32, runs: u32) -> Result<()> {
    for &peers in &sizes.peers {
        let mut measured = Vec::new();
        for layer in layers(sizes) {
            match layer.excuse(peers) {
                Some(excuse) => {
                    say(&json!({ "layer": layer.name(), "peers": peers, "excuse": excuse }))?;
                }
                None => measured.push(layer),
            }
        }
        let costs = native::measure(&measured, peers, rounds, runs)?;
        let base = costs.iter().find(|cost| cost.layer.is_none()).map_or(0.0, |cost| cost.total_ns);
        for cost in costs {
            let name = cost.layer.map_or("base", Layer::name);
            let above = cost.total_ns - base;
            say(
                &json!({ "layer": name, "peers": peers, "totalNs": cost.total_ns.round(), "ns": above.round() }),
            )?;
        }
    }
    Ok(())
}

fn time_program(sizes: &Sizes) -> Result<()> {
    for &peers in &sizes.peers {
        for family in Family::ALL {
            let (ns, nothing_ns) = native::program_alone(peers, family)?;
            let family = family.name();
            say(&json!({ "peers": peers, "family": family, "ns": ns, "nothingNs": nothing_ns }))?;
        }
    }
    Ok(())
}

fn time_processors() -> Result<()> {
    for case in processors::CASES {
        let processors::Cost { alone_ns, together_ns } = processors::measure(case)?;
        say(&json!({ "case": case.name, "aloneNs": alone_ns, "togetherNs": together_ns }))?;
    }
    Ok(())
}

fn count_guard(shift: Option<u32>) -> Result<()> {
    let costs = guard::alone()?;
    let Some(shift) = shift else {
        for cost in costs {
            say(&json!({ "frame": cost.frame, "ns": cost.ns, "nothingNs": cost.nothing_ns }))?;
        }
        return Ok(());
    };
    for cost in costs {
        let instructions = cost.ns.saturating_sub(cost.nothing_ns) >> shift;
        say(&json!({ "frame": cost.frame, "instructions": instructions }))?;
    }
    siege::costs(|cost| {
        let instructions = cost.ns >> shift;
        let sources = cost.sources;
        say(&json!({ "flood": sources, "guarded": cost.is_guarded, "instructions": instructions }))
    })?;
    siege::sieges(|siege| {
        let milliseconds = |waited: Option<&Duration>| waited.map(Duration::as_millis);
        say(&json!({
            "siege": siege.forged,
            "names": siege.names,
            "guarded": siege.is_guarded,
            "peers": siege.peers,
            "calls": siege.calls,
            "connected": siege.waited.len(),
            "medianMs": milliseconds(siege.waited.get(siege.waited.len() / 2)),
            "worstMs": milliseconds(siege.waited.last()),
            "packetsSent": siege.relayed[0],
            "packetsReceived": siege.relayed[1],
        }))
    })
}

fn count_commands(relay: &Path, sizes: &[u32], shift: Option<u32>) -> Result<()> {
    for &peers in sizes {
        let commands = Commands::new(relay.to_owned(), peers)?;
        match shift {
            Some(shift) => {
                for cost in commands.count(shift)? {
                    say_cost(&cost, peers)?;
                }
                commands.down()?;
            }
            None => {
                let ms = commands.pace()?.as_secs_f64() * 1e3;
                say(&json!({ "verb": PACE, "peers": peers, "ms": ms }))?;
            }
        }
    }
    Ok(())
}

fn count_changes(relay: &Path, sizes: &[u32], shift: u32) -> Result<()> {
    for &peers in sizes {
        for cost in Commands::new(relay.to_owned(), peers)?.change(shift)? {
            say_cost(&cost, peers)?;
        }
    }
    Ok(())
}

fn say_cost(cost: &Cost, peers: u32) -> Result<()> {
    say(&json!({
        "verb": cost.verb,
        "peers": peers,
        "instructions": cost.instructions,
        "residentKib": cost.resident_kib,
    }))
}

fn weigh(fleet: Fleet, times: u32) -> Result<()> {
    let cost = memory::measure(fleet, times)?;
    say(&json!({
        "shape": fleet.shape.name(),
        "peers": fleet.peers,
        "compileMs": cost.compile.as_secs_f64() * 1e3,
        "loadMs": cost.load.as_secs_f64() * 1e3,
        "mapBytes": cost.map_bytes,
        "peakRssBytes": cost.peak_rss_bytes,
    }))
}

fn gossip(case: Case) -> Result<()> {
    let Case { relays, peers, way } = case;
    let lost = match way {
        Way::Udp => None,
        Way::Channels { lost } => Some(lost),
    };
    let cost = match mesh::measure(case)? {
        Ok(cost) => cost,
        Err(excuse) => {
            let layer = format!("gossip of {relays} relays");
            return say(&json!({ "layer": layer, "peers": peers, "excuse": excuse }));
        }
    };
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let phase = |phase: Phase| json!({ "ms": ms(phase.time), "bytes": phase.bytes, "processorMs": ms(phase.processor) });
    say(&json!({
        "relays": relays,
        "peers": peers,
        "lost": lost,
        "memoryBytes": cost.memory_bytes,
        "start": phase(cost.start),
        "rest": phase(cost.rest),
        "moving": phase(cost.moving),
        "moves": cost.moves,
        "knownMs": cost.known.map(ms),
        "loss": phase(cost.loss),
    }))
}

fn shape(name: &str) -> Result<Shape, String> {
    let found = Shape::ALL.into_iter().find(|shape| shape.name() == name);
    found.ok_or_else(|| {
        let names: Vec<_> = Shape::ALL.iter().map(|shape| shape.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn layers(sizes: &Sizes) -> Vec<Layer> {
    if sizes.layers.is_empty() { Layer::ALL.to_vec() } else { sizes.layers.clone() }
}

fn layer(name: &str) -> Result<Layer, String> {
    let found = Layer::ALL.into_iter().find(|layer| layer.name() == name);
    found.ok_or_else(|| {
        let names: Vec<_> = Layer::ALL.iter().map(|layer| layer.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn say(row: &Value) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{row}")?;
    Ok(out.flush()?)
}
