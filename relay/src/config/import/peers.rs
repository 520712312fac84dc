//! What the hub's `[Peer]` sections say.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use ipnet::IpNet;

use super::{
    names::Names,
    remarks::Remarks,
    wg_quick::{Entry, Section, prefix},
};
use crate::{
    config::{
        edit::Free,
        read::{parse_network, short, shown, taken_by_network},
    },
    model::{PeerName, PresharedKey, PublicKey, host_prefix},
};

/// Networks behind peers that are told one by one.
const LISTED: usize = 20;

/// One peer of the hub.
pub(super) struct ImportedPeer {
    line: usize,
    pub(super) enabled: bool,
    pub(super) name: PeerName,
    pub(super) description: Option<String>,
    pub(super) public_key: PublicKey,
    pub(super) preshared_key: Option<PresharedKey>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) routes: Vec<IpNet>,
    pub(super) persistent_keepalive: Option<u16>,
}

/// Reads the peers. Those that have no address in the overlay have none yet.
pub(super) fn read(
    sections: &[Section<'_>],
    overlay: &[IpNet],
    own: Option<PublicKey>,
    remarks: &mut Remarks,
) -> Vec<ImportedPeer> {
    let owners = last_owners(sections, overlay);
    let mut reader = Reader { overlay, owners, names: Names::default(), remarks };
    let on = sections.iter().filter(|section| !section.is_off);
    let used: HashSet<PublicKey> = on.clone().filter_map(public_key).chain(own).collect();
    let has_none = on.count() == 0;
    let mut keys: HashMap<PublicKey, usize> = HashMap::new();
    let mut peers = Vec::new();
    for section in sections {
        let is_new =
            public_key(section).is_some_and(|key| !used.contains(&key) && !keys.contains_key(&key));
        if section.is_off && !(is_new && is_sound(section)) {
            let text = "a peer that is commented out is not carried over: something of it is wrong \
                        or missing, or another peer has its key";
            reader.remarks.alike(section.line, text);
            continue;
        }
        let Some(peer) = reader.peer(section) else { continue };
        if section.is_off {
            let text = format!("{} is commented out; it is carried over switched off", peer.name);
            reader.remarks.one(section.line, text);
        }
        if own == Some(peer.public_key) {
            reader.remarks.fault(section.line, "PublicKey: is the hub's own");
        }
        if let Some(other) = keys.insert(peer.public_key, section.line) {
            let text = format!("PublicKey: is that of the peer of line {other}");
            reader.remarks.fault(section.line, text);
        }
        peers.push(peer);
    }
    if has_none {
        reader.remarks.fault(0, "has no [Peer]; a relay needs one peer at least");
    }
    peers
}

fn public_key(section: &Section<'_>) -> Option<PublicKey> {
    section.last("publickey")?.value.parse().ok()
}

/// Whether nothing in what is commented out is wrong, which would not be the hub's fault.
fn is_sound(section: &Section<'_>) -> bool {
    let is_key = |entry: &Entry<'_>| entry.value.parse::<PresharedKey>().is_ok();
    let is_number = |entry: &Entry<'_>| entry.value.parse::<u16>().is_ok();
    section.items("allowedips").all(|(_, text)| prefix(text).is_some())
        && section.last("presharedkey").is_none_or(is_key)
        && section.last("persistentkeepalive").is_none_or(is_number)
}

/// Gives the relay an address where the hub's is none that a host can have, and every peer one
/// that has none in the overlay.
pub(super) fn give_addresses(
    overlay: &mut [IpNet],
    unusable: &[(usize, usize)],
    peers: &mut [ImportedPeer],
    remarks: &mut Remarks,
) {
    let owned = |peers: &[ImportedPeer]| -> Vec<IpNet> {
        let of = |peer: &ImportedPeer| {
            let addresses: Vec<_> = peer.addresses.iter().copied().map(host_prefix).collect();
            addresses.into_iter().chain(peer.routes.clone())
        };
        peers.iter().flat_map(of).collect()
    };
    for &(place, line) in unusable {
        let network = overlay[place];
        let what = taken_by_network(network.addr(), &network).unwrap_or("no host's");
        let free = Free::of(network, owned(peers).into_iter()).take();
        match free.map(|free| (free, IpNet::new(free, network.prefix_len()))) {
            Ok((free, Ok(address))) => {
                remarks.one(
                    line,
                    format!(
                        "Address: {} is {what} of {}, so the relay gets {free}, which is free; \
                         clients that ask the hub at its old address (DNS) need the new one",
                        network.addr(),
                        network.trunc(),
                    ),
                );
                overlay[place] = address;
            }
            Ok((_, Err(_))) => {}
            Err(error) => remarks.fault(line, format!("Address: {error}")),
        }
    }
    let Some(network) = overlay.first() else { return };
    let mut free = Free::of(*network, owned(peers).into_iter());
    for peer in peers.iter_mut().filter(|peer| peer.addresses.is_empty()) {
        match free.take() {
            Ok(address) => {
                peer.addresses.push(address);
                let text = "had no address in the overlay and gets";
                let remedy = "which its client does not have yet";
                remarks.one(peer.line, format!("{} {text} {address}, {remedy}", peer.name));
            }
            Err(error) => remarks.fault(peer.line, format!("{}: {error}", peer.name)),
        }
    }
}

/// Remarks on networks that are behind peers and in nobody's list.
pub(super) fn unreached(overlay: &[IpNet], peers: &[ImportedPeer], remarks: &mut Remarks) {
    let is_listed = |route: &IpNet| overlay.iter().any(|net| net.trunc().contains(route));
    let routed: Vec<String> = peers
        .iter()
        .flat_map(|peer| peer.routes.iter().map(move |route| (route, &peer.name)))
        .filter(|(route, _)| !is_listed(route))
        .map(|(route, name)| format!("{} behind {name}", short(route)))
        .collect();
    if routed.is_empty() {
        return;
    }
    let more = match routed.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let text = "nobody's allowed_ips hold these networks behind peers, so nobody reaches them yet; \
                add them to the lists of those who may";
    let shown = &routed[..LISTED.min(routed.len())];
    remarks.one(0, format!("{text}: {}{more}", shown.join(", ")));
}

/// Makes values of the entries, and remarks on them.
struct Reader<'r> {
    overlay: &'r [IpNet],
    owners: HashMap<IpNet, usize>,
    names: Names,
    remarks: &'r mut Remarks,
}

