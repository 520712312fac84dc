use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use super::{host, output, stats};
use crate::{
    config::{self, Options},
    datapath::Datapath,
    graph::{self, Picture, Traffic, render_dot_into, render_matrix_into, render_svg_into},
    model::Relay,
    stats::Snapshot,
};

/// `relay graph`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  relay graph                 a matrix\n  relay graph --output who.svg --live\n                              \
                  a picture, wider where more was relayed\n  relay graph --format dot | dot -Tpdf > who.pdf"
)]
pub(super) struct Graph {
    /// What to draw; by the ending of --output where that says svg or dot, else a matrix.
    #[arg(long)]
    format: Option<Format>,
    /// The file to write instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Draw what the running relay has counted, too.
    #[arg(long)]
    live: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A picture.
    Svg,
    /// Text for Graphviz.
    Dot,
    /// A table for the terminal.
    Matrix,
}

impl Graph {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        let relay = config::load(config, Options { allow_empty: true })?.relay;
        let traffic = if self.live { Some(traffic(&relay, bpffs)?) } else { None };
        let graph = graph::Graph::new(&relay);
        let Some(path) = &self.output else {
            return self.draw(output::stdout(), &graph, traffic.as_ref(), output::color());
        };
        let mut text = Vec::new();
        self.draw(&mut text, &graph, traffic.as_ref(), false)?;
        let mut file =
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        file.write_all(&text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn draw(
        &self,
        out: impl Write,
        graph: &graph::Graph,
        traffic: Option<&Traffic>,
        color: bool,
    ) -> Result<()> {
        let mut out = BufWriter::new(out);
        match self.format() {
            Format::Svg => render_svg_into(&mut out, &Picture::of(graph, traffic)?)?,
            Format::Dot => {
                graph.require_few_pairs()?;
                render_dot_into(&mut out, graph, traffic)?;
            }
            Format::Matrix => render_matrix_into(&mut out, graph, traffic, color)?,
        }
        Ok(out.flush()?)
    }

    fn format(&self) -> Format {
        let ending = self.output.as_deref().and_then(Path::extension).and_then(OsStr::to_str);
        self.format.unwrap_or(match ending {
            Some("svg") => Format::Svg,
            Some("dot" | "gv") => Format::Dot,
            Some(_) | None => Format::Matrix,
        })
    }
}

/// What the running relay counted of each peer, and of pairs where it counts them.
fn traffic(relay: &Relay, bpffs: &Path) -> Result<Traffic> {
    host::require_capabilities("graph --live")?;
    let interface = relay.interface.as_str();
    let datapath = Datapath::open(bpffs, interface)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let snapshot = Snapshot::new(&runtime.block_on(stats::observe(relay, &datapath))?);
    let relayed: HashMap<&str, u64> = snapshot
        .peers
        .iter()
        .map(|peer| (&*peer.name, peer.relayed.rx_bytes + peer.relayed.tx_bytes))
        .collect();
    let of = |name: &str| relayed.get(name).copied().unwrap_or(0);
    let peers = relay.peers.iter().map(|peer| of(peer.name.as_str())).collect();
    let pairs = if relay.pair_stats { Some(pairs(relay, &datapath)?) } else { None };
    Ok(Traffic::new(peers, pairs))
}

/// Bytes between two peers both ways, by their places in the configuration.
fn pairs(relay: &Relay, datapath: &Datapath) -> Result<HashMap<(usize, usize), u64>> {
    let slots = datapath.slots()?;
    let place_of: HashMap<u32, usize> = relay
        .peers
        .iter()
        .enumerate()
        .filter_map(|(place, peer)| Some((*slots.get(&peer.public_key)?, place)))
        .collect();
    let mut pairs = HashMap::new();
    for ((from, to), counters) in datapath.pairs()?.pairs {
        // A peer that has left the configuration is in no picture.
        if let Some((&from, &to)) = place_of.get(&from).zip(place_of.get(&to)) {
            *pairs.entry((from.min(to), from.max(to))).or_default() += counters.bytes;
        }
    }
    Ok(pairs)
}
