//! The same packets through relay and through the host's IP stack: relay drops what the stack drops,
//! and packets that both pass are identical.
//!
//! ```text
//!   write ─► relay0 (TUN) ─► relay_ingress ─► redirect ─► relay0 ─► read
//!   write ─► relay0 (TUN) ─► ip_forward, no program    ─► relay0 ─► read      in another namespace
//! ```
//!
//! A packet was dropped if one written after it has come out.

use anyhow::{Context as _, Result, ensure};
use aya::programs::TcAttachType;
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use relay::{
    datapath::{Direction, Loaded},
    policy::{Sources, compile},
};
use relay_bench::measure::layer::{INTERFACE, attach};
use relay_common::Reason;
use relay_tests::{
    Namespace, deadline,
    inner::Inner,
    program_run::{address, peer, relay, slots},
    skip::{self, Need},
    tun::Tun,
};

/// Packets of each family.
const PACKETS: usize = 10_000;
const MTU: usize = 1420;
/// Slot 0 and those of the two peers.
const SLOTS: std::ops::Range<u32> = 0..3;
const FIRST_EXTENSION_LEN: usize = 8;

/// One of the two paths.
struct Way {
    tun: Tun,
    namespace: Namespace,
    relay: Option<Loaded>,
    markers: u64,
}

/// The result of a packet.
#[derive(Debug)]
struct Fate {
    /// Packets sent to the destination.
    relayed: Vec<Vec<u8>>,
    /// Why it was dropped.
    dropped: Option<Reason>,
}

#[test]
fn the_relay_relays_nothing_that_the_stack_drops_and_the_rest_alike() {
    if !skip::possible("differential", &[Need::Root, Need::Bpf, Need::Tun]) {
        return;
    }
    let run = || -> Result<()> {
        let (mut relayed, mut dropped) = (0, 0);
        let mut fast = Way::of_the_relay()?;
        let mut stack = Way::of_the_stack()?;
        for (from, to) in [("10.3.2.2", "10.3.2.3"), ("fd00::3:2:2", "fd00::3:2:3")] {
            let seed: [u8; 32] = std::array::from_fn(|_| 0);
            let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
            for number in 0..PACKETS {
                let packet = packet(&mut random, from, to);
                let fates = (fast.send(&packet)?, stack.send(&packet)?);
                compare(&packet, &fates.0, &fates.1)
                    .with_context(|| format!("packet {number} {from} → {to}: {packet:02x?}"))?;
                relayed += usize::from(!fates.0.relayed.is_empty());
                dropped += usize::from(fates.0.dropped.is_some());
            }
        }
        ensure!(
            relayed > PACKETS / 2 && dropped > PACKETS / 2,
            "{relayed} relayed, {dropped} dropped"
        );
        Ok(())
    };
    if let Err(error) = run() {
        panic!("{error:#}");
    }
}

fn compare(packet: &[u8], fast: &Fate, stack: &Fate) -> Result<()> {
    match (fast.relayed.as_slice(), stack.relayed.as_slice()) {
        ([], []) => {}
        ([], [..]) => {
            let reason = fast.dropped.context("dropped without a reason")?;
            ensure!(
                may_be_stricter(reason, packet),
                "dropped for {}, and the stack relays it",
                reason.label()
            );
        }
        ([_, ..], []) => anyhow::bail!("relayed, and the stack drops it"),
        ([one], [other]) => {
            ensure!(one == other, "relayed as {one:02x?}, by the stack as {other:02x?}")
        }
        // WireGuard accepts a long packet that may be fragmented, and its own packet is fragmented.
        ([one], fragments) => {
            let joined: Vec<u8> =
                fragments.iter().flat_map(|fragment| fragment[20..].to_vec()).collect();
            ensure!(
                packet.len() > MTU && one[20..] == joined && one[8] == fragments[0][8],
                "fragments differ"
            );
        }
        (several, _) => anyhow::bail!("relayed {} times", several.len()),
    }
    Ok(())
}

/// Packets that relay drops although a router would forward them.
fn may_be_stricter(reason: Reason, packet: &[u8]) -> bool {
    let is_v4 = packet[0] >> 4 == 4;
    match reason {
        Reason::IpOptions | Reason::SourceRouting | Reason::Hairpin => true,
        Reason::Multicast | Reason::Broadcast | Reason::LinkLocal | Reason::ReservedAddress => true,
        // Bytes after the packet's end, which WireGuard has removed before; or a truncated extension
        // header, which routers do not look at.
        Reason::MalformedHeader if is_v4 => {
            usize::from(u16::from_be_bytes([packet[2], packet[3]])) < packet.len()
        }
        Reason::MalformedHeader => {
            let len = 40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]));
            len < packet.len() || [44, 51, 60, 135, 139, 140].contains(&packet[6])
        }
        // The stack has no policy.
        Reason::NotInEitherList
        | Reason::NotInSourceList
        | Reason::NotInDestinationList
        | Reason::DestinationUnknown
        | Reason::SourceUnknown
        | Reason::HostAccess
        | Reason::ForwardedIn
        | Reason::NoRule
        | Reason::RuleEnded
        | Reason::FlowLimit
        | Reason::NoFirstFragment
        | Reason::BadFragment
        | Reason::UnrelatedError
        | Reason::Disabled
        | Reason::Rate
        | Reason::Quota => true,
        Reason::TtlExceeded
        | Reason::TooBig
        | Reason::BadChecksum
        | Reason::Inconsistent
        | Reason::NotRouted
        | Reason::OwnTunnel
        | Reason::WrongHome
        | Reason::NotHere => false,
    }
}

