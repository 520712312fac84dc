//! `[Interface]`.

use ipnet::IpNet;

use super::{
    remarks::Remarks,
    wg_quick::{Entry, Section, prefix},
};
use crate::{
    config::read::{
        MTU_MAX, MTU_MIN, MTU_MIN_V6, overlay_address, shown, shown_key, taken_by_network,
    },
    model::PrivateKey,
};

/// Networks in which each host picks its own address.
const LINK_LOCAL: [&str; 2] = ["169.254.0.0/16", "fe80::/10"];

/// The hub's own settings.
pub(super) struct Interface {
    /// Its addresses, with the prefix lengths of their networks.
    pub(super) overlay: Vec<IpNet>,
    /// Addresses of `overlay` that no host can have: index and line.
    pub(super) unusable: Vec<(usize, usize)>,
    pub(super) private_key: Option<PrivateKey>,
    pub(super) listen_port: Option<u16>,
    pub(super) mtu: Option<u16>,
}

impl Interface {
    pub(super) fn read(hub: &Section<'_>, remarks: &mut Remarks) -> Self {
        for (Entry { line, key, .. }, last) in hub.superseded(&["privatekey", "listenport", "mtu"])
        {
            remarks.one(*line, format!("{key} is set again in line {last}, which wins"));
        }
        for entry in &hub.entries {
            if let Some(remark) = not_carried_over(entry) {
                remarks.alike(entry.line, remark);
            }
        }
        let (overlay, unusable) = addresses(hub, remarks);
        let mtu = mtu(hub, overlay.iter().any(|net| net.addr().is_ipv6()), remarks);
        Self {
            private_key: private_key(hub, remarks),
            listen_port: listen_port(hub, remarks),
            overlay,
            unusable,
            mtu,
        }
    }
}

fn addresses(hub: &Section<'_>, remarks: &mut Remarks) -> (Vec<IpNet>, Vec<(usize, usize)>) {
    let (mut overlay, mut unusable) = (Vec::<IpNet>::new(), Vec::new());
    let mut found = 0;
    for (line, text) in hub.items("address") {
        found += 1;
        let written = prefix(text);
        let is_link_local = written.is_some_and(|written| {
            let networks = LINK_LOCAL.iter().filter_map(|text| text.parse::<IpNet>().ok());
            networks.into_iter().any(|network| network.contains(&written.addr()))
        });
        if is_link_local {
            found -= 1;
            let text = format!("{text} is omitted: relay does not forward link-local addresses");
            remarks.one(line, text);
            continue;
        }
        // Some front ends give the hub the network address, which Linux accepts.
        let own = written.filter(|net| taken_by_network(net.addr(), net).is_some());
        let usable =
            own.and_then(|net| Some(format!("{}/{}", net.hosts().nth(1)?, net.prefix_len())));
        match overlay_address(usable.as_deref().unwrap_or(text)) {
            Ok(address) if address.prefix_len() == address.max_prefix_len() => {
                let problem = "leaves no room for peers; write the prefix length of the network";
                remarks.fault(line, format!("Address: {} {problem}", shown(text)));
            }
            Ok(address) => {
                let address = own.unwrap_or(address);
                let overlaps = |other: &&IpNet| {
                    other.contains(&address.trunc()) || address.trunc().contains(*other)
                };
                if let Some(other) = overlay.iter().find(overlaps) {
                    let text = format!(
                        "{address} is omitted: it overlaps {other}, and relay has one address in each \
                         network"
                    );
                    remarks.one(line, text);
                    continue;
                }
                if own.is_some() {
                    unusable.push((overlay.len(), line));
                }
                overlay.push(address);
            }
            Err(fault) => remarks.fault(line, format!("Address: {fault}")),
        }
    }
    if found == 0 {
        let text = "[Interface] has no Address in a network of peers; write the relay's, with the \
                    prefix length of the network, such as 10.3.2.1/24";
        remarks.fault(hub.line, text);
    }
    (overlay, unusable)
}

fn private_key(hub: &Section<'_>, remarks: &mut Remarks) -> Option<PrivateKey> {
    let Some(Entry { line, value, .. }) = hub.last("privatekey") else {
        let text = "PrivateKey is missing; put the hub's key into the relay's private_key_file, or \
                    peers will not accept the relay";
        remarks.one(hub.line, text);
        return None;
    };
    value.parse().map_err(|error| remarks.fault(*line, format!("PrivateKey: {error}"))).ok()
}

fn listen_port(hub: &Section<'_>, remarks: &mut Remarks) -> Option<u16> {
    match hub.last("listenport") {
        Some(Entry { line, key, value }) if *value != "0" => {
            let port = value.parse::<u16>().ok();
            if port.is_none() {
                let text = format!("{key}: {} is not a number from 1 to 65535", shown(value));
                remarks.fault(*line, text);
            }
            port
        }
        Some(_) | None => {
            let text = "ListenPort is not set; the relay listens on 51820";
            remarks.one(hub.line, text);
            None
        }
    }
}

fn mtu(hub: &Section<'_>, has_v6: bool, remarks: &mut Remarks) -> Option<u16> {
    let Entry { line, key, value } = hub.last("mtu").filter(|entry| !entry.value.is_empty())?;
    let Ok(mtu) = value.parse::<u16>() else {
        remarks.fault(*line, format!("{key}: {} is not a number up to 65535", shown(value)));
        return None;
    };
    let least = if has_v6 { MTU_MIN_V6 } else { MTU_MIN };
    if !(least..=MTU_MAX).contains(&mtu) {
        let text = format!("{key} {mtu} is omitted: relay accepts {least} to {MTU_MAX}");
        remarks.one(*line, text);
        return None;
    }
    Some(mtu)
}

/// Why an entry is not converted; `None` if it is, or has no effect.
fn not_carried_over(Entry { key, value, .. }: &Entry<'_>) -> Option<String> {
    let lower = value.to_ascii_lowercase();
    let why = match (key.to_ascii_lowercase().as_str(), lower.as_str()) {
        (_, "") | ("address" | "listenport" | "privatekey" | "mtu", _) => return None,
        ("table", "auto") | ("fwmark", "off" | "0") | ("saveconfig", "false") => return None,
        ("preup" | "postup" | "predown" | "postdown", _) => {
            return Some(
                "PreUp, PostUp, PreDown and PostDown are not converted: relay runs no commands, and \
                 needs neither forwarding nor NAT between peers; for traffic that leaves the \
                 overlay see egress"
                    .to_owned(),
            );
        }
        ("dns", _) => "it is the hub's own resolver; for clients, set dns in [defaults]",
        ("table", _) => "`relay up` sets the routes to peers",
        ("fwmark", _) => "relay does not mark packets on the underlay",
        ("saveconfig", _) => "relay never writes the running state into the file",
        ("jc" | "jmin" | "jmax" | "s1" | "s2" | "s3" | "s4" | "h1" | "h2" | "h3" | "h4", _) => {
            "it belongs to AmneziaWG, which does not interoperate with kernel WireGuard"
        }
        (_, _) => "unknown to relay",
    };
    Some(format!("{} is not converted: {why}", shown_key(key)))
}
