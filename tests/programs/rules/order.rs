//! Fragments that arrive before the first one, on a TUN interface with the programs.

use anyhow::Result;
use aya::programs::TcAttachType;
use relay::{datapath::Direction, model::Relay};
use relay_bench::measure::layer::{INTERFACE, attach};
use relay_common::{Reason, held};
use relay_tests::{
    Namespace, deadline,
    inner::Inner,
    program_run::ProgramRun,
    skip::{self, Need},
    tun::Tun,
};

use super::{back, ends_of, families, one_way};

/// More than the longest packet that waits.
const MTU: u16 = 4000;

/// Where the test datagram is cut.
const CUTS: [usize; 5] = [0, 16, 32, 48, 64];

struct Attached {
    tun: Tun,
    programs: ProgramRun,
    _namespace: Namespace,
}

impl Attached {
    /// `None` if this machine cannot run it.
    fn new(role: &str) -> Option<Self> {
        skip::possible(&format!("rules::order::{role}"), &[Need::Root, Need::Bpf, Need::Tun])
            .then(|| Self::make(role).unwrap_or_else(|error| panic!("{error:#}")))
    }

    fn make(role: &str) -> Result<Self> {
        let namespace = Namespace::create(role)?;
        let tun = Tun::create(&namespace, INTERFACE)?;
        // The host sends nothing of its own.
        namespace.set_sysctl(&format!("ipv6/conf/{INTERFACE}/disable_ipv6"), 1)?;
        namespace.ip_batch(&format!("link set {INTERFACE} mtu {MTU} up\n"))?;
        let mut programs = ProgramRun::new(Relay { mtu: MTU, ..one_way() });
        for (direction, hook) in
            [(Direction::Ingress, TcAttachType::Ingress), (Direction::Egress, TcAttachType::Egress)]
        {
            attach(&namespace, INTERFACE, programs.loaded().program(direction)?, hook)?;
        }
        Ok(Self { tun, programs, _namespace: namespace })
    }

    /// Sends these, and returns what comes out and the counters that move. `leaving` packets are
    /// waited for.
    #[track_caller]
    fn send(&mut self, sent: &[&Inner], leaving: usize) -> (Vec<Vec<u8>>, Vec<String>) {
        let tun = &self.tun;
        let (out, moved) = self.programs.moved(|_| -> Result<Vec<Vec<u8>>> {
            for inner in sent {
                tun.write(inner.bytes())?;
            }
            let mut out = Vec::new();
            deadline::until("the packets that pass", || {
                while let Some(packet) = tun.read()? {
                    out.push(packet);
                }
                Ok((out.len() >= leaving).then_some(()))
            })?;
            Ok(out)
        });
        let out = out.unwrap_or_else(|error| panic!("{error:#}"));
        (out, moved)
    }
}

fn parts(whole: &Inner, id: u16) -> [Inner; 4] {
    std::array::from_fn(|part| whole.fragment(CUTS[part]..CUTS[part + 1], id))
}

/// One hop further on.
fn relayed(inner: &Inner) -> Vec<u8> {
    inner.clone().with_ttl(63).bytes().to_vec()
}

/// The counters that these packets move.
fn counted(inners: &[Inner], from: usize, to: usize) -> Vec<String> {
    let (packets, len) = (inners.len(), inners.iter().map(|i| i.bytes().len()).sum::<usize>());
    let received = [format!("{from} rx_packets +{packets}"), format!("{from} rx_bytes +{len}")];
    let sent = [format!("{to} tx_packets +{packets}"), format!("{to} tx_bytes +{len}")];
    if from < to { [received, sent].concat() } else { [sent, received].concat() }
}

/// All orders of the numbers below `len`.
fn orders(len: usize) -> Vec<Vec<usize>> {
    if len == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(len - 1);
    let insert = |order: &Vec<usize>, at| {
        let mut order = order.clone();
        order.insert(at, len - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..len).map(move |at| insert(order, at))).collect()
}

#[test]
fn a_datagram_passes_whole_in_every_order_of_its_fragments() {
    let Some(mut attached) = Attached::new("order") else { return };
    let mut packets = 0;
    for ends in families() {
        let asked = Inner::datagram(ends, [40_000, 53], 56);
        let answered = Inner::datagram(back(ends), [53, 40_000], 56);
        for (whole, from, to) in [(asked, 1, 2), (answered, 2, 1)] {
            for (id, order) in orders(4).into_iter().enumerate() {
                let parts = parts(&whole, u16::try_from(id).expect("few orders"));
                let sent: Vec<_> = order.iter().map(|part| &parts[*part]).collect();
                let (mut out, moved) = attached.send(&sent, 4);
                // Fragments wait for the first one, and none else.
                let begins = order.iter().position(|part| *part == 0).expect("it is there");
                assert_eq!(out[0], relayed(&parts[0]), "{order:?}");
                let behind: Vec<_> =
                    order[begins + 1..].iter().map(|p| relayed(&parts[*p])).collect();
                assert_eq!(out[1 + begins..], behind, "{order:?}");
                let mut expected = parts.each_ref().map(relayed);
                expected.sort();
                out.sort();
                assert_eq!(out, expected, "{order:?}");
                assert_eq!(moved, counted(&parts, from, to), "{order:?}");
                packets += 4;
            }
        }
    }
    let rule = attached.programs.loaded().rule(1).expect("counters");
    assert_eq!(rule.packets, packets);
}

