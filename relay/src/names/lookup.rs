use std::net::IpAddr;

use hickory_proto::rr::{
    Name, RData, Record, RecordType,
    rdata::{A, AAAA, NS, PTR, SOA},
};
use ipnet::IpNet;

use super::{Asker, Zone};

/// Seconds for which an answer holds: what is known of a peer changes with the configuration.
const TTL: u32 = 60;

/// Seconds for secondary servers, of which there are none.
const REFRESH: i32 = 3600;

/// Octets or digits of names of addresses, in bits, and labels behind them (`in-addr.arpa`).
const V4_LABEL_BITS: u8 = 8;
const V6_LABEL_BITS: u8 = 4;
const ARPA_LABELS: u8 = 2;

/// What one of the zone's names has for who asks.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// These records.
    Records(Vec<Record>),
    /// The name exists, and nothing of that type. With the zone's start of authority.
    Nothing(Record),
    /// No such name, as far as who asks may know.
    NoName(Record),
}

/// Somebody who asks, at a time in seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking {
    pub(super) asker: Asker,
    pub(super) now: u64,
}

impl Zone {
    /// Looks a name up. `None`: it is in no zone of the relay.
    pub(super) fn look_up(&self, name: &Name, kind: RecordType, asking: Asking) -> Option<Found> {
        if self.apex.zone_of(name) {
            return Some(self.in_zone(name, kind, asking));
        }
        let net = name.parse_arpa_name().ok()?;
        Some(self.reverse(name, kind, net, self.overlay(&net)?, asking))
    }

    fn in_zone(&self, name: &Name, kind: RecordType, asking: Asking) -> Found {
        if *name == self.apex {
            let own: Vec<IpAddr> = self.relay.addresses.iter().map(IpNet::addr).collect();
            let all = addresses(name, &own).chain(self.top(name)).collect();
            return self.of_kind(kind, all, name);
        }
        let knows = |place: usize| {
            let of_peer = self.relay.peers[place].addresses.iter().copied();
            of_peer.filter(move |address| self.may_know_at(asking, place, *address))
        };
        let Some(node) = self.node(name) else { return Found::NoName(self.authority(&self.apex)) };
        let known: Vec<IpAddr> = node.owner.into_iter().flat_map(knows).collect();
        if known.is_empty() && !node.below.iter().any(|&place| knows(place).next().is_some()) {
            return Found::NoName(self.authority(&self.apex));
        }
        self.of_kind(kind, addresses(name, &known).collect(), &self.apex)
    }

    /// A name of an address or of a network inside the overlay.
    fn reverse(
        &self,
        name: &Name,
        kind: RecordType,
        net: IpNet,
        overlay: &IpNet,
        asking: Asking,
    ) -> Found {
        let zone = reverse_zone(net.addr(), overlay);
        let mut all: Vec<Record> =
            if *name == zone { self.top(&zone).collect() } else { Vec::new() };
        if net.prefix_len() == net.max_prefix_len() {
            let owner = self.known_owner(net.addr(), asking);
            let record = |owner| Record::from_rdata(name.clone(), TTL, RData::PTR(PTR(owner)));
            all.extend(owner.map(record));
            if all.is_empty() {
                return Found::NoName(self.authority(&zone));
            }
        }
        self.of_kind(kind, all, &zone)
    }

    fn known_owner(&self, address: IpAddr, asking: Asking) -> Option<Name> {
        if self.is_relay(address) {
            return Some(self.apex.clone());
        }
        let place = self.owner(address)?;
        if self.may_know_at(asking, place, address) { self.name_of(place) } else { None }
    }

    fn may_know_at(&self, asking: Asking, place: usize, address: IpAddr) -> bool {
        self.may_know(asking.asker, place, address, asking.now)
    }

    /// Those of the type, of all records of a name in `zone`.
    fn of_kind(&self, kind: RecordType, mut all: Vec<Record>, zone: &Name) -> Found {
        all.retain(|record| kind == RecordType::ANY || record.record_type() == kind);
        if all.is_empty() { Found::Nothing(self.authority(zone)) } else { Found::Records(all) }
    }

    /// What a zone has under its own name.
    fn top(&self, zone: &Name) -> impl Iterator<Item = Record> {
        let server = Record::from_rdata(zone.clone(), TTL, RData::NS(NS(self.apex.clone())));
        [self.authority(zone), server].into_iter()
    }

    fn authority(&self, zone: &Name) -> Record {
        let (server, mailbox) = (self.apex.clone(), self.apex.clone());
        let soa = SOA::new(server, mailbox, 1, REFRESH, REFRESH, REFRESH, TTL);
        Record::from_rdata(zone.clone(), TTL, RData::SOA(soa))
    }
}

fn addresses(name: &Name, addresses: &[IpAddr]) -> impl Iterator<Item = Record> {
    let record = |address: &IpAddr| {
        let data = match *address {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        };
        Record::from_rdata(name.clone(), TTL, data)
    };
    addresses.iter().map(record)
}

/// The largest zone of names of addresses that holds `address` and nothing outside the overlay.
fn reverse_zone(address: IpAddr, overlay: &IpNet) -> Name {
    let bits = if address.is_ipv4() { V4_LABEL_BITS } else { V6_LABEL_BITS };
    let labels = overlay.prefix_len().div_ceil(bits) + ARPA_LABELS;
    Name::from(address).trim_to(usize::from(labels))
}
