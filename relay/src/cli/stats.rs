use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::Path,
    time::SystemTime,
};

use anyhow::Result;
use clap::Args;

use super::{
    exit::{HostError, Usage},
    host, output,
    running::Running,
};
use crate::{
    config::{self, Options},
    datapath::{Datapath, Pins},
    model::{PublicKey, Relay},
    net,
    stats::{Observation, Pairs, Snapshot, Style, render_pairs_into, render_text_into},
};

/// `relay stats`.
#[derive(Debug, Args)]
pub(super) struct Stats {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Show what each pair of peers has exchanged; wants `pair_stats = true`.
    #[arg(long)]
    pairs: bool,
}

impl Stats {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        let relay = config::load(config, Options { allow_empty: true })?.relay;
        host::require_capabilities("stats")?;
        let interface = relay.interface.as_str();
        let datapath = Datapath::new(Pins::new(bpffs, interface), interface);
        if self.pairs {
            return self.show_pairs(&relay, &datapath);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let observation = runtime.block_on(observe(&relay, &datapath))?;
        let snapshot = Snapshot::new(&observation);
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, &snapshot)?;
            writeln!(out)?;
        } else {
            let style = Style { color: output::color(), now: SystemTime::now() };
            render_text_into(&mut out, &snapshot, style)?;
        }
        out.flush()?;
        Ok(())
    }
}

impl Stats {
    fn show_pairs(&self, relay: &Relay, datapath: &Datapath) -> Result<()> {
        if !relay.pair_stats {
            let found = "pairs are not counted; write `pair_stats = true` below [relay] and run \
                         `relay up`";
            return Err(Usage(found.to_owned()).into());
        }
        if !datapath.exists() {
            return Err(HostError::NotUp { interface: relay.interface.to_string() }.into());
        }
        let keys: BTreeMap<u32, PublicKey> =
            datapath.slots()?.into_iter().map(|(key, slot)| (slot, key)).collect();
        let names: BTreeMap<PublicKey, String> =
            relay.peers.iter().map(|peer| (peer.public_key, peer.name.to_string())).collect();
        // One that the configuration no longer names is shown by its key.
        let name = |slot: u32| match keys.get(&slot) {
            Some(key) => names.get(key).cloned().unwrap_or_else(|| key.to_string()),
            None => "?".to_owned(),
        };
        let traffic = datapath.pairs()?;
        let counted = traffic.pairs.into_iter();
        let named = counted.map(|((from, to), counters)| (name(from), name(to), counters));
        let pairs = Pairs::new(relay.interface.as_str(), named, traffic.others);
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, &pairs)?;
            writeln!(out)?;
        } else {
            render_pairs_into(&mut out, &pairs)?;
        }
        Ok(out.flush()?)
    }
}

async fn observe(relay: &Relay, datapath: &Datapath) -> Result<Observation> {
    let handle = net::connect()?;
    let running = Running::observe(&handle, relay, datapath).await?;
    if running.device.is_none() {
        return Err(HostError::NotUp { interface: relay.interface.to_string() }.into());
    }
    Ok(running.observation(relay, &datapath.counters()?))
}
