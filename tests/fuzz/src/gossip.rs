//! Datagrams to the agent of a relay, from other relays of its site and from strangers: it goes on, what
//! it keeps is bounded, and it tells nobody of a relay that the site does not have.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use relay::{
    mesh::{Beginning, Claim, Event, Gossip, Refusal, Site, Status},
    model::PublicKey,
};
use tokio::{
    net::UdpSocket,
    runtime::{Builder, Runtime},
    time::{sleep, timeout},
};

use crate::{choices::Choices, run::Run};

const CLUSTER: &str = "fd00::/64";
/// Configured peers, and the most keys that are kept of one relay because of them.
const PEERS: usize = 2;
const MOST_CLAIMS: usize = 2 * PEERS + 1_024;
/// Relays of the site; the first is the one that is asked.
const RELAYS: usize = 3;
const DATAGRAMS: usize = 16;
/// Time of a paused clock, which goes on as soon as nothing else does.
const MOMENT: Duration = Duration::from_millis(1);
const MOMENTS: usize = 4_000;
/// Within which an agent begins an exchange by itself.
const EXCHANGE: Duration = Duration::from_millis(300);

/// The sockets of the other relays, and of somebody else.
struct Others {
    sockets: [UdpSocket; RELAYS],
    site: Site,
}

pub(crate) fn start() -> Run {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime: Runtime = runtime.expect("a runtime");
    let others = runtime.block_on(Others::bind());
    Box::new(move |input| runtime.block_on(others.send(input)))
}

impl Others {
    async fn bind() -> Self {
        let bind = async || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        // The agent's own port is free again afterwards.
        let own = bind().await.local_addr().expect("its address");
        let sockets = [bind().await, bind().await, bind().await];
        let address = |socket: &UdpSocket| socket.local_addr().expect("its address");
        let addresses = [own, address(&sockets[1]), address(&sockets[2])];
        let relays = addresses.into_iter().enumerate();
        let relays =
            relays.map(|(place, it)| (format!("relay{place}").parse().expect("a name"), it));
        let site = Site { cluster: CLUSTER.to_owned(), relays: relays.collect(), own: 0 };
        Self { sockets, site }
    }

    async fn send(&self, input: &[u8]) {
        let peer = PublicKey::from_bytes([1; 32]);
        let beginning = Beginning {
            generation: 5,
            policy: "equal".to_owned(),
            claims: vec![(peer, Claim::new(1, 0, None))],
            peers: PEERS,
        };
        let gossip = Gossip::start(self.site.clone(), beginning).await;
        let gossip = gossip.unwrap_or_else(|error| panic!("{error}"));
        let mut choices = Choices::of(input);
        let mut sent = 0;
        while !choices.is_empty() && sent < DATAGRAMS {
            let from = &self.sockets[choices.below(RELAYS)];
            let datagram = self.addressed(choices.bytes());
            self.send_one(from, &datagram).await;
            sent += 1;
            self.until_received(&gossip, sent).await;
        }
        sleep(EXCHANGE).await;
        self.check(&gossip).await;
        self.listen();
        self.is_alive(&gossip).await;
        gossip.close().await;
        self.listen();
    }

    async fn send_one(&self, from: &UdpSocket, datagram: &[u8]) {
        let own = self.site.relays[0].1;
        match from.send_to(datagram, own).await {
            Ok(len) => assert_eq!(len, datagram.len()),
            Err(error) => panic!("{} bytes: {error}", datagram.len()),
        }
    }

    /// The same with the ports of this run: in inputs, relays are 127.0.0.1 with ports 1, 2 and 3.
    fn addressed(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for at in 0..bytes.len().saturating_sub(6) {
            if let [4, 127, 0, 0, 1, place @ 1..=3, 0] = bytes[at..at + 7] {
                let port = self.site.relays[usize::from(place) - 1].1.port();
                bytes[at + 5..at + 7].copy_from_slice(&port.to_le_bytes());
            }
        }
        bytes
    }

    async fn until_received(&self, gossip: &Gossip, sent: usize) {
        for _ in 0..MOMENTS {
            let status = gossip.status().await;
            let strangers = refused(&status, Refusal::Stranger);
            let received: u64 = status.relays.iter().map(|relay| relay.received.datagrams).sum();
            if received + strangers >= sent as u64 {
                return;
            }
            sleep(MOMENT).await;
        }
        panic!("datagram {sent} was not received: {:?}", gossip.status().await);
    }

