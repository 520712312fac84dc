//! The guard in front of kernel WireGuard.

mod attachment;
mod messages;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use anyhow::{Context as _, Result, ensure};
use relay::model::PublicKey;
use relay_tests::{Family, Lab, Namespace, Peer, Site, deadline, traffic::Echo};

const PORT: u16 = 51820;

/// Two nodes that list each other, and a relay with a guard with these settings.
pub(crate) fn guarded(numbers: &[(&str, i64)]) -> Result<Site> {
    let mut site = Site::node_to_node()?;
    let guard = site.guard_mut()?;
    guard.extend(numbers.iter().map(|(key, number)| ((*key).to_owned(), (*number).into())));
    Ok(site)
}

/// Checks that each peer answers the other, in both families.
pub(crate) fn talk(a: &Peer, b: &Peer) -> Result<()> {
    for (from, to) in [(a, b), (b, a)] {
        for family in Family::ALL {
            let mut echo = Echo::between(from, to, family)?;
            echo.send(1)?;
            let answers = echo.answers(1, deadline::PATIENCE)?;
            ensure!(answers == 1, "{} does not answer {}", to.name(), from.name());
        }
    }
    Ok(())
}

/// Sends messages from one socket to the relay's port.
fn send(
    from: &Namespace,
    relay: IpAddr,
    messages: impl IntoIterator<Item = Vec<u8>>,
) -> Result<()> {
    let any: SocketAddr = match relay {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = from.enter(|| UdpSocket::bind(any))??;
    for message in messages {
        socket.send_to(&message, (relay, PORT))?;
    }
    Ok(())
}

/// The count of this outcome.
fn seen(lab: &Lab, outcome: &str) -> Result<u64> {
    let messages = lab.relay().stats()?.guard.messages;
    messages.get(outcome).copied().with_context(|| format!("no {outcome} in {messages:?}"))
}

fn await_seen(lab: &Lab, outcome: &str, wanted: u64) -> Result<()> {
    deadline::until(&format!("{wanted} × {outcome}"), || {
        Ok((seen(lab, outcome)? >= wanted).then_some(()))
    })
}

/// The mode of the guard on eth0, the only interface of the relay's host.
fn attached(lab: &Lab) -> Result<String> {
    let interfaces = lab.relay().stats()?.guard.interfaces;
    let [eth0] = &interfaces[..] else { anyhow::bail!("{interfaces:?}") };
    ensure!(eth0.interface == "eth0", "{interfaces:?}");
    Ok(eth0.attached.clone())
}

/// Whether `ip` shows an XDP program on eth0.
pub(crate) fn has_xdp(lab: &Lab) -> Result<bool> {
    let text = lab.relay().namespace().run("ip", &["-json", "link", "show", "dev", "eth0"])?;
    let links: serde_json::Value = serde_json::from_str(&text)?;
    Ok(links[0].get("xdp").is_some())
}

fn relay_key(lab: &Lab) -> Result<PublicKey> {
    Ok(lab.relay().stats()?.public_key.parse()?)
}
