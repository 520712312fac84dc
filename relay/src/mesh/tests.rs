//! Agents that gossip: on loopback addresses, and over channels of which some are cut.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use chitchat::{
    ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, ProtocolVersion,
    spawn_chitchat,
    transport::{ChannelTransport, UdpTransport},
};
use tokio::{
    net::UdpSocket,
    time::{sleep, timeout},
};

use super::*;
use crate::model::PublicKey;

const PEER: PublicKey = PublicKey::from_bytes([1; 32]);
const OTHER_PEER: PublicKey = PublicKey::from_bytes([2; 32]);
/// Within which everything happens here.
const DEADLINE: Duration = Duration::from_secs(20);

/// The site of three relays as each of them sees it.
async fn sites() -> [Site; 3] {
    let mut relays = Vec::new();
    let mut held = Vec::new();
    for place in 0..3 {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let name = format!("relay{place}").parse().expect("a name");
        relays.push((name, socket.local_addr().expect("its address")));
        held.push(socket);
    }
    let site = |own| Site { cluster: "fd00::/64".to_owned(), relays: relays.clone(), own };
    [site(0), site(1), site(2)]
}

fn beginning(generation: u64, claims: &[(PublicKey, Claim)]) -> Beginning {
    let claims = claims.to_vec();
    Beginning { generation, policy: "equal".to_owned(), claims, peers: 2 }
}

async fn start(site: &Site, generation: u64, claims: &[(PublicKey, Claim)]) -> Gossip {
    Gossip::start(site.clone(), beginning(generation, claims)).await.expect("gossip")
}

/// All events until the one that is waited for.
async fn events_until(gossip: &Gossip, wanted: Event) -> Vec<Event> {
    let mut all = Vec::new();
    while !all.contains(&wanted) {
        let events = timeout(DEADLINE, gossip.events()).await;
        all.extend(events.unwrap_or_else(|_| panic!("{wanted:?} after {all:?}")));
    }
    all
}

