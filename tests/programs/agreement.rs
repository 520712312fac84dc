//! Formula, compiled policy with the host's routing, and program in the kernel agree, on a host that
//! forwards and on one that does not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use relay::{
    model::{Egress, HostAccess, Limits, Period, Quota, Rate, Relay},
    policy::{Sources, eval},
};
use relay_common::{
    Reason,
    icmp::Answer,
    names::TRACE,
    verdict::{Routing, Verdict, needs_routing, settle},
};
use relay_tests::{
    inner::Inner,
    program_run::{OK, ProgramRun, REDIRECT, SHOT, peer, relay, slots},
};

use crate::{
    host::{ADDRESSES, Host},
    possible,
};

/// Configurations per host, and address pairs per configuration: 100 000 pairs in total.
const CONFIGURATIONS: u32 = 63;
const PAIRS: usize = 800;

#[test]
fn formula_compiled_policy_and_program_agree_on_a_host_that_forwards() {
    agree("agreement::forwards", true);
}

#[test]
fn formula_compiled_policy_and_program_agree_on_a_host_that_does_not_forward() {
    agree("agreement::keeps", false);
}

fn agree(test: &str, forwards: bool) {
    if !possible(test) {
        return;
    }
    let host = Host::create(forwards).expect("a namespace");
    let result = host.enter(|| {
        let mut runner = TestRunner::new(Config {
            cases: CONFIGURATIONS,
            source_file: Some(file!()),
            ..Config::default()
        });
        let drawn = (any_relay(), any::<[u8; 32]>());
        let outcome = runner.run(&drawn, |(relay, seed)| {
            let mut programs = ProgramRun::on_host(relay, &ADDRESSES, 0);
            programs.interface = Host::INTERFACE;
            // From a seed, as shrinking 800 pairs would take too long.
            let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
            for _ in 0..PAIRS {
                let v4 = random.next_u32().is_multiple_of(2);
                let (source, destination) = (address(&mut random, v4), address(&mut random, v4));
                check(&host, &mut programs, source, destination)?;
            }
            Ok(())
        });
        outcome.map_err(|error| error.to_string())
    });
    if let Err(error) = result.expect("inside the namespace") {
        panic!("{error}");
    }
}

fn check(
    host: &Host,
    programs: &mut ProgramRun,
    source: IpAddr,
    destination: IpAddr,
) -> Result<(), TestCaseError> {
    let slots = slots(&programs.relay);
    let sources = Sources { relay: &programs.relay, host_addresses: &ADDRESSES, slots: &slots };
    let formula = eval(&sources, source, destination);
    let routing = host.routing(&programs.relay, destination);
    let fast_path = programs.relay.fast_path;
    let judged = programs.compiled.decide(source, destination);
    let settled = match needs_routing(judged, fast_path) {
        true => settle(judged, routing, || true),
        false => judged,
    };
    // Things that the formula assumes and this host may not do.
    let expected = match (formula, routing) {
        (Ok(Verdict::Relay), Routing::Local | Routing::Unforwarded | Routing::Away)
            if !fast_path =>
        {
            Err(Reason::NotRouted)
        }
        (Ok(Verdict::ToStack), Routing::Back) => Err(Reason::DestinationUnknown),
        // Indistinguishable from an address of the host.
        (Ok(Verdict::ToStack) | Err(Reason::DestinationUnknown), Routing::Unforwarded) => {
            Ok(Verdict::ToHost)
        }
        _ => formula,
    };
    prop_assert_eq!(expected, settled, "compiled: {} → {}", source, destination);

    // An echo reply, which the host accepts regardless of ports.
    let kind = if source.is_ipv4() { 0 } else { 129 };
    let protocol = if source.is_ipv4() { 1 } else { 58 };
    let mut message = [0; 40];
    message[0] = kind;
    let inner = Inner::new(source, destination, protocol, &message);
    prop_assert_eq!(expected, programs.ask(&inner), "asked: {} → {}", source, destination);
    let slot = programs.compiled.counted_slot(source);
    let before = programs.dropped(slot);
    let (verdict, _) = programs.ingress(&inner);
    let after = programs.dropped(slot);
    let moved =
        Reason::ALL.iter().find(|r| after[r.index() as usize] != before[r.index() as usize]);
    let kernel = match (verdict, moved) {
        (REDIRECT, None) if fast_path => Ok(Verdict::Relay),
        // Both go up the stack; the probe above distinguishes them.
        (OK, None) if expected != Ok(Verdict::Relay) || !fast_path => expected,
        (SHOT, Some(&reason)) => Err(reason),
        // Sent back as an ICMP error.
        (REDIRECT, Some(&reason)) if Answer::to(reason).is_some() => Err(reason),
        other => return Err(TestCaseError::fail(format!("{other:?}: {source} → {destination}"))),
    };
    prop_assert_eq!(expected, kernel, "program: {} → {}", source, destination);
    Ok(())
}