#[test]
fn what_waits_passes_behind_the_first_one_of_its_own_datagram_alone() {
    let Some(mut attached) = Attached::new("others") else { return };
    for ends in families() {
        let good = parts(&Inner::datagram(ends, [40_000, 53], 56), 7);
        let bad = parts(&Inner::datagram(ends, [40_000, 54], 56), 7);
        let other_id = parts(&Inner::datagram(ends, [40_000, 53], 56), 8);
        let other_peer = ends_of(3, ends[0].is_ipv4());
        let other = parts(&Inner::datagram(other_peer, [40_000, 53], 56), 7);
        assert_eq!(attached.send(&[&good[2]], 0), (vec![], vec![]));
        // Answered with an ICMP error.
        let (out, moved) = attached.send(&[&bad[0]], 1);
        assert_eq!((out.len(), moved), (1, vec!["1 no_rule +1".to_owned()]));
        let first = |inner: &Inner, from| {
            (vec![relayed(inner)], counted(std::slice::from_ref(inner), from, 2))
        };
        assert_eq!(attached.send(&[&other_id[0]], 1), first(&other_id[0], 1));
        let (out, moved) = attached.send(&[&other[0]], 1);
        assert_eq!((out, moved.len()), (vec![relayed(&other[0])], 4));
        let (out, moved) = attached.send(&[&good[0]], 2);
        assert_eq!(out, [relayed(&good[0]), relayed(&good[2])]);
        assert_eq!(moved, counted(&[good[0].clone(), good[2].clone()], 1, 2));
        // It waits no longer.
        assert_eq!(attached.send(&[&good[0]], 1), first(&good[0], 1));
    }
}

#[test]
fn what_waits_and_overlaps_the_header_is_dropped() {
    let Some(mut attached) = Attached::new("overlap") else { return };
    for ends in families() {
        let [a, b] = 40_000u16.to_be_bytes();
        let mut transport = vec![a, b, 0, 22, 0, 0, 0, 0, 0, 0, 0, 0, 5 << 4, 2];
        transport.resize(64, 0);
        let whole = Inner::new(ends[0], ends[1], 6, &transport);
        // The second 8 bytes hold the flags.
        let over = whole.fragment(8..16, 7);
        let behind = whole.fragment(32..64, 7);
        let first = whole.fragment(0..32, 7);
        assert_eq!(attached.send(&[&over, &behind], 0), (vec![], vec![]));
        let (out, mut moved) = attached.send(&[&first], 2);
        assert_eq!(out, [relayed(&first), relayed(&behind)]);
        let mut expected = counted(&[first, behind], 1, 2);
        expected.push("1 bad_fragment +1".to_owned());
        moved.sort();
        expected.sort();
        assert_eq!(moved, expected);
    }
}

#[test]
fn a_peer_that_floods_the_memory_drops_its_own_fragments() {
    let Some(mut attached) = Attached::new("flood") else { return };
    let places = u16::try_from(held::PLACES).expect("few");
    for ends in families() {
        let other = ends_of(3, ends[0].is_ipv4());
        let theirs = parts(&Inner::datagram(other, [40_000, 53], 56), 7);
        assert_eq!(attached.send(&[&theirs[3], &theirs[1]], 0), (vec![], vec![]));
        let whole = Inner::datagram(ends, [40_000, 53], 56);
        let flood: Vec<_> =
            (100..100 + 10 * places).map(|id| parts(&whole, id)[1].clone()).collect();
        let (out, moved) = attached.send(&flood.iter().collect::<Vec<_>>(), 0);
        assert!(out.is_empty());
        // Of the family before there are some as well.
        let dropped = if ends[0].is_ipv4() { 9 } else { 10 } * places;
        assert_eq!(moved, [format!("1 {} +{dropped}", Reason::NoFirstFragment.label())]);
        let (out, _) = attached.send(&[&theirs[0], &theirs[2]], 4);
        let expected = [0, 3, 1, 2].map(|part| relayed(&theirs[part]));
        assert_eq!(out, expected);
    }
}

#[test]
fn what_is_too_long_to_wait_is_dropped() {
    let Some(mut attached) = Attached::new("long") else { return };
    for ends in families() {
        let whole = Inner::datagram(ends, [40_000, 53], 4_000);
        let header = if ends[0].is_ipv4() { 20 } else { 48 };
        let longest = (held::MAX_LEN as usize - header) / 8 * 8;
        let fits = whole.fragment(8..8 + longest, 7);
        let long = whole.fragment(8..16 + longest, 8);
        assert_eq!(attached.send(&[&long], 0), (vec![], vec!["1 no_first_fragment +1".to_owned()]));
        assert_eq!(attached.send(&[&fits], 0), (vec![], vec![]));
    }
}