    async fn check(&self, gossip: &Gossip) {
        let status = gossip.status().await;
        assert_eq!(status.relays.len(), RELAYS);
        for (relay, (name, _)) in status.relays.iter().zip(&self.site.relays) {
            assert_eq!(&relay.name, name);
            assert!(relay.claims <= MOST_CLAIMS, "{} claims of {name}", relay.claims);
        }
        assert_eq!((status.relays[0].alive, status.relays[0].claims), (true, 1));
        assert_eq!(status.relays[0].policy.as_deref(), Some("equal"));
        for event in gossip.standing().await {
            let is_of_another = matches!(event, Event::Heard { relay: 1..RELAYS, .. });
            assert!(is_of_another, "{event:?}");
        }
    }

    /// Looks at what the agent sends: nobody is in its digests whom the site does not have.
    fn listen(&self) {
        let mut buffer = vec![0; 1 << 16];
        for socket in &self.sockets {
            loop {
                match socket.try_recv_from(&mut buffer) {
                    Ok((len, _)) => {
                        let names = digest(&buffer[..len]).expect("what chitchat writes");
                        for (name, address) in names {
                            let is_known = |(known, its): &(_, SocketAddr)| {
                                relay::model::RelayName::as_str(known) == name && *its == address
                            };
                            assert!(self.site.relays.iter().any(is_known), "{name} {address}");
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // Of a datagram to an agent that has ended.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// It still answers.
    async fn is_alive(&self, gossip: &Gossip) {
        let ended = timeout(Duration::ZERO, gossip.ended()).await;
        assert!(ended.is_err(), "gossip has ended: {ended:?}");
        let before = gossip.status().await;
        let ask = syn(&self.site.relays[1]);
        self.send_one(&self.sockets[1], &ask).await;
        for _ in 0..MOMENTS {
            let now = gossip.status().await;
            if now.relays[1].received.datagrams > before.relays[1].received.datagrams
                && now.relays[1].sent.datagrams > before.relays[1].sent.datagrams
            {
                return;
            }
            sleep(MOMENT).await;
        }
        panic!("no answer: {:?}", gossip.status().await);
    }
}

fn refused(status: &Status, reason: Refusal) -> u64 {
    status.refused.iter().filter(|(refusal, _)| *refusal == reason).map(|(_, count)| count).sum()
}

/// The first message of an exchange, of a relay that knows itself.
fn syn((name, address): &(relay::model::RelayName, SocketAddr)) -> Vec<u8> {
    let text = |text: &str| {
        let len = u16::try_from(text.len()).expect("a short text");
        [&len.to_le_bytes()[..], text.as_bytes()].concat()
    };
    let mut bytes = vec![0x53, 0xb0, 0, 0, 1, 0];
    bytes.extend(text(name.as_str()));
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend([4, 127, 0, 0, 1]);
    bytes.extend(address.port().to_le_bytes());
    bytes.extend([1; 24]);
    bytes.extend(text(CLUSTER));
    bytes
}

/// The nodes in the digest of a message of chitchat, if it has one.
fn digest(datagram: &[u8]) -> Option<Vec<(&str, SocketAddr)>> {
    let [0x53, 0xb0, 0, kind, rest @ ..] = datagram else { return None };
    if *kind > 1 {
        return Some(Vec::new());
    }
    let word = |bytes: &[u8]| Some(u16::from_le_bytes([*bytes.first()?, *bytes.get(1)?]));
    let count = word(rest)?;
    let mut rest = &rest[2..];
    let mut nodes = Vec::new();
    for _ in 0..count {
        let len = usize::from(word(rest)?);
        let (name, behind) = rest.get(2..)?.split_at_checked(len)?;
        // A generation, an address of IPv4, a port, and three numbers.
        let (node, behind) = behind.split_at_checked(8 + 1 + 4 + 2 + 24)?;
        let [4, a, b, c, d, low, high, ..] = node[8..] else { return None };
        let address = SocketAddr::from(([a, b, c, d], u16::from_le_bytes([low, high])));
        nodes.push((str::from_utf8(name).ok()?, address));
        rest = behind;
    }
    Some(nodes)
}
