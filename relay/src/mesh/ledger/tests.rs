use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use proptest::prelude::*;

use super::*;

fn peer(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

fn relays(count: usize) -> Vec<RelayName> {
    (0..count).map(|place| format!("relay{place}").parse().expect("a name")).collect()
}

fn endpoint(text: &str) -> Option<SocketAddr> {
    Some(text.parse().expect("an endpoint"))
}

/// The ledger of the first of three relays, with one peer.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new(relays(3), 0);
    assert_eq!(ledger.set_peers(&[peer(1)].into()), []);
    ledger
}

fn sight(home: Home, handshake: u64, endpoint: Option<SocketAddr>) -> [Sight; 1] {
    [Sight { peer: peer(1), home, handshake, endpoint }]
}

const PEER: PublicKey = PublicKey::from_bytes([1; 32]);

#[test]
fn a_peer_that_moves_here_is_claimed_with_a_version_above_all_heard() {
    let mut ledger = ledger();
    ledger.heard(1, PEER, Claim::new(7, 100, None));
    let claim = Claim::new(8, 0, None);
    let expected = [
        Action::Home { peer: PEER, home: Home::Here },
        Action::Record { peer: PEER, claim },
        Action::Publish { peer: PEER, claim },
    ];
    assert_eq!(ledger.moved(PEER), expected);
    assert_eq!(ledger.moved(PEER), [], "the ring may tell it twice");
}

#[test]
fn the_next_look_completes_the_claim_of_a_move() {
    let mut ledger = ledger();
    ledger.moved(PEER);
    let seen = sight(Home::Here, 50, endpoint("192.0.2.1:1000"));
    let claim = Claim::new(1, 50, endpoint("192.0.2.1:1000"));
    let expected = [Action::Record { peer: PEER, claim }, Action::Publish { peer: PEER, claim }];
    assert_eq!(ledger.look(seen), expected);
    let nothing = ledger.look(seen);
    assert_eq!((nothing.len(), nothing.capacity()), (0, 0), "nothing is allocated");
}

#[test]
fn a_claim_is_published_again_after_a_roam_and_when_its_handshake_is_old() {
    let mut ledger = ledger();
    ledger.moved(PEER);
    ledger.look(sight(Home::Here, 50, endpoint("192.0.2.1:1000")));
    assert_eq!(ledger.look(sight(Home::Here, 649, endpoint("192.0.2.1:1000"))), []);
    for (handshake, from) in [(650, "192.0.2.1:1000"), (651, "192.0.2.1:1001")] {
        let claim = Claim::new(1, handshake, endpoint(from));
        let actions = ledger.look(sight(Home::Here, handshake, endpoint(from)));
        assert!(actions.contains(&Action::Publish { peer: PEER, claim }), "{actions:?}");
    }
}

#[test]
fn a_relay_that_loses_a_peer_releases_and_withdraws_it() {
    let mut ledger = ledger();
    ledger.moved(PEER);
    let claim = Claim::new(2, 5, endpoint("192.0.2.1:1000"));
    let home = Home::At(1);
    let expected = [
        Action::Home { peer: PEER, home },
        Action::Record { peer: PEER, claim },
        Action::Release { peer: PEER },
        Action::Withdraw { peer: PEER },
    ];
    assert_eq!(ledger.heard(1, PEER, claim), expected);
    assert_eq!(ledger.heard(1, PEER, claim), [], "gossip may tell it twice");
    assert_eq!(ledger.heard(2, PEER, Claim::new(1, 9, None)), [], "an older one is late");
    assert_eq!(ledger.prevailing(&PEER), Some((1, claim)));
}

#[test]
fn a_weaker_claim_changes_nothing_here() {
    let mut ledger = ledger();
    ledger.heard(1, PEER, Claim::new(7, 100, None));
    ledger.moved(PEER);
    assert_eq!(ledger.heard(2, PEER, Claim::new(7, 900, None)), []);
    assert_eq!(ledger.home(&PEER), Home::Here);
}

#[test]
fn what_the_kernel_had_is_claimed_as_it_was() {
    let claim = Claim::new(7, 100, None);
    assert_eq!(
        ledger().begin(PEER, Home::Here, Some(claim)),
        [Action::Publish { peer: PEER, claim }]
    );
    let mut ledger = ledger();
    assert_eq!(ledger.begin(PEER, Home::At(2), Some(claim)), []);
    assert_eq!(ledger.home(&PEER), Home::At(2));
    assert!(matches!(ledger.moved(PEER)[2], Action::Publish { claim, .. } if claim.version == 8));
}

