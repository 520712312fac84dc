use std::{
    collections::BTreeMap,
    env,
    io::{self, Write as _},
    path::Path,
    time::SystemTime,
};

use anyhow::Result;
use clap::Args;
use relay_common::Reason;

use super::{exit::HostError, host, output, plan::classifiers};
use crate::{
    config::{self, Options},
    datapath::{Datapath, Mode, Pins},
    model::{PublicKey, Relay},
    net::{self, link},
    stats::{Observation, PeerObservation, Policy, Snapshot, Style, render_text_into},
    wireguard::{self, DevicePeer},
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
        let datapath = Datapath::new(Pins::new(bpffs, interface)?, interface);
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
    let interface = &relay.interface;
    let link = link::read(&handle, interface).await?;
    let not_up = || HostError::NotUp { interface: interface.to_string() };
    link.as_ref().ok_or_else(not_up)?.require_wireguard(interface)?;
    let device = wireguard::read(interface)?.ok_or_else(not_up)?;
    let observed = datapath.observe(&classifiers(&handle, link.as_ref()).await?)?;
    let counters = datapath.counters()?;

    let hide = env::var("WG_HIDE_KEYS").is_ok_and(|value| value == "always");
    let show = |key: &PublicKey| if hide { "(hidden)".to_owned() } else { key.to_string() };
    let mut present: BTreeMap<PublicKey, DevicePeer> =
        device.peers.into_iter().map(|peer| (peer.public_key, peer)).collect();
    let names = relay.peers.iter().map(|peer| (peer.public_key, peer.name.to_string()));
    let named: Vec<_> =
        names.filter_map(|(key, name)| present.remove(&key).map(|peer| (name, peer))).collect();
    let unnamed = present.into_values().map(|peer| (show(&peer.public_key), peer));
    let peers = named.into_iter().chain(unnamed).map(|(name, peer)| {
        let (counted, refused) = counters
            .peers
            .get(&peer.public_key)
            .copied()
            .unwrap_or((Default::default(), [0; Reason::COUNT]));
        PeerObservation {
            name,
            public_key: show(&peer.public_key),
            endpoint: peer.endpoint,
            allowed_ips: peer.allowed_ips,
            latest_handshake: peer.latest_handshake,
            transfer_rx: peer.rx_bytes,
            transfer_tx: peer.tx_bytes,
            persistent_keepalive: peer.persistent_keepalive,
            counters: counted,
            refused,
        }
    });
    Ok(Observation {
        interface: interface.to_string(),
        public_key: device.public_key.as_ref().map_or_else(String::new, show),
        listen_port: device.listen_port,
        policy: observed.generation.zip(observed.mode).map(|(generation, mode)| Policy {
            generation: generation.number,
            hash: generation.policy_hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            mode: match mode {
                Mode::Tcx => "tcx",
                Mode::Netlink => "netlink",
            },
        }),
        peers: peers.collect(),
        unattributed: counters.unattributed,
    })
}
