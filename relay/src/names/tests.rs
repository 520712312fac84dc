use std::{net::IpAddr, sync::Arc};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RecordType},
};

use RecordType::{A, AAAA, NS, PTR, SOA, TXT};

use super::*;
use crate::model::{Group, Names, Peer, PublicKey, Relay, Rule, Selector, host_prefix};

const NOW: u64 = 1_000_000;
const ANN: &str = "10.3.2.2";
const DB: &str = "10.3.2.3";
const WEB: &str = "10.3.2.4";
const RELAY: &str = "10.3.2.1";

/// `ann` and `db` list each other; a rule lets `ann` begin something with `web.eu`, another one with
/// `old`, which has ended; `off` is disabled; `bob` has nothing to do with anybody.
fn relay() -> Relay {
    let peers = [("ann", 2), ("db", 3), ("web.eu", 4), ("old", 5), ("off", 6), ("bob", 7)];
    let mut peers: Vec<Peer> = peers.into_iter().map(|(name, last)| peer(name, last)).collect();
    peers[1].addresses.push(address("fd00::3"));
    peers[0].allowed_ips = vec![host_prefix(address("10.3.2.3")), host_prefix(address("10.3.2.6"))];
    peers[1].allowed_ips = vec![host_prefix(address("10.3.2.2"))];
    peers[4].allowed_ips = vec![host_prefix(address("10.3.2.2"))];
    peers[4].enabled = false;
    peers[0].routes = vec!["192.168.7.0/24".parse().expect("a network")];
    let rule = |name: &str, to, until| Rule {
        from: vec![Selector::Group(0)],
        to: vec![Selector::Peer(to)],
        until,
        ..Rule::new(name.parse().expect("a name"))
    };
    Relay {
        addresses: ["10.3.2.1/24", "fd00::1/64"].map(|net| net.parse().expect("one")).to_vec(),
        names: Some(Names { zone: "relay.internal".to_owned(), forward: vec![] }),
        groups: vec![Group { name: "ops".parse().expect("a name"), members: vec![0] }],
        rules: vec![rule("web", 2, None), rule("old", 3, Some(NOW - 1))],
        peers,
        ..Relay::new("relay0".parse().expect("a name"))
    }
}

fn peer(name: &str, last: u8) -> Peer {
    let peer = Peer::new(name.parse().expect("a name"), PublicKey::from_bytes([last; 32]));
    Peer { addresses: vec![IpAddr::from([10, 3, 2, last])], ..peer }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    message
}

fn replied(zone: &Zone, source: &str, question: &Message, by: Transport) -> Reply {
    zone.reply(address(source), &question.to_vec().expect("a message"), by, NOW)
}

fn answered(zone: &Zone, source: &str, question: &Message) -> Message {
    let Reply::Answer(_, bytes) = replied(zone, source, question, Transport::Udp) else {
        panic!("no answer")
    };
    Message::from_vec(&bytes).expect("a message")
}