#[test]
fn a_peer_that_a_takeover_set_here_is_a_move() {
    let mut ledger = ledger();
    ledger.heard(1, PEER, Claim::new(7, 100, endpoint("192.0.2.1:1000")));
    ledger.look(sight(Home::At(1), 0, None));
    let actions = ledger.look(sight(Home::Here, 0, endpoint("192.0.2.1:1000")));
    let claim = Claim::new(8, 0, endpoint("192.0.2.1:1000"));
    assert!(actions.contains(&Action::Publish { peer: PEER, claim }), "{actions:?}");
    assert!(!actions.contains(&Action::Release { peer: PEER }), "{actions:?}");
}

#[test]
fn a_handshake_here_is_a_move_and_one_of_long_ago_is_not() {
    let mut ledger = ledger();
    ledger.heard(1, PEER, Claim::new(7, 100, None));
    assert_eq!(ledger.look(sight(Home::At(1), 60, None)), []);
    assert_eq!(ledger.look(sight(Home::At(1), 60, None)), []);
    assert!(!ledger.look(sight(Home::At(1), 61, None)).is_empty());
    assert_eq!(ledger.home(&PEER), Home::Here);
}

#[test]
fn a_session_from_before_the_mesh_is_claimed_if_nobody_else_does() {
    let mut ledger = ledger();
    assert_eq!(ledger.look(sight(Home::Unknown, 0, None)), []);
    let mut other = self::ledger();
    other.look(sight(Home::Unknown, 60, None));
    assert_eq!((ledger.home(&PEER), other.home(&PEER)), (Home::Unknown, Home::Here));
    ledger.heard(1, PEER, Claim::new(1, 60, None));
    assert_eq!(ledger.home(&PEER), Home::At(1));
}

#[test]
fn a_peer_at_another_relay_is_released_until_wireguard_shows_it() {
    let mut ledger = ledger();
    ledger.heard(1, PEER, Claim::new(1, 60, None));
    let release = [Action::Release { peer: PEER }];
    assert_eq!(ledger.look(sight(Home::At(1), 0, endpoint("192.0.2.1:1000"))), release);
    assert_eq!(ledger.look(sight(Home::At(1), 0, None)), []);
}

#[test]
fn an_array_that_differs_is_written_again() {
    let mut ledger = ledger();
    ledger.heard(1, PEER, Claim::new(1, 60, None));
    let actions = ledger.look(sight(Home::Unknown, 0, None));
    assert_eq!(actions, [Action::Home { peer: PEER, home: Home::At(1) }]);
    ledger.moved(PEER);
    let actions = ledger.look(sight(Home::At(1), 0, None));
    assert_eq!(actions, [Action::Home { peer: PEER, home: Home::Here }]);
}

#[test]
fn what_a_relay_does_not_repeat_when_it_begins_anew_is_withdrawn() {
    let mut ledger = ledger();
    ledger.heard(1, PEER, Claim::new(8, 60, None));
    ledger.heard(2, PEER, Claim::new(7, 60, None));
    ledger.began(1);
    assert_eq!(ledger.home(&PEER), Home::At(1), "it has not told all yet");
    ledger.told(1);
    assert_eq!(ledger.home(&PEER), Home::At(2));
    ledger.withdrawn(2, PEER);
    assert_eq!(ledger.home(&PEER), Home::At(2), "nobody else claims it");
    assert!(matches!(ledger.moved(PEER)[2], Action::Publish { claim, .. } if claim.version == 9));
}

#[test]
fn a_claim_of_this_relay_from_before_a_reboot_counts_if_it_prevails() {
    let claim = Claim::new(8, 60, endpoint("192.0.2.1:1000"));
    let mut ledger = ledger();
    let actions = ledger.heard(0, PEER, claim);
    assert!(actions.contains(&Action::Publish { peer: PEER, claim }), "{actions:?}");
    let mut ledger = self::ledger();
    ledger.heard(1, PEER, Claim::new(9, 60, None));
    assert_eq!(ledger.heard(0, PEER, claim), []);
    let mut ledger = self::ledger();
    ledger.moved(PEER);
    let actions = ledger.heard(0, PEER, claim);
    let claim = Claim::new(8, 0, None);
    assert!(actions.contains(&Action::Publish { peer: PEER, claim }), "{actions:?}");
}

#[test]
fn claims_of_unknown_peers_and_relays_are_ignored() {
    let mut ledger = ledger();
    assert_eq!(ledger.heard(1, peer(9), Claim::new(1, 1, None)), []);
    assert_eq!(ledger.strangers(), 1);
    assert_eq!(ledger.heard(3, PEER, Claim::new(1, 1, None)), []);
    assert_eq!(ledger.home(&PEER), Home::Unknown);
}

#[test]
fn a_peer_that_is_no_longer_configured_is_withdrawn() {
    let mut ledger = ledger();
    ledger.moved(PEER);
    assert_eq!(ledger.set_peers(&[peer(2)].into()), [Action::Withdraw { peer: PEER }]);
    assert_eq!(ledger.tally(), Tally { at: vec![0; 3], unknown: 1 });
}