impl Reader<'_> {
    fn peer(&mut self, section: &Section<'_>) -> Option<ImportedPeer> {
        let public_key = self.public_key(section)?;
        let (name, description) = self.names.of(section.hint.as_ref());
        for (Entry { line, key, .. }, last) in
            section.superseded(&["publickey", "presharedkey", "persistentkeepalive"])
        {
            let text = format!("{key} of {name} is written again in line {last}, which counts");
            self.remarks.one(*line, text);
        }
        for entry in &section.entries {
            if let Some(remark) = not_carried_over(entry) {
                self.remarks.alike(entry.line, remark);
            }
        }
        let preshared_key = self.preshared_key(section);
        let persistent_keepalive = self.keepalive(section);
        let (addresses, routes) = self.owned(section, &name);
        Some(ImportedPeer {
            line: section.line,
            enabled: !section.is_off,
            name,
            description,
            public_key,
            preshared_key,
            addresses,
            routes,
            persistent_keepalive,
        })
    }

    fn public_key(&mut self, section: &Section<'_>) -> Option<PublicKey> {
        let Some(Entry { line, value, .. }) = section.last("publickey") else {
            self.remarks.fault(section.line, "[Peer] has no PublicKey");
            return None;
        };
        let fault = |error| self.remarks.fault(*line, format!("PublicKey: {error}"));
        value.parse().map_err(fault).ok()
    }

    fn preshared_key(&mut self, section: &Section<'_>) -> Option<PresharedKey> {
        let Entry { line, value, .. } =
            section.last("presharedkey").filter(|entry| !entry.value.is_empty())?;
        let fault = |error| self.remarks.fault(*line, format!("PresharedKey: {error}"));
        value.parse().map_err(fault).ok()
    }

    fn keepalive(&mut self, section: &Section<'_>) -> Option<u16> {
        let Entry { line, value, .. } =
            section.last("persistentkeepalive").filter(|entry| !entry.value.is_empty())?;
        let seconds = if value.eq_ignore_ascii_case("off") { Ok(0) } else { value.parse() };
        if seconds.is_err() {
            let text = format!("PersistentKeepalive: {} is no number up to 65535", shown(value));
            self.remarks.fault(*line, text);
        }
        seconds.ok()
    }

    /// What the peer owns: addresses in the overlay, and the networks behind it.
    fn owned(&mut self, section: &Section<'_>, name: &PeerName) -> (Vec<IpAddr>, Vec<IpNet>) {
        let mut owned = Vec::new();
        for (line, text) in section.items("allowedips") {
            let Some(written) = prefix(text) else {
                let text = format!("AllowedIPs: {} is no address or network", shown(text));
                self.remarks.fault(line, text);
                continue;
            };
            let network = written.trunc();
            if let Some(address) = address_within(&written, self.overlay) {
                if let Some(address) = self.own(section, name, line, address) {
                    let text = format!(
                        "{written} of {name} is {network} to WireGuard; {} is taken for the peer's \
                         address",
                        address.addr()
                    );
                    self.remarks.one(line, text);
                    owned.push(address);
                }
                if self.overlay.iter().any(|overlay| overlay.trunc() == network) {
                    continue;
                }
            } else if written != network {
                let text = format!("{written} of {name} is {network}, as WireGuard takes it");
                self.remarks.one(line, text);
            }
            owned.extend(self.own(section, name, line, network));
        }
        let mut seen = HashSet::new();
        owned.retain(|network| seen.insert(*network));
        let (addresses, routes): (Vec<_>, Vec<_>) =
            owned.into_iter().partition(|network| self.is_address(network));
        (addresses.iter().map(IpNet::addr).collect(), routes)
    }

    /// The network, unless it is left out.
    fn own(
        &mut self,
        section: &Section<'_>,
        name: &PeerName,
        line: usize,
        network: IpNet,
    ) -> Option<IpNet> {
        let why = if let Err(fault) = parse_network(&network.to_string()) {
            fault.problem
        } else if let Some(what) = self.reserved(&network) {
            format!("it is {what}")
        } else if self.owners.get(&network).is_some_and(|owner| *owner != section.line) {
            match section.is_off {
                true => "another peer has it".to_owned(),
                false => "a later peer has it too, and WireGuard gives it to the last".to_owned(),
            }
        } else {
            return Some(network);
        };
        self.remarks.one(line, format!("{} of {name} is left out: {why}", short(&network)));
        None
    }

    fn is_address(&self, network: &IpNet) -> bool {
        network.prefix_len() == network.max_prefix_len()
            && self.overlay.iter().any(|overlay| overlay.contains(network))
    }

    /// What no peer can own.
    fn reserved(&self, network: &IpNet) -> Option<&'static str> {
        self.overlay.iter().find_map(|overlay| {
            if *network == overlay.trunc() {
                Some("the overlay itself")
            } else if *network == host_prefix(overlay.addr()) {
                Some("the relay's own address")
            } else if *network == host_prefix(network.addr()) && overlay.contains(network) {
                taken_by_network(network.addr(), overlay)
            } else {
                None
            }
        })
    }
}

