use std::{
    io::{self, Write as _},
    path::Path,
    time::SystemTime,
};

use anyhow::Result;
use clap::Args;

use super::{exit::HostError, host, output, running::Running};
use crate::{
    config::{self, Options},
    datapath::{Datapath, Pins},
    model::Relay,
    net,
    stats::{Observation, Snapshot, Style, render_text_into},
};

/// `relay stats`.
#[derive(Debug, Args)]
pub(super) struct Stats {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Stats {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        let relay = config::load(config, Options { allow_empty: true })?.relay;
        host::require_capabilities("stats")?;
        let interface = relay.interface.as_str();
        let datapath = Datapath::new(Pins::new(bpffs, interface), interface);
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

async fn observe(relay: &Relay, datapath: &Datapath) -> Result<Observation> {
    let handle = net::connect()?;
    let running = Running::observe(&handle, relay, datapath).await?;
    if running.device.is_none() {
        return Err(HostError::NotUp { interface: relay.interface.to_string() }.into());
    }
    Ok(running.observation(relay, &datapath.counters()?))
}