/// Packets sent along both paths.
const BOTH_WAYS: usize = 5_000;

/// A tracing generation sends every packet along the slow path.
#[test]
fn the_fast_path_behaves_as_the_slow_path() {
    let Some(mut short) = crate::four_peers("agreement::short_way") else { return };
    let mut long = ProgramRun::with_features(crate::four(), TRACE);
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut relayed = 0;
    for _ in 0..BOTH_WAYS {
        let inner = any_packet(&mut random);
        let ((verdict, out), moved) = short.moved(|programs| programs.ingress(&inner));
        let (expected, counted) = long.moved(|programs| programs.ingress(&inner));
        assert_eq!(moved, counted, "{inner:?}");
        // ICMP errors are rate limited.
        if !moved.iter().any(|counter| counter.ends_with("_packets +1")) {
            continue;
        }
        assert_eq!((verdict, out), expected, "{inner:?}");
        relayed += usize::from(verdict == REDIRECT);
    }
    assert!(relayed > BOTH_WAYS / 4, "{relayed} of {BOTH_WAYS} were relayed");
}

#[test]
fn a_limited_pair_behaves_as_one_without_limits_until_it_reaches_them() {
    let Some(mut free) = crate::four_peers("agreement::limited") else { return };
    let mut limited = crate::four();
    limited.peers[0].limits = never_reached();
    let mut limited = ProgramRun::new(limited);
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[8; 32]);
    let mut bytes = 0;
    for _ in 0..BOTH_WAYS {
        let inner = any_packet(&mut random);
        let before = limited.loaded().traffic(1).expect("counters");
        let ((verdict, out), moved) = limited.moved(|programs| programs.ingress(&inner));
        let (expected, counted) = free.moved(|programs| programs.ingress(&inner));
        assert_eq!(moved, counted, "{inner:?}");
        if moved.iter().any(|counter| counter.ends_with("_packets +1")) {
            assert_eq!((verdict, out), expected, "{inner:?}");
        }
        let after = limited.loaded().traffic(1).expect("counters");
        bytes += after.rx_bytes - before.rx_bytes + after.host_rx_bytes - before.host_rx_bytes;
    }
    assert_eq!(limited.loaded().used(1).expect("the meters").used_from, bytes);
    assert!(bytes > 1_000_000, "{bytes}");
}

/// Mostly between peers 1 and 2 of the four, sometimes with a byte changed.
fn any_packet(random: &mut TestRng) -> Inner {
    let mut below = |limit: u32| random.next_u32() % limit;
    let is_v4 = below(2) == 0;
    let mut end = |mine: u32| {
        let host = if below(4) == 0 { below(8) } else { mine };
        let text = if is_v4 { format!("10.3.2.{host}") } else { format!("fd00::3:2:{host}") };
        text.parse().expect("an address")
    };
    let (source, destination) = (end(2), end(3));
    let protocol = [6, 17, if is_v4 { 1 } else { 58 }, 60, 44, 132][below(6) as usize];
    let mut inner = Inner::new(source, destination, protocol, &vec![0; 40 + below(1500) as usize]);
    if below(8) == 0 {
        inner = inner.with_ttl(below(3).to_le_bytes()[0]);
    }
    if below(4) == 0 {
        // Except the version.
        let at = 1 + below(if is_v4 { 19 } else { 39 }) as usize;
        inner = inner.with_byte(at, below(256).to_le_bytes()[0]);
        if is_v4 && below(2) == 0 {
            inner = inner.sealed();
        }
    }
    inner
}