/// The address of a prefix that is written with bits behind its length, if it lies in the overlay:
/// some write a peer's address with the length of the network.
fn address_within(written: &IpNet, overlay: &[IpNet]) -> Option<IpNet> {
    let address = host_prefix(written.addr());
    let is_within = |overlay: &IpNet| overlay.contains(&address);
    (*written != written.trunc() && overlay.iter().any(is_within)).then_some(address)
}

/// The peer, by its line, that WireGuard would give each prefix to. An address that is written
/// with the length of a network comes behind one that is written alone.
fn last_owners(sections: &[Section<'_>], overlay: &[IpNet]) -> HashMap<IpNet, usize> {
    let written = |is_off: bool| {
        sections.iter().filter(move |section| section.is_off == is_off).flat_map(|section| {
            let prefixes = section.items("allowedips").filter_map(|(_, text)| prefix(text));
            prefixes.map(|prefix| (prefix, section.line))
        })
    };
    let of = |is_off| {
        let within = written(is_off)
            .filter_map(|(prefix, line)| Some((address_within(&prefix, overlay)?, line)));
        within.chain(written(is_off).map(|(prefix, line)| (prefix.trunc(), line)))
    };
    // The later ones in this order win: of peers that are commented out, the first.
    let mut off: Vec<_> = of(true).collect();
    off.reverse();
    off.into_iter().chain(of(false)).collect()
}

/// Why an entry is not carried over; `None` for what is, and for what says nothing.
fn not_carried_over(Entry { key, value, .. }: &Entry<'_>) -> Option<String> {
    let why = match (key.to_ascii_lowercase().as_str(), *value) {
        (_, "") | ("publickey" | "presharedkey" | "allowedips" | "persistentkeepalive", _) => {
            return None;
        }
        ("endpoint", _) => "peers dial the relay, which learns where they are",
        (_, _) => "relay does not know it",
    };
    Some(format!("{key} is not carried over: {why}"))
}