/// Asks until it is so.
async fn status_until(gossip: &Gossip, wanted: impl Fn(&Status) -> bool) -> Status {
    let asked = async {
        loop {
            let status = gossip.status().await;
            if wanted(&status) {
                return status;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, asked).await.expect("a status in time")
}

fn refused(status: &Status, refusal: Refusal) -> u64 {
    status.refused.iter().find(|(it, _)| *it == refusal).expect("all of them").1
}

fn claim(version: u32) -> Claim {
    Claim::new(version, 1_764_250_000, "192.0.2.1:51820".parse().ok())
}

#[tokio::test]
async fn a_claim_is_known_at_both_others_until_it_is_withdrawn() {
    let [a, b, c] = sites().await;
    let (a, b, c) = (start(&a, 1, &[]).await, start(&b, 1, &[]).await, start(&c, 1, &[]).await);
    a.publish(&[(PEER, Some(claim(7)))]).await;
    for other in [&b, &c] {
        events_until(other, Event::Heard { relay: 0, peer: PEER, claim: claim(7) }).await;
    }
    let status = status_until(&b, |it| it.relays[0].delay.is_some()).await;
    assert_eq!(status.relays[0].claims, 1);
    assert!(status.relays[0].received.bytes > 0 && status.relays[0].sent.bytes > 0);
    a.publish(&[(PEER, None), (OTHER_PEER, None)]).await;
    for other in [&b, &c] {
        events_until(other, Event::Withdrawn { relay: 0, peer: PEER }).await;
        assert_eq!(other.status().await.relays[0].claims, 0);
    }
}

#[tokio::test]
async fn an_agent_that_begins_anew_withdraws_only_what_it_does_not_repeat() {
    let [a, b, _] = sites().await;
    let mut ledger = Ledger::new(b.relays.iter().map(|(name, _)| name.clone()).collect(), 1);
    ledger.set_peers(&[PEER, OTHER_PEER].into());
    let mut tell = |events: Vec<Event>| {
        for event in events {
            match event {
                Event::Began { relay } => ledger.began(relay),
                Event::Heard { relay, peer, claim } => drop(ledger.heard(relay, peer, claim)),
                Event::Withdrawn { .. } | Event::Outlived { .. } => panic!("{event:?}"),
                Event::Told { relay } => drop(ledger.told(relay)),
            }
        }
        (ledger.prevailing(&PEER), ledger.prevailing(&OTHER_PEER))
    };
    let b = start(&b, 1, &[]).await;
    let first = start(&a, 1, &[(PEER, claim(7)), (OTHER_PEER, claim(7))]).await;
    let told = Event::Told { relay: 0 };
    let known = tell(events_until(&b, told).await);
    assert_eq!(known, (Some((0, claim(7))), Some((0, claim(7)))));
    first.close().await;
    let _second = start(&a, 2, &[(PEER, claim(7))]).await;
    let known = tell(events_until(&b, told).await);
    assert_eq!(known, (Some((0, claim(7))), None));
}

#[tokio::test]
async fn an_agent_hears_of_its_earlier_life_from_the_others() {
    let [a, b, _] = sites().await;
    let first = start(&a, 1, &[(PEER, claim(7))]).await;
    let b = start(&b, 1, &[]).await;
    let heard = Event::Heard { relay: 0, peer: PEER, claim: claim(7) };
    events_until(&b, heard).await;
    first.close().await;
    let second = start(&a, 2, &[]).await;
    events_until(&second, heard).await;
}

#[tokio::test]
async fn after_its_clock_was_set_back_an_agent_is_heard_once_it_begins_again() {
    let [a, b, _] = sites().await;
    let first = start(&a, 9, &[(PEER, claim(7))]).await;
    let b = start(&b, 1, &[]).await;
    events_until(&b, Event::Heard { relay: 0, peer: PEER, claim: claim(7) }).await;
    first.close().await;
    let second = start(&a, 5, &[(PEER, claim(7))]).await;
    second.publish(&[(PEER, Some(claim(8)))]).await;
    let before = events_until(&second, Event::Outlived { by: 9 }).await;
    assert!(before.contains(&Event::Heard { relay: 0, peer: PEER, claim: claim(7) }));
    second.close().await;
    let _third = start(&a, 10, &[(PEER, claim(8))]).await;
    let heard = Event::Heard { relay: 0, peer: PEER, claim: claim(8) };
    assert!(events_until(&b, heard).await.contains(&Event::Began { relay: 0 }));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_comes_back_with_its_clock_set_back_is_heard() {
    let [a, b, _] = sites().await;
    let channels = ChannelTransport::default();
    let begin = async |site: &Site, generation, claims: &[_]| {
        let beginning = beginning(generation, claims);
        Gossip::start_over(site.clone(), beginning, &channels).await.expect("gossip")
    };
    let b = begin(&b, 1, &[]).await;
    let first = begin(&a, 9, &[(PEER, claim(7))]).await;
    events_until(&b, Event::Heard { relay: 0, peer: PEER, claim: claim(7) }).await;
    first.close().await;
    // Longer than anything is kept of who is away.
    sleep(Duration::from_secs(3_600)).await;
    let _second = begin(&a, 5, &[(PEER, claim(8))]).await;
    status_until(&b, |it| it.relays[0].alive).await;
    let heard = Event::Heard { relay: 0, peer: PEER, claim: claim(8) };
    assert!(events_until(&b, heard).await.contains(&Event::Began { relay: 0 }));
}

#[tokio::test]
async fn an_unequal_policy_and_key_are_seen() {
    let [a, b, _] = sites().await;
    let (a, b) = (start(&a, 1, &[]).await, start(&b, 1, &[]).await);
    status_until(&b, |it| it.relays[0].policy.as_deref() == Some("equal")).await;
    a.set_policy("another").await;
    let status = status_until(&b, |it| it.relays[0].policy.as_deref() == Some("another")).await;
    assert_eq!(status.relays[1].policy.as_deref(), Some("equal"));
    let key = PublicKey::from_bytes([5; 32]);
    a.set_public_key(&key).await;
    status_until(&b, |it| it.relays[0].public_key == Some(key.to_string())).await;
}

#[tokio::test]
async fn an_agent_that_ends_is_not_alive_and_its_claims_stay() {
    let [a, b, c] = sites().await;
    let (a, b, c) =
        (start(&a, 1, &[(PEER, claim(7))]).await, start(&b, 1, &[]).await, start(&c, 1, &[]).await);
    status_until(&b, |it| it.relays.iter().all(|relay| relay.alive)).await;
    a.close().await;
    let status = status_until(&b, |it| !it.relays[0].alive).await;
    assert!(status.relays[1].alive && status.relays[2].alive);
    assert_eq!(status.relays[0].claims, 1);
    let heard = Event::Heard { relay: 0, peer: PEER, claim: claim(7) };
    assert!(c.standing().await.contains(&heard));
}

#[tokio::test(start_paused = true)]
async fn relays_that_were_apart_for_long_hear_all_that_happened() {
    let [a, b, c] = sites().await;
    let channels = ChannelTransport::default();
    let begin = async |site: &Site| {
        Gossip::start_over(site.clone(), beginning(1, &[]), &channels).await.expect("gossip")
    };
    let (away, near) = (a.relays[0].1, [a.relays[1].1, a.relays[2].1]);
    let (a, b, _c) = (begin(&a).await, begin(&b).await, begin(&c).await);
    a.publish(&[(PEER, Some(claim(1)))]).await;
    events_until(&b, Event::Heard { relay: 0, peer: PEER, claim: claim(1) }).await;
    for other in near {
        channels.remove_link(away, other).await;
    }
    a.publish(&[(PEER, None), (OTHER_PEER, Some(claim(2)))]).await;
    b.publish(&[(PEER, Some(claim(2)))]).await;
    // Longer than anything is kept of who is away.
    sleep(Duration::from_secs(3_600)).await;
    for other in near {
        channels.add_link(away, other).await;
    }
    events_until(&a, Event::Heard { relay: 1, peer: PEER, claim: claim(2) }).await;
    events_until(&b, Event::Heard { relay: 0, peer: OTHER_PEER, claim: claim(2) }).await;
    status_until(&a, |it| it.relays.iter().all(|relay| relay.alive)).await;
}

#[tokio::test]
async fn who_is_not_of_the_site_is_ignored() {
    let [a, b, _] = sites().await;
    let (target, own) = (a.relays[0].1, b.relays[1].1);
    let gossip = start(&a, 1, &[]).await;
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    stranger.send_to(b"anything", target).await.expect("sent");
    status_until(&gossip, |it| refused(it, Refusal::Stranger) > 0).await;
    let unknown = hostile("relay9", "fd00::/64", own, target).await;
    status_until(&gossip, |it| refused(it, Refusal::UnknownRelay) > 0).await;
    unknown.shutdown().await.expect("its end");
    let _other_site = hostile("relay1", "fd01::/64", own, target).await;
    status_until(&gossip, |it| refused(it, Refusal::OtherSite) > 0).await;
    assert!(gossip.standing().await.is_empty());
}

#[tokio::test]
async fn what_a_taken_relay_sends_neither_ends_gossip_nor_fills_memory() {
    let [a, b, c] = sites().await;
    let (target, taken) = (a.relays[0].1, a.relays[2].1);
    drop(c);
    let (a, b) = (start(&a, 1, &[]).await, start(&b, 1, &[]).await);
    let socket = UdpSocket::bind(taken).await.expect("the address of the taken one");
    for datagram in garbage(taken) {
        socket.send_to(&datagram, target).await.expect("sent");
    }
    let count = garbage(taken).len() as u64;
    status_until(&a, |it| refused(it, Refusal::Malformed) + refused(it, Refusal::Entry) >= count)
        .await;
    drop(socket);
    let flood = hostile("relay2", "fd00::/64", taken, target).await;
    flood
        .with_chitchat(|chitchat| {
            for number in 0..20_000_u32 {
                let mut key = [0; 32];
                key[..4].copy_from_slice(&number.to_le_bytes());
                let key = claim::key_text(&PublicKey::from_bytes(key));
                chitchat.self_node_state().set(key, "1 0 -");
            }
        })
        .await;
    let status = status_until(&a, |it| refused(it, Refusal::TooManyKeys) > 0).await;
    assert!(status.relays[2].claims <= 2 * 2 + 1_024, "{}", status.relays[2].claims);
    flood.shutdown().await.expect("its end");
    b.publish(&[(PEER, Some(claim(7)))]).await;
    events_until(&a, Event::Heard { relay: 1, peer: PEER, claim: claim(7) }).await;
}

#[tokio::test]
async fn an_agent_that_restarts_in_a_loop_is_kept_a_limited_number_of_times() {
    let [a, b, c] = sites().await;
    let (target, taken) = (a.relays[0].1, a.relays[2].1);
    drop((b, c));
    let gossip = start(&a, 1, &[]).await;
    let socket = UdpSocket::bind(taken).await.expect("the address of the taken one");
    for generation in 0..64_u64 {
        socket.send_to(&syn("relay2", generation, taken), target).await.expect("sent");
    }
    status_until(&gossip, |it| refused(it, Refusal::TooManyLives) >= 48).await;
}

/// chitchat itself, under the name of a relay and without any checks.
async fn hostile(name: &str, site: &str, own: SocketAddr, target: SocketAddr) -> ChitchatHandle {
    let config = ChitchatConfig {
        chitchat_id: ChitchatId::new(name, 1, own),
        cluster_id: site.to_owned(),
        gossip_interval: Duration::from_millis(20),
        listen_addr: own,
        seed_nodes: vec![target.to_string()],
        failure_detector_config: FailureDetectorConfig::default(),
        marked_for_deletion_grace_period: Duration::from_secs(60),
        catchup_callback: None,
        extra_liveness_predicate: None,
        protocol_version: ProtocolVersion::V0,
    };
    spawn_chitchat(config, Vec::new(), &UdpTransport).await.expect("chitchat")
}

fn text(text: &str) -> Vec<u8> {
    let len = u16::try_from(text.len()).expect("a short text");
    [&len.to_le_bytes()[..], text.as_bytes()].concat()
}

fn node(name: &str, generation: u64, address: SocketAddr) -> Vec<u8> {
    let mut bytes = text(name);
    bytes.extend(generation.to_le_bytes());
    bytes.extend([4, 127, 0, 0, 1]);
    bytes.extend(address.port().to_le_bytes());
    bytes
}

/// The first message of an exchange, of a node that knows itself.
fn syn(name: &str, generation: u64, address: SocketAddr) -> Vec<u8> {
    let mut bytes = vec![0x53, 0xb0, 0, 0, 1, 0];
    bytes.extend(node(name, generation, address));
    bytes.extend([1; 24]);
    bytes.extend(text("fd00::/64"));
    bytes
}

/// What would end chitchat, or take a gigabyte.
fn garbage(address: SocketAddr) -> Vec<Vec<u8>> {
    let ack = |blocks: &[(u8, &[u8])]| {
        let mut bytes = vec![0x53, 0xb0, 0, 2];
        for (kind, block) in blocks {
            bytes.push(*kind);
            bytes.extend(u16::try_from(block.len()).expect("a small block").to_le_bytes());
            bytes.extend(*block);
        }
        bytes.push(0);
        bytes
    };
    let begin = [&[0], node("relay2", 1, address).as_slice(), &[0; 16]].concat();
    let entry = |key: &str, version: u64| {
        [&[1], text(key).as_slice(), &text("1 0 -"), &version.to_le_bytes(), &[0]].concat()
    };
    // A highest version below that of an entry; a key whose first character is two bytes.
    let lower =
        [begin.clone(), entry("policy", 100), vec![2], 50_u64.to_le_bytes().to_vec()].concat();
    let wide = [begin, entry("é", 1)].concat();
    let zeros = zstd::bulk::compress(&[0; 65_535], 0).expect("compressed");
    let bomb = ack(&vec![(1, zeros.as_slice()); 2_000]);
    vec![
        Vec::new(),
        vec![0; 1_000],
        vec![0x53, 0xb0],
        vec![0x53, 0xb0, 1, 0],
        syn("relay2", 1, address)[..20].to_vec(),
        ack(&[(2, &lower)]),
        ack(&[(2, &wide)]),
        bomb,
    ]
}
