//! Peers that come home, and what the host sends them.

use relay_common::{Reason, mesh::Home, verdict::Verdict};
use relay_tests::{
    inner::Inner,
    program_run::{OK, ProgramRun, SHOT, address},
};

use super::{OWN, PAIRS, came_home, drops, homes, passes, relays, settle, site, udp};

/// Lets a packet arrive from its peer, and checks who comes home by it: once.
#[track_caller]
fn comes_home(programs: &mut ProgramRun, inner: &Inner, slot: u32) {
    programs.arrive(inner, None);
    assert_eq!(came_home(programs), [slot], "{inner:?}");
    assert_eq!(programs.loaded().home(slot).expect("the homes"), Home::HERE);
    programs.arrive(inner, None);
    assert!(came_home(programs).is_empty(), "{inner:?}");
}

#[test]
fn a_peer_is_at_home_where_its_packets_arrive() {
    let Some(mut programs) = site("mesh::home") else { return };
    let other = programs.other(0);
    for [from, to] in PAIRS {
        let inner = udp(from, to);
        // Its first packet ever, and the first after it was elsewhere.
        for home in [None, Some(other)] {
            programs.loaded().set_home(1, Home::UNKNOWN).expect("the homes");
            if let Some(other) = home {
                settle(&mut programs, &[1], Some(other));
            }
            let run = passes(&mut programs, &inner, None, [1, 2]);
            assert_eq!(run.way, OWN);
            assert_eq!(came_home(&mut programs), [1]);
            let expected = [Home::UNKNOWN, Home::HERE, Home::UNKNOWN, Home::UNKNOWN, Home::UNKNOWN];
            assert_eq!(homes(&mut programs), expected);
            relays(&mut programs, &inner, None, OWN, [1, 2]);
        }
    }
}

#[test]
fn whatever_becomes_of_the_packet_its_sender_is_at_home_here() {
    let Some(mut programs) = site("mesh::any") else { return };
    let other = programs.other(0);
    let echo = Inner::new(address("10.3.2.2"), address("10.3.2.1"), 1, &[8; 40]);
    for (inner, slot) in [
        (udp("10.3.2.4", "10.3.2.5"), 3),
        (udp("10.3.2.2", "10.3.2.99"), 1),
        (udp("10.3.2.2", "10.3.2.1"), 1),
        (udp("10.3.2.2", "10.3.2.3").with_ttl(1), 1),
        (udp("10.3.2.3", "192.168.7.1"), 2),
        (udp("fd00::3:2:2", "fd00::3:2:3").with_destination_options(), 1),
        (echo, 1),
    ] {
        settle(&mut programs, &[slot], Some(other));
        comes_home(&mut programs, &inner, slot);
    }
}

#[test]
fn nobody_comes_home_by_a_packet_without_a_known_source() {
    let Some(mut programs) = site("mesh::nobody") else { return };
    drops(&mut programs, &udp("10.3.2.99", "10.3.2.3"), None, "0 source_unknown");
    let malformed = udp("10.3.2.2", "10.3.2.3").with_byte(10, 0xff);
    drops(&mut programs, &malformed, None, "0 bad_checksum");
}

#[test]
fn a_probe_changes_nothing() {
    let Some(mut programs) = site("mesh::probe") else { return };
    let [first, second] = [programs.other(0), programs.other(1)];
    for (homes_of, elsewhere) in [(None, None), (Some(first), None), (Some(first), Some(second))] {
        for (slot, home) in [(1, homes_of), (2, elsewhere)] {
            programs.loaded().set_home(slot, Home::UNKNOWN).expect("the homes");
            if let Some(other) = home {
                settle(&mut programs, &[slot], Some(other));
            }
        }
        let before = homes(&mut programs);
        for (inner, expected) in [
            (udp("10.3.2.2", "10.3.2.3"), Ok(Verdict::Relay)),
            (udp("fd00::3:2:2", "fd00::3:2:3"), Ok(Verdict::Relay)),
            (udp("10.3.2.4", "10.3.2.5"), Err(Reason::NotInEitherList)),
            (udp("10.3.2.99", "10.3.2.3"), Err(Reason::SourceUnknown)),
        ] {
            let (answer, moved) = programs.moved(|programs| programs.ask(&inner));
            assert_eq!((answer, moved), (expected, vec![]), "{inner:?}");
        }
        assert_eq!((homes(&mut programs), came_home(&mut programs)), (before, vec![]));
    }
}

#[test]
fn what_the_host_sends_a_peer_that_is_at_home_elsewhere_is_dropped() {
    let Some(mut programs) = site("mesh::egress") else { return };
    let other = programs.other(0);
    let to_1 = [udp("10.3.2.1", "10.3.2.2"), udp("fd00::3:2:1", "fd00::3:2:2")];
    let egress = |programs: &mut ProgramRun, inner: &Inner| {
        let ((verdict, _), moved) = programs.moved(|programs| programs.egress(inner, 0));
        (verdict, moved)
    };
    for inner in &to_1 {
        settle(&mut programs, &[1], Some(other));
        let dropped = (SHOT, vec!["0 not_here +1".to_owned()]);
        assert_eq!(egress(&mut programs, inner), dropped, "{inner:?}");
        let len = inner.bytes().len();
        let counted = vec!["1 host_tx_packets +1".to_owned(), format!("1 host_tx_bytes +{len}")];
        settle(&mut programs, &[1], None);
        assert_eq!(egress(&mut programs, inner), (OK, counted.clone()), "{inner:?}");
        programs.loaded().set_home(1, Home::UNKNOWN).expect("the homes");
        assert_eq!(egress(&mut programs, inner), (OK, counted), "{inner:?}");
    }
    // A relayed packet on its way out of the interface is none of the host's.
    settle(&mut programs, &[2], Some(other));
    let relayed = udp("10.3.2.2", "10.3.2.3");
    let ((verdict, _), moved) = programs.moved(|programs| programs.egress(&relayed, OWN));
    assert_eq!((verdict, moved), (OK, vec![]));
}
