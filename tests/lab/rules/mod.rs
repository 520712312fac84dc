//! Who may begin what with whom, between real clients.

mod change;
mod lend;
mod oneway;
mod path;
mod seen;
mod time;
mod verbs;

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::SocketAddr,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{
    Family, Lab, Ledger, Peer, Site, deadline,
    traffic::tcp::{Connection, dial},
};
use socket2::SockRef;

use crate::watch::Watch;

const WEB: u16 = 8080;

const STREAM_LEN: usize = 48 * 1024;

const CHUNK: [u8; 1000] = [0x5a; 1000];

/// Two nodes without lists. A rule, `opened`, says what the first may begin with the second.
fn ruled(ports: &[&str]) -> Result<Site> {
    let mut site = Site::node_to_node()?;
    site.without_lists()?;
    let [a, b] = site.first()?;
    site.add_rule("opened", &a, &b, ports)?;
    Ok(site)
}

/// Writes this configuration and runs `relay up`.
fn apply(lab: &Lab, site: &Site) -> Result<()> {
    lab.relay().write_config(&site.text()?)?;
    lab.relay().up().map(drop)
}

fn connect(from: &Peer, to: &Peer, family: Family, port: u16) -> Result<Connection> {
    let target = SocketAddr::new(to.address(family), port);
    Connection::open_port(from.namespace(), from.address(family), to.namespace(), target)
}

/// Downloads a chunk; `false` if it does not arrive in the time of the socket.
fn chunk(connection: &mut Connection) -> Result<bool> {
    connection.server.write_all(&CHUNK).context("send a chunk")?;
    let mut received = [0; CHUNK.len()];
    match connection.client.read_exact(&mut received) {
        Ok(()) => {
            ensure!(received == CHUNK, "other bytes arrived than were sent");
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error).context("receive a chunk"),
    }
}

/// Checks that what these sides of a connection send is dropped for this reason, again and again, and
/// that nothing of either arrives. What they have sent is `after`.
fn goes_on_no_more(
    lab: &Lab,
    connection: &mut Connection,
    ends: &[&Peer],
    reason: &str,
) -> Result<()> {
    let before = lab.relay().ledger()?;
    connection.server.write_all(b"after")?;
    connection.client.write_all(b"after")?;
    for &peer in ends {
        deadline::until("three dropped packets of each side", || {
            Ok((dropped(lab, &before, &[peer], reason)? >= 3).then_some(()))
        })?;
    }
    for end in [&mut connection.client, &mut connection.server] {
        end.set_nonblocking(true)?;
        let read = end.read(&mut [0; 16]);
        let is_empty = read.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        ensure!(is_empty, "the connection went on: {read:?}");
        end.set_nonblocking(false)?;
        // Closed, it sends nothing again, which a later rule would let pass.
        SockRef::from(&*end).set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}

/// Checks that a SYN to this port is dropped because no rule allows it.
fn syn_is_dropped(
    watch: &mut Watch<'_>,
    from: &Peer,
    to: &Peer,
    family: Family,
    port: u16,
) -> Result<()> {
    let target = SocketAddr::new(to.address(family), port);
    // With its socket closed, the SYN is sent only once.
    drop(dial(from.namespace(), from.address(family), target)?);
    let sent = watch.moved(from)?.sent;
    ensure!(sent.packets == 1, "{sent} were sent to {target}");
    watch
        .settle(&Ledger::default().dropped(from.name(), "no_rule", 1))
        .with_context(|| format!("{} -> {target}", from.name()))?;
    let arrived = watch.moved(to)?.received;
    ensure!(arrived.packets == 0, "{arrived} arrived at {target}");
    Ok(())
}

/// How many packets of these peers were dropped for a reason since `before`.
fn dropped(lab: &Lab, before: &Ledger, peers: &[&Peer], reason: &str) -> Result<u64> {
    let moved = lab.relay().ledger()?.since(before)?;
    Ok(peers.iter().map(|peer| moved.get(&format!("{} dropped {reason}", peer.name()))).sum())
}
