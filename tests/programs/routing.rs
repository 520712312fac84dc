//! Decisions by the host's routing: addresses that it gains and loses, and packets to peers that the
//! stack forwards.

use relay::model::{HostAccess, Relay};
use relay_tests::{
    inner::Inner,
    program_run::{OK, ProgramRun, SHOT, address, peer, relay},
};

use crate::{four, host::Host, possible};

/// The verdict of a packet and the counter that it moves.
fn judged(programs: &mut ProgramRun, inner: &Inner) -> (u32, String) {
    let ((verdict, _), moved) = programs.moved(|programs| programs.ingress(inner));
    (verdict, moved.first().expect("every packet moves a counter").clone())
}

/// Runs `work` on a new host, if this machine can load the programs.
fn on_new_host(
    test: &str,
    forwards: bool,
    relay: Relay,
    work: impl FnOnce(&mut ProgramRun) + Send,
) {
    if possible(test) {
        on(&Host::create(forwards).expect("a namespace"), relay, work);
    }
}

pub(crate) fn on(host: &Host, relay: Relay, work: impl FnOnce(&mut ProgramRun) + Send) {
    let inside = host.enter(|| {
        let mut programs = ProgramRun::on_host(relay, &[], 0);
        programs.interface = Host::INTERFACE;
        work(&mut programs);
    });
    inside.expect("inside the namespace");
}

fn ping(from: &str, to: &str) -> Inner {
    let (kind, protocol) = if to.contains(':') { (128, 58) } else { (8, 1) };
    let mut message = [0; 40];
    message[0] = kind;
    Inner::new(address(from), address(to), protocol, &message)
}

fn udp(from: &str, to: &str) -> Inner {
    Inner::udp(address(from), address(to), 32)
}

const V4: &str = "10.3.2.2";
const V6: &str = "fd00::3:2:2";

#[test]
fn an_address_that_the_host_has_got_since_is_the_hosts_and_host_access_decides() {
    for forwards in [true, false] {
        on_new_host("routing::got", forwards, four(), |programs| {
            for (from, to) in [(V4, "203.0.113.5"), (V6, "2001:db8::5")] {
                let (verdict, counter) = judged(programs, &ping(from, to));
                assert_eq!((verdict, counter.as_str()), (OK, "1 host_rx_packets +1"), "{to}");
                let (_, counter) = judged(programs, &udp(from, to));
                // Without forwarding, the kernel does not report whose address it is.
                let reason = if forwards { "host_access" } else { "destination_unknown" };
                assert_eq!(counter, format!("1 {reason} +1"), "{to}");
            }
        });
    }
}

#[test]
fn an_unowned_address_is_destination_unknown() {
    for forwards in [true, false] {
        on_new_host("routing::nobody", forwards, four(), |programs| {
            for (from, vacant, beyond) in
                [(V4, "10.3.2.99", "198.51.100.1"), (V6, "fd00::3:2:99", "2001:db8:9::1")]
            {
                for inner in [ping(from, vacant), udp(from, vacant), udp(from, beyond)] {
                    let (_, counter) = judged(programs, &inner);
                    assert_eq!(counter, "1 destination_unknown +1", "{inner:?}");
                }
                let (_, counter) = judged(programs, &ping(from, beyond));
                let expected =
                    if forwards { "1 destination_unknown +1" } else { "1 host_rx_packets +1" };
                assert_eq!(counter, expected, "{beyond}");
            }
        });
    }
}