/// Limits of a peer that no packet of a test exceeds.
pub(crate) fn never_reached() -> Limits {
    let quota = Some(Quota { bytes: Quota::MOST, period: Period::Week });
    Limits { rate_from: Some(Rate::MAX), quota_from: quota, ..Limits::default() }
}

/// Up to 200 peers with an address of each family, nested and overlapping routes and lists.
fn any_relay() -> impl Strategy<Value = Relay> {
    let lists = (prop::collection::vec(prefix(), 0..3), prop::collection::vec(prefix(), 0..8));
    let switches = (any::<bool>(), any::<bool>());
    (prop::collection::vec(lists, 1..200), switches).prop_map(|(peers, (stack, fast_path))| {
        let mut taken = std::collections::HashSet::new();
        let peers = (0u32..).zip(peers).map(|(number, (routes, allowed))| {
            let addresses =
                [format!("10.3.2.{}", number + 2), format!("fd00::3:2:{:x}", number + 2)];
            let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
            let mut made = peer(number, &addresses, &[], &[]);
            made.allowed_ips = allowed;
            made.enabled = number % 7 != 3;
            if number % 5 == 1 {
                made.limits = never_reached();
            }
            made.routes = routes
                .into_iter()
                .filter(|net| net.prefix_len() < net.max_prefix_len() && taken.insert(*net))
                .collect();
            made
        });
        let mut relay = relay(peers.collect());
        relay.egress = if stack { Egress::Stack } else { Egress::Deny };
        relay.host_access = HostAccess::All;
        relay.fast_path = fast_path;
        relay
    })
}

/// Networks of prefixes and addresses: the overlay and a routed network.
const V4_BASES: [u32; 2] = [0x0a03_0200, 0xc0a8_0000];
const V6_BASES: [u128; 2] = [(0xfd00 << 112) + 0x3_0002_0000, 0xfd01 << 112];

pub(crate) fn prefix() -> impl Strategy<Value = IpNet> {
    let v4 = (0usize..2, 0u32..1 << 9, 20u8..=32).prop_map(|(at, host, len)| {
        let address = Ipv4Addr::from_bits(V4_BASES[at] + host);
        IpNet::new(address.into(), len).expect("a length").trunc()
    });
    let v6 = (0usize..2, 0u128..1 << 9, 116u8..=128).prop_map(|(at, host, len)| {
        let address = Ipv6Addr::from_bits(V6_BASES[at] + host);
        IpNet::new(address.into(), len).expect("a length").trunc()
    });
    let whole = ["0.0.0.0/0", "::/0"].map(|net| net.parse::<IpNet>().expect("a prefix"));
    prop_oneof![8 => v4, 6 => v6, 1 => prop::sample::select(whole.to_vec())]
}

/// Mostly in the overlay and the routed network, sometimes of the host, sometimes anywhere.
fn address(random: &mut TestRng, v4: bool) -> IpAddr {
    if random.next_u32().is_multiple_of(8) {
        let mut own = ADDRESSES.into_iter().filter(|address| address.is_ipv4() == v4);
        return own.nth(random.next_u32() as usize % 4).expect("four of each family");
    }
    let at = usize::from(random.next_u32().is_multiple_of(3));
    let host = random.next_u32() % (1 << 9);
    let anywhere = random.next_u32().is_multiple_of(16);
    match (v4, anywhere) {
        (true, false) => IpAddr::V4(Ipv4Addr::from_bits(V4_BASES[at] + host)),
        (false, false) => IpAddr::V6(Ipv6Addr::from_bits(V6_BASES[at] + u128::from(host))),
        (true, true) => IpAddr::V4(Ipv4Addr::from_bits(random.next_u32())),
        (false, true) => {
            let high = u128::from(random.next_u64());
            IpAddr::V6(Ipv6Addr::from_bits(high << 64 | u128::from(random.next_u64())))
        }
    }
}