/// A packet between the two peers, mostly malformed.
pub(crate) fn packet(random: &mut TestRng, from: &str, to: &str) -> Vec<u8> {
    let mut below = |limit: u32| random.next_u32() % limit;
    let len = match below(8) {
        0 => 1300 + below(400),
        1 => below(8),
        _ => 40 + below(200),
    };
    let mut transport = vec![0u8; len as usize];
    for byte in transport.iter_mut().take(FIRST_EXTENSION_LEN) {
        *byte = below(256).to_le_bytes()[0];
    }
    let protocol = match below(4) {
        0 => below(256).to_le_bytes()[0],
        1 => 6,
        _ => 17,
    };
    let mut inner = Inner::new(address(from), address(to), protocol, &transport);
    let is_v4 = address(from).is_ipv4();
    if is_v4 && below(4) == 0 {
        inner = inner.with_dont_fragment();
    }
    if is_v4 && below(16) == 0 {
        inner = inner.with_options([1, 1, 1, 0]);
    }
    if below(3) == 0 {
        inner = inner.with_ttl(below(4).to_le_bytes()[0]);
    }
    // In the header, but not the version, of which TUN accepts only two.
    for _ in 0..below(3) {
        let at = below(if is_v4 { 20 } else { 40 }) as usize;
        let value = below(256).to_le_bytes()[0];
        let value = if at == 0 { inner.bytes()[0] & 0xf0 | value & 15 } else { value };
        inner = inner.with_byte(at, value);
        let header_len = usize::from(inner.bytes()[0] & 15) * 4;
        if is_v4 && below(2) == 0 && (12..=inner.bytes().len()).contains(&header_len) {
            inner = inner.sealed();
        }
    }
    let mut bytes = inner.bytes().to_vec();
    match below(16) {
        0 => bytes.truncate(bytes.len().saturating_sub(below(30) as usize).max(1)),
        1 => bytes.extend(vec![0; below(30) as usize]),
        _ => {}
    }
    bytes
}

impl Way {
    fn of_the_relay() -> Result<Self> {
        let mut way = Self::make("fast")?;
        let both = ["10.3.2.2/31", "fd00::3:2:2/127"];
        let model = relay(vec![
            peer(1, &["10.3.2.2", "fd00::3:2:2"], &[], &both),
            peer(2, &["10.3.2.3", "fd00::3:2:3"], &[], &both),
        ]);
        let slots = slots(&model);
        let compiled =
            compile(&Sources { relay: &model, host_addresses: &[], slots: &slots }, &[])?;
        let mut loaded = Loaded::load(&compiled, 1, None, SLOTS.end)?;
        attach(
            &way.namespace,
            INTERFACE,
            loaded.program(Direction::Ingress)?,
            TcAttachType::Ingress,
        )?;
        attach(
            &way.namespace,
            INTERFACE,
            loaded.program(Direction::Egress)?,
            TcAttachType::Egress,
        )?;
        way.relay = Some(loaded);
        Ok(way)
    }

    fn of_the_stack() -> Result<Self> {
        let way = Self::make("stack")?;
        for (switch, value) in [
            ("ipv4/ip_forward", 1),
            ("ipv6/conf/all/forwarding", 1),
            ("ipv4/conf/all/rp_filter", 0),
            ("ipv4/conf/all/send_redirects", 0),
        ] {
            way.namespace.set_sysctl(switch, value)?;
        }
        for switch in ["rp_filter", "send_redirects"] {
            way.namespace.set_sysctl(&format!("ipv4/conf/{INTERFACE}/{switch}"), 0)?;
        }
        Ok(way)
    }

    fn make(role: &str) -> Result<Self> {
        let namespace = Namespace::create(role)?;
        let tun = Tun::create(&namespace, INTERFACE)?;
        namespace.ip_batch(&format!(
            "link set {INTERFACE} addrgenmode none mtu {MTU} up\n\
                 address add 10.3.2.1/24 dev {INTERFACE}\n\
                 address add fd00::3:2:1/120 dev {INTERFACE} nodad\n"
        ))?;
        Ok(Self { tun, namespace, relay: None, markers: 0 })
    }

    /// Sends a packet and then one that passes; returns what comes out before that one.
    fn send(&mut self, packet: &[u8]) -> Result<Fate> {
        let before = self.dropped()?;
        self.markers += 1;
        let marker = self.markers.to_be_bytes();
        let passes = Inner::new(address("10.3.2.2"), address("10.3.2.3"), 253, &marker);
        // Too short for its version: the kernel rejects it on both paths.
        let taken = self.tun.write(packet).is_ok();
        self.tun.write(passes.bytes())?;
        let destination = if packet[0] >> 4 == 4 { 16..20 } else { 24..40 };
        let mut relayed = Vec::new();
        deadline::until("the packet that passes", || {
            while let Some(left) = self.tun.read()? {
                if left.ends_with(&marker) && left[9] == 253 && left[0] == 0x45 {
                    return Ok(Some(()));
                }
                let to = packet.get(destination.clone());
                if taken && to.is_some() && left.get(destination.clone()) == to {
                    relayed.push(left);
                }
            }
            Ok(None)
        })?;
        let after = self.dropped()?;
        let mut moved = Reason::ALL.iter().filter(|reason| {
            let at = reason.index() as usize;
            after[at] != before[at]
        });
        let dropped = moved.next().copied();
        ensure!(moved.next().is_none(), "dropped for two reasons");
        Ok(Fate { relayed, dropped })
    }

    fn dropped(&mut self) -> Result<[u64; Reason::COUNT]> {
        let mut sums = [0; Reason::COUNT];
        if let Some(loaded) = &mut self.relay {
            for slot in SLOTS {
                for (sum, count) in sums.iter_mut().zip(loaded.dropped(slot)?) {
                    *sum += count;
                }
            }
        }
        Ok(sums)
    }
}
