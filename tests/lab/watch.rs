use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{
    Family, Lab, Ledger, MeshLab, Peer, RelayHost, Tally, deadline,
    peer::Counts,
    relay_host::{ledger, settled},
    traffic::{
        Echo, Udp,
        tcp::{Attempt, Connection},
    },
};

const PINGS: u64 = 3;
const DATAGRAMS: u64 = 10;
const DATAGRAM_LEN: usize = 400;
const STREAM_LEN: usize = 48 * 1024;

/// All counters of a lab, the relay's and the peers'. Each step states what must move; any other
/// movement is an error.
///
/// Byte counts are comparable since the peers do not aggregate: their nftables counters see each
/// inner packet as on the wire. The relay keeps GRO, so it must count the segments of aggregates.
/// Its counts must equal what the sender sent and the receiver got, in packets and bytes.
///
/// Those of a mesh's relays are added up: the first relay of a packet counts its sender, the last one
/// its receiver.
pub(crate) struct Watch<'a> {
    relays: Vec<&'a RelayHost>,
    ledger: Ledger,
    counts: BTreeMap<String, Counts>,
}

/// What passed between two peers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passed {
    pub(crate) there: Tally,
    pub(crate) back: Tally,
}

impl<'a> Watch<'a> {
    /// Reads the counters.
    pub(crate) fn start(lab: &'a Lab) -> Result<Self> {
        Self::of(lab, vec![lab.relay()])
    }

    /// Reads the counters of all relays of a mesh.
    pub(crate) fn over(mesh: &'a MeshLab) -> Result<Self> {
        Self::of(mesh.lab(), mesh.relays().collect())
    }

    fn of(lab: &'a Lab, relays: Vec<&'a RelayHost>) -> Result<Self> {
        let counts = lab
            .peers()
            .iter()
            .map(|peer| Ok((peer.name().to_owned(), peer.counts()?)))
            .collect::<Result<_>>()?;
        Ok(Self { ledger: ledger(&relays)?, relays, counts })
    }

    /// Sends pings, datagrams and a TCP stream in parallel, all of which must arrive.
    pub(crate) fn delivers(&mut self, from: &Peer, to: &Peer, family: Family) -> Result<()> {
        let names = || format!("{} -> {}, {}", from.name(), to.name(), family.name());
        let pinged = ping(from, to, family).with_context(names)?;
        let datagrams = send(from, to, family).with_context(names)?;
        stream(from, to, family).with_context(names)?;
        let passed = self.passed(from, to).with_context(names)?;
        let least = pinged + pinged + datagrams + Tally::of(2, STREAM_LEN as u64);
        ensure!((passed.there + passed.back).bytes > least.bytes, "{}: {passed:?}", names());
        Ok(())
    }

    /// The same, one kind after the other, with exact byte counts of pings and datagrams.
    pub(crate) fn delivers_to_the_byte(
        &mut self,
        from: &Peer,
        to: &Peer,
        family: Family,
    ) -> Result<()> {
        let names = || format!("{} -> {}, {}", from.name(), to.name(), family.name());
        let pinged = ping(from, to, family).with_context(names)?;
        let passed = self.passed(from, to).with_context(names)?;
        ensure!(passed.there == pinged && passed.back == pinged, "{}: {passed:?}", names());
        self.sends(from, to, family).with_context(names)?;
        stream(from, to, family).with_context(names)?;
        let passed = self.passed(from, to).with_context(names)?;
        let least = STREAM_LEN as u64;
        ensure!(passed.there.bytes > least && passed.back.bytes > least, "{passed:?}");
        Ok(())
    }

    /// Sends datagrams, which must all arrive, and nothing else. Their tally as IP packets.
    pub(crate) fn sends(&mut self, from: &Peer, to: &Peer, family: Family) -> Result<Tally> {
        let datagrams = send(from, to, family)?;
        let passed = self.passed(from, to)?;
        ensure!(passed.there == datagrams, "{passed:?}");
        ensure!(passed.back == Tally::default(), "{passed:?}");
        Ok(datagrams)
    }