#[test]
fn an_address_that_the_host_has_lost_is_not_forwarded_even_the_relays_own() {
    if !possible("routing::lost") {
        return;
    }
    let host = Host::create(true).expect("a namespace");
    let open = Relay { host_access: HostAccess::All, ..four() };
    host.namespace()
        .ip_batch(
            "address del 203.0.113.5/32 dev out\naddress del 2001:db8::5/128 dev out\n\
             address del 10.3.2.1/32 dev wire\naddress del fd00::3:2:1/128 dev wire\n",
        )
        .expect("ip");
    on(&host, open, |programs| {
        for (from, to) in
            [(V4, "203.0.113.5"), (V6, "2001:db8::5"), (V4, "10.3.2.1"), (V6, "fd00::3:2:1")]
        {
            for inner in [ping(from, to), udp(from, to)] {
                let (_, counter) = judged(programs, &inner);
                assert_eq!(counter, "1 destination_unknown +1", "{inner:?}");
            }
        }
    });
}

/// For IPv6, only the sysctl of the whole host matters.
#[test]
fn the_interfaces_own_switch_does_not_hide_that_ipv6_is_forwarded() {
    if !possible("routing::switch") {
        return;
    }
    let host = Host::create(true).expect("a namespace");
    host.namespace().set_sysctl("ipv6/conf/wire/forwarding", 0).expect("a switch");
    on(&host, four(), |programs| {
        let (_, counter) = judged(programs, &ping(V6, "2001:db8:9::1"));
        assert_eq!(counter, "1 destination_unknown +1");
        let (verdict, _) = judged(programs, &ping(V6, "2001:db8::5"));
        assert_eq!(verdict, OK);
    });
}

/// Peer 2 owns everything; peer 1 sends to addresses that the host routes elsewhere.
fn everything() -> Relay {
    let all = ["0.0.0.0/0", "::/0"];
    let mut relay = relay(vec![
        peer(1, &["10.3.2.2", "fd00::3:2:2"], &[], &all),
        peer(2, &["10.3.2.3", "fd00::3:2:3"], &all, &all),
    ]);
    relay.fast_path = false;
    relay
}

#[test]
fn by_the_stack_a_packet_to_a_peer_leaves_by_the_interface_or_not_at_all() {
    on_new_host("routing::back", true, everything(), |programs| {
        for (from, back, away) in
            [(V4, "192.168.0.7", "192.168.1.7"), (V6, "fd01::7", "2001:db8:9::1")]
        {
            let (verdict, counter) = judged(programs, &udp(from, back));
            assert_eq!((verdict, counter.as_str()), (OK, "1 rx_packets +1"), "{back}");
            let (verdict, counter) = judged(programs, &udp(from, away));
            assert_eq!((verdict, counter.as_str()), (SHOT, "1 not_routed +1"), "{away}");
        }
        // A new address of the host: the packet stays on the host.
        let (verdict, counter) = judged(programs, &udp(V4, "203.0.113.5"));
        assert_eq!((verdict, counter.as_str()), (SHOT, "1 not_routed +1"));
    });
}

#[test]
fn by_the_stack_of_a_host_that_does_not_forward_nothing_is_passed_to_peers() {
    on_new_host("routing::keeps", false, everything(), |programs| {
        for (from, to) in [(V4, "10.3.2.3"), (V6, "fd00::3:2:3")] {
            let (verdict, counter) = judged(programs, &udp(from, to));
            assert_eq!((verdict, counter.as_str()), (SHOT, "1 not_routed +1"), "{to}");
        }
    });
}

/// Routing rules may match ports.
#[test]
fn a_rule_that_takes_a_port_elsewhere_is_seen() {
    if !possible("routing::rule") {
        return;
    }
    let host = Host::create(true).expect("a namespace");
    for family in ["-4", "-6"] {
        let lines = "route add default dev out table 7\n\
                     rule add ipproto udp dport 7 lookup 7 priority 100\n";
        host.namespace().feed("ip", &[family, "-batch", "-"], lines).expect("ip");
    }
    on(&host, everything(), |programs| {
        for (from, to) in [(V4, "10.3.2.3"), (V6, "fd00::3:2:3")] {
            assert_eq!(judged(programs, &udp(from, to)).1, "1 not_routed +1", "{to}");
            assert_eq!(judged(programs, &ping(from, to)).1, "1 rx_packets +1", "{to}");
        }
    });
}
