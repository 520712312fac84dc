use super::{Relay, Selector, Span, Spans, Territory};

/// What one side of a rule covers in one address family, without what the rule excepts. Disabled
/// peers count: a rule covers them again once they are enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// The addresses.
    pub addresses: Spans,
    /// A bit for each peer that owns some of them.
    owners: Vec<u64>,
}

impl Coverage {
    /// Of the selectors of a side.
    pub fn of(
        relay: &Relay,
        territory: &Territory,
        side: &[Selector],
        except: &[Selector],
        is_v4: bool,
    ) -> Self {
        let out = Taken::of(relay, except, is_v4);
        let mut named: Vec<(Span, usize)> = Vec::new();
        for selector in side {
            match *selector {
                Selector::Any => named.extend(territory.all(is_v4)),
                Selector::Peer(peer) => named.extend(owned(territory, peer, is_v4)),
                Selector::Group(group) => {
                    let members = relay.groups[group].members.iter();
                    named.extend(members.flat_map(|&peer| owned(territory, peer, is_v4)));
                }
                Selector::Prefix(net) if net.addr().is_ipv4() == is_v4 => {
                    named.extend(territory.within(Span::of(&net), is_v4));
                }
                Selector::Prefix(_) => {}
            }
        }
        named.retain(|(_, owner)| !out.all && !has(&out.peers, *owner));
        let mut owners = vec![0; relay.peers.len().div_ceil(WORD)];
        let mut addresses = Vec::with_capacity(named.len());
        for (span, owner) in named {
            let left = Spans::from_iter([span]).without(&out.addresses);
            if !left.is_empty() {
                put(&mut owners, owner);
            }
            addresses.extend(left.iter());
        }
        Self { addresses: addresses.into_iter().collect(), owners }
    }

    /// Whether a peer owns some of the addresses, by its place in [`Relay::peers`].
    pub fn has(&self, peer: usize) -> bool {
        has(&self.owners, peer)
    }

    /// The peers that own some of the addresses, by their places, ascending.
    pub fn peers(&self) -> impl Iterator<Item = usize> + '_ {
        let words = self.owners.iter().enumerate().filter(|(_, word)| **word != 0);
        words.flat_map(|(at, word)| {
            (0..WORD).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at * WORD + bit)
        })
    }
}

/// What a rule excepts, in one address family.
struct Taken {
    all: bool,
    peers: Vec<u64>,
    addresses: Spans,
}

impl Taken {
    fn of(relay: &Relay, except: &[Selector], is_v4: bool) -> Self {
        let mut peers = vec![0; relay.peers.len().div_ceil(WORD)];
        let mut nets = Vec::new();
        let mut all = false;
        for selector in except {
            match *selector {
                Selector::Any => all = true,
                Selector::Peer(peer) => put(&mut peers, peer),
                Selector::Group(group) => {
                    relay.groups[group].members.iter().for_each(|&peer| put(&mut peers, peer));
                }
                Selector::Prefix(net) => nets.push(net),
            }
        }
        Self { all, peers, addresses: Spans::of(&nets, is_v4) }
    }
}

fn owned(
    territory: &Territory,
    peer: usize,
    is_v4: bool,
) -> impl Iterator<Item = (Span, usize)> + '_ {
    territory.of_peer(peer, is_v4).iter().map(move |span| (span, peer))
}

/// Peers of a word.
const WORD: usize = u64::BITS as usize;

fn has(bits: &[u64], peer: usize) -> bool {
    bits[peer / WORD] >> (peer % WORD) & 1 == 1
}

fn put(bits: &mut [u64], peer: usize) {
    bits[peer / WORD] |= 1 << (peer % WORD);
}