#[test]
fn the_highest_version_there_is_does_not_end_in_an_overflow() {
    let mut ledger = ledger();
    ledger.heard(1, PEER, Claim::new(u32::MAX, u64::MAX, None));
    ledger.moved(PEER);
    assert_eq!(ledger.home(&PEER), Home::Here, "the packet counts until gossip disagrees");
}

/// What may happen in a site.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// A packet of a peer reaches a relay after a handshake there.
    Packet { relay: usize, peer: u8 },
    /// A relay hears something that was gossiped once, however old.
    Hear { relay: usize, what: prop::sample::Index },
    /// Two relays exchange all that stands.
    Sync { from: usize, to: usize },
    /// A relay looks at its kernel.
    Look { relay: usize },
    /// The agent of a relay is started again.
    Restart { relay: usize },
    /// The host of a relay is started again, and its kernel knows nothing.
    Reboot { relay: usize },
}

const RELAYS: usize = 3;
const PEERS: u8 = 3;

fn event() -> impl Strategy<Value = Event> {
    let relay = || 0..RELAYS;
    prop_oneof![
        6 => (relay(), 0..PEERS).prop_map(|(relay, peer)| Event::Packet { relay, peer }),
        4 => (relay(), any::<prop::sample::Index>())
            .prop_map(|(relay, what)| Event::Hear { relay, what }),
        3 => (relay(), relay()).prop_map(|(from, to)| Event::Sync { from, to }),
        2 => relay().prop_map(|relay| Event::Look { relay }),
        1 => relay().prop_map(|relay| Event::Restart { relay }),
        1 => relay().prop_map(|relay| Event::Reboot { relay }),
    ]
}

/// One relay: its agent, what its kernel has, and what it gossips.
struct Relay {
    place: usize,
    ledger: Ledger,
    homes: BTreeMap<PublicKey, Home>,
    claims: BTreeMap<PublicKey, Claim>,
    handshakes: BTreeMap<PublicKey, u64>,
    endpoints: BTreeMap<PublicKey, SocketAddr>,
    published: BTreeMap<PublicKey, Claim>,
    life: u32,
    /// Which life of each relay it last heard of.
    heard: [u32; RELAYS],
    highest: BTreeMap<PublicKey, u32>,
}

/// What was gossiped: by whom, in which life, of whom.
type Gossiped = (usize, u32, PublicKey, Claim);

impl Relay {
    fn new(place: usize) -> Self {
        let mut relay = Self {
            place,
            ledger: Ledger::new(relays(RELAYS), place),
            homes: BTreeMap::new(),
            claims: BTreeMap::new(),
            handshakes: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            published: BTreeMap::new(),
            life: 0,
            heard: [0; RELAYS],
            highest: BTreeMap::new(),
        };
        relay.ledger.set_peers(&(0..PEERS).map(peer).collect());
        relay
    }

    fn carry_out(&mut self, actions: Vec<Action>, gossiped: &mut Vec<Gossiped>) {
        for action in actions {
            match action {
                Action::Home { peer, home } => drop(self.homes.insert(peer, home)),
                Action::Record { peer, claim } => drop(self.claims.insert(peer, claim)),
                Action::Release { peer } => drop(self.endpoints.remove(&peer)),
                Action::Withdraw { peer } => {
                    assert!(self.published.remove(&peer).is_some(), "what was published");
                    assert_eq!(self.endpoints.get(&peer), None);
                }
                Action::Publish { peer, claim } => {
                    let highest = self.highest.entry(peer).or_default();
                    assert!(claim.version >= *highest, "versions never fall");
                    *highest = claim.version;
                    self.published.insert(peer, claim);
                    gossiped.push((self.place, self.life, peer, claim));
                }
            }
        }
    }

    fn packet(&mut self, peer: PublicKey, handshake: u64) -> Vec<Action> {
        self.handshakes.insert(peer, handshake);
        self.endpoints.insert(peer, endpoint("192.0.2.1:1000").expect("an endpoint"));
        match self.homes.insert(peer, Home::Here) {
            Some(Home::Here) => Vec::new(),
            _ => self.ledger.moved(peer),
        }
    }

    fn look(&mut self) -> Vec<Action> {
        self.ledger.look((0..PEERS).map(peer).map(|peer| Sight {
            peer,
            home: self.homes.get(&peer).copied().unwrap_or(Home::Unknown),
            handshake: self.handshakes.get(&peer).copied().unwrap_or(0),
            endpoint: self.endpoints.get(&peer).copied(),
        }))
    }

