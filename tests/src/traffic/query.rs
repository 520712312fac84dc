use std::net::{SocketAddr, UdpSocket};

use anyhow::{Context as _, Result, ensure};

use super::udp::{bind, receive_all};
use crate::{Family, Peer, deadline, inner::Inner};

/// A client and a server that answers each datagram with another, as DNS does.
#[derive(Debug)]
pub struct Query {
    client: UdpSocket,
    server: UdpSocket,
}

impl Query {
    /// A client at one peer, and a server at this port of another.
    pub fn open(from: &Peer, to: &Peer, family: Family, port: u16) -> Result<Self> {
        Ok(Self {
            client: bind(from.namespace(), from.any_port(family))?,
            server: bind(to.namespace(), SocketAddr::new(to.address(family), port))?,
        })
    }

    /// Asks with so many bytes and answers with so many, and checks that both arrive.
    pub fn ask(&self, question: usize, answer: usize) -> Result<()> {
        deliver(&self.client, &self.server, question).context("the question")?;
        deliver(&self.server, &self.client, answer).context("the answer")
    }

    /// The answer of so many bytes, as one packet.
    pub fn answer(&self, len: usize) -> Result<Inner> {
        let (client, server) = (self.client.local_addr()?, self.server.local_addr()?);
        let ends = [server.ip(), client.ip()];
        let datagram = Inner::datagram(ends, [server.port(), client.port()], len);
        Ok(datagram.with_payload(&payload(len)))
    }

    /// Checks that this answer arrives, which was sent by other means.
    pub fn answered(&self, len: usize) -> Result<()> {
        arrives(&self.client, &payload(len)).context("the answer")
    }

    /// Sends from the server to the client, who has not asked again.
    pub fn answer_unasked(&self) -> Result<()> {
        self.server.send_to(b"late", self.client.local_addr()?).map(drop).context("send a datagram")
    }

    /// Sends from the server's port to another port of the client's host.
    pub fn stray(&self) -> Result<()> {
        let mut target = self.client.local_addr()?;
        target.set_port(target.port() ^ 1);
        self.server.send_to(b"stray", target).map(drop).context("send a datagram")
    }
}

fn deliver(from: &UdpSocket, to: &UdpSocket, len: usize) -> Result<()> {
    let sent = payload(len);
    from.send_to(&sent, to.local_addr()?).context("send a datagram")?;
    arrives(to, &sent)
}

fn arrives(to: &UdpSocket, sent: &[u8]) -> Result<()> {
    let mut received = Vec::new();
    deadline::until("the datagram", || {
        receive_all(to, |datagram| {
            received.push(datagram.to_vec());
            Ok(())
        })?;
        Ok((!received.is_empty()).then_some(()))
    })?;
    ensure!(received == [sent], "{} datagrams arrived, or other bytes", received.len());
    Ok(())
}

fn payload(len: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(len).collect()
}