/// The answer in short: its records, or why there are none.
fn asked(source: &str, name: &str, kind: RecordType) -> String {
    let zone = Zone::of(Arc::new(relay())).expect("names");
    let answer = answered(&zone, source, &question(name, kind));
    let records: Vec<String> = answer.answers.iter().map(|it| it.data.to_string()).collect();
    let authority: Vec<String> = answer.authorities.iter().map(|it| it.name.to_string()).collect();
    let code = answer.metadata.response_code;
    let shown = if code == ResponseCode::NXDomain {
        "no name".to_owned()
    } else if code != ResponseCode::NoError {
        return code.to_string();
    } else if records.is_empty() {
        "no data".to_owned()
    } else {
        records.join(" ")
    };
    assert!(answer.metadata.authoritative, "{name}");
    [shown].into_iter().chain(authority).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_peer_knows_the_names_that_it_may_begin_something_with() {
    let none = "no name, relay.internal.";
    assert_eq!(asked(ANN, "db.relay.internal.", A), "10.3.2.3");
    assert_eq!(asked(ANN, "DB.Relay.Internal.", A), "10.3.2.3");
    assert_eq!(asked(DB, "ann.relay.internal.", A), "10.3.2.2");
    assert_eq!(asked(ANN, "web.eu.relay.internal.", A), "10.3.2.4");
    // The rule lets only one side begin.
    assert_eq!(asked(WEB, "ann.relay.internal.", A), none);
    // It has ended.
    assert_eq!(asked(ANN, "old.relay.internal.", A), none);
    // Disabled, to somebody whom its list holds.
    assert_eq!(asked(ANN, "off.relay.internal.", A), none);
    // One of whom nothing is known is answered like one that there is not.
    assert_eq!(asked(ANN, "bob.relay.internal.", A), none);
    assert_eq!(asked(ANN, "nobody.relay.internal.", A), none);
    // Everybody knows itself, the relay everybody who is enabled.
    assert_eq!(asked("10.3.2.7", "bob.relay.internal.", A), "10.3.2.7");
    assert_eq!(asked(RELAY, "bob.relay.internal.", A), "10.3.2.7");
    assert_eq!(asked(RELAY, "off.relay.internal.", A), none);
}

#[test]
fn only_addresses_that_may_be_reached_are_known() {
    // ann has no IPv6 address.
    assert_eq!(asked(ANN, "db.relay.internal.", AAAA), "no data, relay.internal.");
    assert_eq!(asked(DB, "db.relay.internal.", AAAA), "fd00::3");
    assert_eq!(asked(RELAY, "db.relay.internal.", AAAA), "fd00::3");
    assert_eq!(asked(ANN, "db.relay.internal.", TXT), "no data, relay.internal.");
}

#[test]
fn a_name_between_others_exists_for_those_who_know_one_below() {
    assert_eq!(asked(ANN, "eu.relay.internal.", A), "no data, relay.internal.");
    assert_eq!(asked(DB, "eu.relay.internal.", A), "no name, relay.internal.");
}

#[test]
fn addresses_have_the_names_of_their_owners() {
    assert_eq!(asked(ANN, "3.2.3.10.in-addr.arpa.", PTR), "db.relay.internal.");
    assert_eq!(asked(ANN, "1.2.3.10.in-addr.arpa.", PTR), "relay.internal.");
    let of_db = Name::from(address("fd00::3")).to_string();
    assert_eq!(asked(DB, &of_db, PTR), "db.relay.internal.");
    let none = "no name, 0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.";
    assert_eq!(asked(ANN, &of_db, PTR), none);
    for last in [5, 7, 77] {
        let name = format!("{last}.2.3.10.in-addr.arpa.");
        assert_eq!(asked(ANN, &name, PTR), "no name, 2.3.10.in-addr.arpa.", "{name}");
    }
    assert_eq!(asked(ANN, "3.2.3.10.in-addr.arpa.", A), "no data, 2.3.10.in-addr.arpa.");
    assert_eq!(asked(ANN, "2.3.10.in-addr.arpa.", PTR), "no data, 2.3.10.in-addr.arpa.");
    // Outside the overlay.
    assert_eq!(asked(ANN, "3.10.in-addr.arpa.", PTR), "Query Refused");
    assert_eq!(asked(ANN, "1.7.168.192.in-addr.arpa.", PTR), "Query Refused");
}

#[test]
fn the_zone_s_own_name_is_the_relay() {
    assert_eq!(asked(ANN, "relay.internal.", A), "10.3.2.1");
    assert_eq!(asked(ANN, "relay.internal.", AAAA), "fd00::1");
    assert_eq!(asked(ANN, "relay.internal.", NS), "relay.internal.");
    assert_eq!(asked(ANN, "2.3.10.in-addr.arpa.", NS), "relay.internal.");
    assert!(asked(ANN, "relay.internal.", SOA).starts_with("relay.internal. relay.internal. 1 "));
    assert_eq!(asked(ANN, "relay.internal.", TXT), "no data, relay.internal.");
}

#[test]
fn strangers_and_disabled_peers_are_refused() {
    // The last one is behind ann: the host may have another network of that address.
    for source in ["198.51.100.7", "10.3.2.77", "10.3.2.6", "fd00::77", "192.168.7.9"] {
        assert_eq!(asked(source, "db.relay.internal.", A), "Query Refused", "{source}");
    }
}

#[test]
fn other_names_are_refused_or_forwarded_for_peers() {
    assert_eq!(asked(ANN, "example.org.", A), "Query Refused");
    assert_eq!(asked(ANN, "xrelay.internal.", A), "Query Refused");
    let names = Names { zone: "relay.internal".to_owned(), forward: vec![address("192.0.2.53")] };
    let zone = Zone::of(Arc::new(Relay { names: Some(names), ..relay() })).expect("names");
    let question = question("example.org.", A);
    let Reply::Forward(otherwise) = replied(&zone, ANN, &question, Transport::Udp) else {
        panic!("not forwarded")
    };
    let otherwise = Message::from_vec(&otherwise).expect("a message");
    assert_eq!(otherwise.metadata.response_code, ResponseCode::ServFail);
    assert!(otherwise.metadata.recursion_available);
    // The host has resolvers of its own, which may ask the relay.
    let refused = answered(&zone, RELAY, &question);
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
}

#[test]
fn what_is_no_question_gets_no_names() {
    let zone = Zone::of(Arc::new(relay())).expect("names");
    let code = |message: &Message| answered(&zone, ANN, message).metadata.response_code;
    let plain = question("db.relay.internal.", A);
    let mut answer = plain.clone();
    answer.metadata.message_type = MessageType::Response;
    assert_eq!(replied(&zone, ANN, &answer, Transport::Udp), Reply::Silence);
    assert_eq!(zone.reply(address(ANN), &[0; 11], Transport::Udp, NOW), Reply::Silence);
    let mut update = plain.clone();
    update.metadata.op_code = OpCode::Update;
    assert_eq!(code(&update), ResponseCode::NotImp);
    let mut two = plain.clone();
    two.add_query(plain.queries[0].clone());
    assert_eq!(code(&two), ResponseCode::FormErr);
    let mut chaos = plain.clone();
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(code(&chaos), ResponseCode::Refused);
    let mut newer = plain.clone();
    newer.set_edns(Edns::new()).edns.as_mut().expect("set").set_version(1);
    // BADVERS and BADSIG have the same number.
    assert_eq!(u16::from(code(&newer)), u16::from(ResponseCode::BADVERS));
    // The header promises what is not there.
    let mut bytes = plain.to_vec().expect("a message");
    bytes[4..12].fill(0xff);
    let Reply::Answer(_, bytes) = zone.reply(address(ANN), &bytes, Transport::Udp, NOW) else {
        panic!("no answer")
    };
    let answer = Message::from_vec(&bytes).expect("a message");
    assert_eq!((answer.metadata.id, answer.metadata.response_code), (7, ResponseCode::FormErr));
}

#[test]
fn an_answer_that_is_too_long_for_a_datagram_says_so() {
    let mut relay = relay();
    let many = |last| format!("fd00::{last:x}").parse().expect("an address");
    relay.peers[1].addresses = (0x100..0x140).map(many).collect();
    let zone = Zone::of(Arc::new(relay)).expect("names");
    let mut asked = question("db.relay.internal.", AAAA);
    let length = |asked: &Message, by| {
        let Reply::Answer(_, bytes) = replied(&zone, "fd00::100", asked, by) else {
            panic!("no answer")
        };
        let answer = Message::from_vec(&bytes).expect("a message");
        (bytes.len(), answer.answers.len(), answer.metadata.truncation)
    };
    let (len, records, is_cut) = length(&asked, Transport::Udp);
    assert!(len <= 512 && records < 64 && is_cut, "{len}");
    let (_, records, is_cut) = length(&asked, Transport::Tcp);
    assert_eq!((records, is_cut), (64, false));
    asked.set_edns(Edns::new()).edns.as_mut().expect("set").set_max_payload(4096);
    let (len, _, is_cut) = length(&asked, Transport::Udp);
    assert!((513..=1232).contains(&len) && is_cut, "{len}");
}

#[test]
fn an_answer_repeats_its_question() {
    let asked = question("Example.org.", A);
    let bytes = |message: &Message| message.to_vec().expect("a message");
    let mut answer = asked.clone();
    answer.metadata.message_type = MessageType::Response;
    answer.queries[0].set_name(Name::from_ascii("example.ORG.").expect("a name"));
    assert!(is_answer_to(&bytes(&asked), &bytes(&answer)));
    let mut other = answer.clone();
    other.metadata.id = 8;
    assert!(!is_answer_to(&bytes(&asked), &bytes(&other)));
    let mut other = answer.clone();
    other.queries[0].set_query_type(AAAA);
    assert!(!is_answer_to(&bytes(&asked), &bytes(&other)));
    assert!(!is_answer_to(&bytes(&asked), &bytes(&asked)));
    assert!(!is_answer_to(&bytes(&asked), &bytes(&answer)[..20]));
}

#[test]
fn a_relay_without_names_has_no_zone() {
    assert!(Zone::of(Arc::new(Relay { names: None, ..relay() })).is_none());
}

#[test]
fn a_peer_whose_name_makes_no_domain_name_has_none() {
    let mut relay = relay();
    for name in ["d..b", "db."] {
        relay.peers[1].name = name.parse().expect("a peer's name");
        let zone = Zone::of(Arc::new(relay.clone())).expect("names");
        let answer = answered(&zone, ANN, &question("3.2.3.10.in-addr.arpa.", PTR));
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain, "{name}");
    }
}

#[test]
fn what_became_of_a_question_has_its_place_among_all() {
    for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
        assert_eq!(outcome as usize, place, "{}", outcome.label());
    }
}
