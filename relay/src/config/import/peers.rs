//! The `[Peer]` sections.

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
        read::{
            endpoint, endpoint_address, parse_network, short, shown, shown_key, taken_by_network,
        },
    },
    model::{PeerName, PresharedKey, PublicKey, host_prefix},
};

/// Networks behind peers that are listed one by one.
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
    pub(super) own_endpoint: Option<String>,
}

/// Reads the peers. Those without an address in the overlay get one from [`give_addresses`].
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
            let text = "a commented-out peer is not converted: it is incomplete or invalid, or another \
                        peer has its key";
            reader.remarks.alike(section.line, text);
            continue;
        }
        let Some(peer) = reader.peer(section) else { continue };
        if section.is_off {
            let text =
                format!("{} is commented out; it is converted as a disabled peer", peer.name);
            reader.remarks.one(section.line, text);
        }
        if own == Some(peer.public_key) {
            reader.remarks.fault(section.line, "PublicKey: is the hub's own key");
        }
        if let Some(other) = keys.insert(peer.public_key, section.line) {
            let text = format!("PublicKey: is already that of the peer in line {other}");
            reader.remarks.fault(section.line, text);
        }
        peers.push(peer);
    }
    if has_none {
        reader.remarks.fault(0, "has no [Peer]; a relay needs at least one peer");
    }
    peers
}

fn public_key(section: &Section<'_>) -> Option<PublicKey> {
    section.last("publickey")?.value.parse().ok()
}

/// Whether a commented-out peer is valid.
fn is_sound(section: &Section<'_>) -> bool {
    let is_key = |entry: &Entry<'_>| entry.value.parse::<PresharedKey>().is_ok();
    let is_number = |entry: &Entry<'_>| entry.value.parse::<u16>().is_ok();
    section.items("allowedips").all(|(_, text)| prefix(text).is_some())
        && section.last("presharedkey").is_none_or(is_key)
        && section.last("persistentkeepalive").is_none_or(is_number)
}

/// Gives the relay a usable address where the hub's is not, and each peer without an address in the
/// overlay a free one.
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
        let what = taken_by_network(network.addr(), &network).unwrap_or("reserved");
        let free = Free::of(network, owned(peers).into_iter()).take();
        match free.map(|free| (free, IpNet::new(free, network.prefix_len()))) {
            Ok((free, Ok(address))) => {
                remarks.one(
                    line,
                    format!(
                        "Address: {} is {what} of {}, so the relay gets {free}; clients that use the \
                         hub's old address (DNS) need the new one",
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
                let text = "has no address in the overlay and gets";
                let remedy = "which its client does not have yet";
                remarks.one(peer.line, format!("{} {text} {address}, {remedy}", peer.name));
            }
            Err(error) => remarks.fault(peer.line, format!("{}: {error}", peer.name)),
        }
    }
}

/// Remarks on networks behind peers that no list contains.
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
    let text = "no allowed_ips contain these networks behind peers, so no peer reaches them yet; add \
                them to the lists of peers that may";
    let shown = &routed[..LISTED.min(routed.len())];
    remarks.one(0, format!("{text}: {}{more}", shown.join(", ")));
}

/// Reads entries and remarks on them.
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
            section.superseded(&["publickey", "presharedkey", "persistentkeepalive", "endpoint"])
        {
            let text = format!("{key} of {name} is set again in line {last}, which wins");
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
            own_endpoint: section.last("endpoint").and_then(|entry| dialled(entry.value)),
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
            let text = format!("PersistentKeepalive: {} is not a number up to 65535", shown(value));
            self.remarks.fault(*line, text);
        }
        seconds.ok()
    }

    /// What the peer owns: addresses in the overlay, and the networks behind it.
    fn owned(&mut self, section: &Section<'_>, name: &PeerName) -> (Vec<IpAddr>, Vec<IpNet>) {
        let mut owned = Vec::new();
        for (line, text) in section.items("allowedips") {
            let Some(written) = prefix(text) else {
                let text = format!("AllowedIPs: {} is not an address or network", shown(text));
                self.remarks.fault(line, text);
                continue;
            };
            let network = written.trunc();
            if let Some(address) = address_within(&written, self.overlay) {
                if let Some(address) = self.own(section, name, line, address) {
                    let text = format!(
                        "{written} of {name} means {network} to WireGuard; {} becomes the peer's \
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
                let text =
                    format!("{written} of {name} becomes {network}, which it means to WireGuard");
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

    /// The network, unless it is omitted.
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
                true => "another peer owns it".to_owned(),
                false => "a later peer has it too, and in WireGuard the last one wins".to_owned(),
            }
        } else {
            return Some(network);
        };
        self.remarks.one(line, format!("{} of {name} is omitted: {why}", short(&network)));
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

/// The address of a prefix with host bits set, if it is in the overlay: some write a peer's address
/// with the prefix length of the network.
fn address_within(written: &IpNet, overlay: &[IpNet]) -> Option<IpNet> {
    let address = host_prefix(written.addr());
    let is_within = |overlay: &IpNet| overlay.contains(&address);
    (*written != written.trunc() && overlay.iter().any(is_within)).then_some(address)
}

/// The line of the peer that owns each prefix in WireGuard. A bare address wins over one with the
/// prefix length of a network.
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
    // The last one wins; of commented-out peers, the first.
    let mut off: Vec<_> = of(true).collect();
    off.reverse();
    off.into_iter().chain(of(false)).collect()
}

/// An endpoint that somebody wrote. Addresses without a name are also those that `SaveConfig` found
/// peers at.
fn dialled(text: &str) -> Option<String> {
    endpoint(text).ok().filter(|endpoint| endpoint_address(endpoint).is_none())
}

/// Why an entry is not converted; `None` if it is, or is empty.
fn not_carried_over(Entry { key, value, .. }: &Entry<'_>) -> Option<String> {
    let why = match (key.to_ascii_lowercase().as_str(), *value) {
        (_, "") | ("publickey" | "presharedkey" | "allowedips" | "persistentkeepalive", _) => {
            return None;
        }
        ("endpoint", text) if dialled(text).is_some() => return None,
        ("endpoint", _) => {
            "WireGuard learns endpoints from the peers that dial the relay; add own_endpoint to one \
             that does not"
        }
        (_, _) => "unknown to relay",
    };
    Some(format!("{} is not converted: {why}", shown_key(key)))
}
