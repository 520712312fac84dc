//! The measuring side of `cargo xtask bench`: a JSON object a line for each figure.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Result;
use clap::Parser as _;
use relay_tests::bench::{instructions, layer::Layer};
use serde_json::{Value, json};

/// Measures one thing.
#[derive(Debug, clap::Parser)]
enum Arguments {
    /// Guest instructions a packet; only where the clock counts instructions.
    Instructions(Sizes),
    Hold(Sizes),
}

#[derive(Debug, clap::Args)]
struct Sizes {
    /// Numbers of peers.
    #[arg(long, value_delimiter = ',', required = true)]
    peers: Vec<u32>,
    /// Layers by their names; all of them otherwise.
    #[arg(long, value_delimiter = ',', value_parser = layer)]
    layers: Vec<Layer>,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse() {
        Arguments::Instructions(sizes) => count_instructions(&sizes),
        Arguments::Hold(sizes) => { let f = relay_tests::bench::fleet::Fleet{peers:sizes.peers[0],shape:relay_tests::bench::fleet::Shape::Pairs}; let (c,s)=f.compile(true).unwrap(); let _l = relay::datapath::Loaded::load(&c,1,None,s).unwrap(); std::thread::sleep(std::time::Duration::from_secs(20)); Ok(()) }
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