    fn restart(&mut self) -> Vec<Action> {
        let before = std::mem::replace(self, Self::new(self.place));
        self.life = before.life + 1;
        self.homes = before.homes;
        self.claims = before.claims;
        self.handshakes = before.handshakes;
        self.endpoints = before.endpoints;
        self.highest = before.highest;
        let begin = |peer| {
            let home = self.homes.get(&peer).copied().unwrap_or(Home::Unknown);
            self.ledger.begin(peer, home, self.claims.get(&peer).copied())
        };
        (0..PEERS).map(peer).flat_map(begin).collect()
    }
}

/// Lets `to` hear all that stands at `from`.
fn sync(site: &mut [Relay], from: usize, to: usize, gossiped: &mut Vec<Gossiped>) -> bool {
    if from == to {
        return false;
    }
    let (life, published) = (site[from].life, site[from].published.clone());
    let relay = &mut site[to];
    let mut actions = Vec::new();
    if relay.heard[from] < life {
        relay.heard[from] = life;
        relay.ledger.began(from);
    }
    for (peer, claim) in &published {
        actions.extend(relay.ledger.heard(from, *peer, *claim));
    }
    for peer in (0..PEERS).map(peer).filter(|peer| !published.contains_key(peer)) {
        actions.extend(relay.ledger.withdrawn(from, peer));
    }
    actions.extend(relay.ledger.told(from));
    let changed = !actions.is_empty();
    relay.carry_out(actions, gossiped);
    changed
}

/// Lets all hear all, until nothing changes.
fn sync_all(site: &mut [Relay], gossiped: &mut Vec<Gossiped>) {
    for _ in 0..4 {
        let pairs = (0..RELAYS).flat_map(|from| (0..RELAYS).map(move |to| (from, to)));
        let changed = pairs.map(|(from, to)| sync(site, from, to, gossiped)).filter(|it| *it);
        if changed.count() == 0 {
            return;
        }
    }
    panic!("the relays do not come to rest");
}

/// Where all agree that a peer is at home; `None` if nobody claims it.
fn agreed(site: &[Relay], peer: PublicKey) -> Option<usize> {
    let claimants: BTreeSet<usize> =
        site.iter().filter(|it| it.published.contains_key(&peer)).map(|it| it.place).collect();
    let home = *claimants.first()?;
    assert_eq!(claimants.len(), 1, "one relay claims it");
    for relay in site {
        let expected = if relay.place == home { Home::Here } else { Home::At(home) };
        assert_eq!(relay.ledger.home(&peer), expected);
        assert_eq!(relay.homes.get(&peer), Some(&expected));
        let released = !relay.endpoints.contains_key(&peer);
        assert!(relay.place == home || released, "who is not home cannot call");
    }
    Some(home)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn relays_that_have_heard_all_agree_and_the_last_packet_wins(
        events in prop::collection::vec(event(), 1..60),
        skews in [-5_i64..=5, -5..=5, -5..=5],
        last in (0..RELAYS, 0..PEERS),
    ) {
        let mut site: Vec<Relay> = (0..RELAYS).map(Relay::new).collect();
        let mut gossiped = Vec::new();
        let clock = |relay: usize, second: usize| {
            (1_000 + i64::try_from(second).expect("a small number") + skews[relay]).unsigned_abs()
        };
        for (second, event) in events.into_iter().enumerate() {
            let (place, actions) = match event {
                Event::Packet { relay, peer: number } => {
                    (relay, site[relay].packet(peer(number), clock(relay, second)))
                }
                Event::Hear { relay, what } => {
                    if gossiped.is_empty() {
                        continue;
                    }
                    let (from, life, peer, claim) = *what.get(&gossiped);
                    // Gossip never goes back to an earlier life.
                    if from == relay || life < site[relay].heard[from] {
                        continue;
                    }
                    if life > site[relay].heard[from] {
                        site[relay].heard[from] = life;
                        site[relay].ledger.began(from);
                    }
                    (relay, site[relay].ledger.heard(from, peer, claim))
                }
                Event::Sync { from, to } => {
                    sync(&mut site, from, to, &mut gossiped);
                    continue;
                }
                Event::Look { relay } => (relay, site[relay].look()),
                Event::Restart { relay } => (relay, site[relay].restart()),
                Event::Reboot { relay } => {
                    let life = site[relay].life + 1;
                    site[relay] = Relay { life, ..Relay::new(relay) };
                    continue;
                }
            };
            site[place].carry_out(actions, &mut gossiped);
        }
        sync_all(&mut site, &mut gossiped);
        (0..RELAYS).for_each(|relay| {
            let actions = site[relay].look();
            site[relay].carry_out(actions, &mut gossiped);
        });
        sync_all(&mut site, &mut gossiped);
        for number in 0..PEERS {
            agreed(&site, peer(number));
        }
        let (relay, number) = last;
        let actions = site[relay].packet(peer(number), clock(relay, 100));
        site[relay].carry_out(actions, &mut gossiped);
        sync_all(&mut site, &mut gossiped);
        prop_assert_eq!(agreed(&site, peer(number)), Some(relay));
    }
}
