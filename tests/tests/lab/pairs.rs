//! What is tried between two peers, and what has to come of it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use relay_tests::{
    Family, Lab, Ledger, Peer, Tally, deadline,
    traffic::{
        Echo, Udp,
        tcp::{Attempt, Connection},
    },
};

const PINGS: u64 = 3;
const DATAGRAMS: u64 = 10;
const DATAGRAM_LEN: usize = 400;
const STREAM_LEN: usize = 48 * 1024;

/// Pings, datagrams and a TCP connection from one peer to another, all of which have to arrive.
///
/// Exactness: both peers have aggregation turned off, so their nftables counters see each inner
/// packet as it is on the wire, and would show an aggregate. Pings and datagrams are also compared
/// with what their lengths add up to. The relay in the middle keeps its GRO, so it has to count the
/// segments of the aggregates that it makes of the TCP stream. What it counted must be what the
/// sender sent and what the receiver got, in packets and bytes, and no other counter may move.
pub(crate) fn delivers(lab: &Lab, from: &Peer, to: &Peer, family: Family) -> Result<()> {
    let names = || format!("{} -> {}, {}", from.name(), to.name(), family.name());
    let before = lab.relay().ledger()?;
    let (from_before, to_before) = (from.counts()?, to.counts()?);
    let (source, target) = (from.address(family), to.address(family));

    let mut echo = Echo::open(from.namespace(), source, target)?;
    let pinged = echo.send(PINGS)?;
    let answers = echo.answers(PINGS, deadline::PATIENCE)?;
    ensure!(answers == PINGS, "{}: {answers} answers to {PINGS} pings", names());
    let (request, reply) = (from.since(from_before)?.sent, to.since(to_before)?.sent);
    ensure!(request == pinged, "{}: pings are {request}, not {pinged}", names());
    ensure!(reply == pinged, "{}: answers are {reply}, not {pinged}", names());

    let udp = Udp::open(from.namespace(), source, to.namespace(), target)?;
    let datagrams = udp.send(DATAGRAMS, DATAGRAM_LEN)?;
    let received = udp.received(DATAGRAMS, deadline::PATIENCE)?;
    ensure!(received == datagrams, "{}: of {datagrams} came {received}", names());
    let sent = from.since(from_before)?.sent;
    ensure!(sent == pinged + datagrams, "{}: {sent}, not {pinged} + {datagrams}", names());

    Connection::open(from.namespace(), source, to.namespace(), target)
        .and_then(|connection| connection.exchange(STREAM_LEN))
        .with_context(names)?;

    let (here, there) = (from.since(from_before)?, to.since(to_before)?);
    let least = 2 * STREAM_LEN as u64;
    ensure!(here.sent.bytes + there.sent.bytes > least, "{}: less than the stream", names());
    ensure!(there.received == here.sent, "{}: {here:?} became {there:?}", names());
    ensure!(here.received == there.sent, "{}: {there:?} became {here:?}", names());
    let expected = Ledger::default().relayed(from.name(), to.name(), here.sent).relayed(
        to.name(),
        from.name(),
        there.sent,
    );
    lab.relay().settled(&before, &expected).with_context(names)?;
    Ok(())
}

/// The same attempts, none of which may get through; each packet has to be counted as refused for
/// `reason`, and no other counter may move.
pub(crate) fn refuses(
    lab: &Lab,
    from: &Peer,
    to: &Peer,
    family: Family,
    reason: &str,
) -> Result<()> {
    let names = || format!("{} -> {}, {}", from.name(), to.name(), family.name());
    let before = lab.relay().ledger()?;
    let (from_before, to_before) = (from.counts()?, to.counts()?);
    let (source, target) = (from.address(family), to.address(family));

    let mut echo = Echo::open(from.namespace(), source, target)?;
    let pinged = echo.send(PINGS)?;
    let udp = Udp::open(from.namespace(), source, to.namespace(), target)?;
    let datagrams = udp.send(DATAGRAMS, DATAGRAM_LEN)?;
    let attempt = Attempt::start(from.namespace(), source, to.namespace(), target)?;
    // The first SYN at least; it is sent again for as long as the attempt lasts.
    let least = pinged.packets + datagrams.packets + 1;
    deadline::until(&format!("{} refused packets, {}", least, names()), || {
        let refused = lab.relay().ledger()?.since(&before)?.get(&refused(from, reason));
        Ok((refused >= least).then_some(()))
    })
    .with_context(|| moved(lab, &before))?;
    let accepted = attempt.accepted()?;
    ensure!(accepted.is_none(), "{}: a TCP connection was made", names());
    drop(attempt);

    let sent = from.since(from_before)?.sent;
    let expected = Ledger::default().refused(from.name(), reason, sent.packets);
    lab.relay().settled(&before, &expected).with_context(names)?;
    let answers = echo.answers(1, Duration::ZERO)?;
    let datagrams = udp.received(1, Duration::ZERO)?;
    let arrived = to.since(to_before)?.received;
    ensure!(answers == 0, "{}: {answers} answers", names());
    ensure!(datagrams == Tally::default(), "{}: {datagrams} arrived", names());
    ensure!(arrived == Tally::default(), "{}: {arrived} arrived", names());
    Ok(())
}

/// Every ordered pair of these peers.
pub(crate) fn ordered<'a>(peers: &[&'a Peer]) -> Vec<(&'a Peer, &'a Peer)> {
    peers
        .iter()
        .flat_map(|from| peers.iter().map(move |to| (*from, *to)))
        .filter(|(from, to)| from.name() != to.name())
        .collect()
}

/// Name of a ledger's entry.
pub(crate) fn refused(peer: &Peer, reason: &str) -> String {
    format!("{} refused {reason}", peer.name())
}

/// What the counters did since `before`, for a message.
pub(crate) fn moved(lab: &Lab, before: &Ledger) -> String {
    match lab.relay().ledger().and_then(|now| now.since(before)) {
        Ok(moved) => format!("counters moved:\n{moved}"),
        Err(error) => format!("counters unknown: {error:#}"),
    }
}