    /// Sends pings, datagrams and a SYN, which must all be dropped for `reason`.
    pub(crate) fn drops(
        &mut self,
        from: &Peer,
        to: &Peer,
        family: Family,
        reason: &str,
    ) -> Result<()> {
        let names = || format!("{} -> {}, {}", from.name(), to.name(), family.name());
        let (source, target) = (from.address(family), to.address(family));
        let mut echo = Echo::open(from.namespace(), source, target)?;
        let pinged = echo.send(PINGS)?;
        let udp = Udp::open(from.namespace(), source, to.namespace(), target)?;
        let datagrams = udp.send(DATAGRAMS, DATAGRAM_LEN)?;
        let attempt = Attempt::start(from.namespace(), source, to.namespace(), target)?;
        // With its socket closed, the SYN is sent only once.
        let listening = attempt.abandon();

        let sent = self.moved(from)?.sent;
        let packets = pinged.packets + datagrams.packets + 1;
        ensure!(sent.packets >= packets, "{}: {sent} were sent", names());
        self.settle(&Ledger::default().dropped(from.name(), reason, sent.packets))
            .with_context(names)?;
        let accepted = listening.accepted()?.is_some();
        let answers = echo.answers(1, Duration::ZERO)?;
        let datagrams = udp.received(1, Duration::ZERO)?;
        let arrived = self.moved(to)?.received;
        ensure!(!accepted, "{}: a TCP connection was made", names());
        ensure!(answers == 0, "{}: {answers} answers", names());
        ensure!(datagrams == Tally::default(), "{}: {datagrams} arrived", names());
        ensure!(arrived == Tally::default(), "{}: {arrived} arrived", names());
        Ok(())
    }

    /// Waits until the relay's counters have moved by exactly this.
    pub(crate) fn settle(&mut self, expected: &Ledger) -> Result<()> {
        self.ledger = settled(&self.relays, &self.ledger, expected)?;
        Ok(())
    }

    /// The movements of a peer's own counters.
    pub(crate) fn moved(&mut self, peer: &Peer) -> Result<Counts> {
        let (now, moved) = self.since(peer)?;
        self.counts.insert(peer.name().to_owned(), now);
        Ok(moved)
    }

    /// A peer's own counters, and by how much they have moved.
    fn since(&self, peer: &Peer) -> Result<(Counts, Counts)> {
        let now = peer.counts()?;
        let then = self.counts.get(peer.name()).context("an unknown peer")?;
        let sent = now.sent - then.sent;
        Ok((now, Counts { sent, received: now.received - then.received }))
    }

    /// Checks that what two peers sent each other was received and counted by the relay.
    pub(crate) fn passed(&mut self, from: &Peer, to: &Peer) -> Result<Passed> {
        let mut now = [Counts::default(); 2];
        let (mut here, mut there) = (Counts::default(), Counts::default());
        // The last packet may be on its way.
        deadline::within(deadline::SETTLING, "what was sent", || {
            let (of_from, of_to) = (self.since(from)?, self.since(to)?);
            now = [of_from.0, of_to.0];
            (here, there) = (of_from.1, of_to.1);
            let is_whole = there.received == here.sent && here.received == there.sent;
            Ok(is_whole.then_some(()))
        })
        .with_context(|| format!("{here:?} became {there:?}"))?;
        for (peer, counts) in [from, to].into_iter().zip(now) {
            self.counts.insert(peer.name().to_owned(), counts);
        }
        let expected = Ledger::default().relayed(from.name(), to.name(), here.sent).relayed(
            to.name(),
            from.name(),
            there.sent,
        );
        self.settle(&expected)?;
        Ok(Passed { there: here.sent, back: there.sent })
    }
}

/// All ordered pairs of these peers.
pub(crate) fn ordered<'a>(peers: &[&'a Peer]) -> Vec<(&'a Peer, &'a Peer)> {
    peers
        .iter()
        .flat_map(|from| peers.iter().map(move |to| (*from, *to)))
        .filter(|(from, to)| from.name() != to.name())
        .collect()
}

fn ping(from: &Peer, to: &Peer, family: Family) -> Result<Tally> {
    let mut echo = Echo::between(from, to, family)?;
    let pinged = echo.send(PINGS)?;
    let answers = echo.answers(PINGS, deadline::PATIENCE)?;
    ensure!(answers == PINGS, "{answers} answers to {PINGS} pings");
    Ok(pinged)
}

fn send(from: &Peer, to: &Peer, family: Family) -> Result<Tally> {
    let udp = Udp::between(from, to, family)?;
    let datagrams = udp.send(DATAGRAMS, DATAGRAM_LEN)?;
    let received = udp.received(DATAGRAMS, deadline::PATIENCE)?;
    ensure!(received == datagrams, "of {datagrams} came {received}");
    Ok(datagrams)
}

fn stream(from: &Peer, to: &Peer, family: Family) -> Result<()> {
    Connection::between(from, to, family)?.exchange(STREAM_LEN)
}
