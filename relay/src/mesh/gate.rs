//! The socket of gossip: what comes in is checked before chitchat sees it.
//!
//! chitchat keeps its codec to itself, so a datagram that was admitted goes through its own socket on a
//! loopback address, and what it sends comes out of that.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chitchat::{
    Chitchat, ChitchatEnvelope, ChitchatMessage,
    transport::{self, RecvOutcome, SendOutcome, Socket, Transport},
};
use tokio::{
    net::UdpSocket,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    admission::{self, Limits},
    error::GossipError,
    meter::Meter,
    refusal::Refusal,
    site::Site,
    wire,
};

/// Longest payload of UDP.
const MAX_DATAGRAM: usize = 65_507;
/// How long the codec may take: what it is asked for is there already.
const CODEC: Duration = Duration::from_secs(1);
/// Until somebody listens to what is heard.
const BEGIN: Duration = Duration::from_millis(5);
/// After an error of the socket, which is one of the host's.
const AGAIN: Duration = Duration::from_millis(100);

/// What the gate shares with who asks about it.
pub(super) struct Desk {
    pub(super) site: Site,
    pub(super) limits: Limits,
    meter: Mutex<Meter>,
    /// What is known of the other relays, once there is something.
    pub(super) known: OnceLock<Arc<tokio::sync::Mutex<Chitchat>>>,
}

impl Desk {
    pub(super) fn new(site: Site, peers: usize) -> Self {
        let meter = Mutex::new(Meter::new(site.relays.len()));
        Self { site, limits: Limits::new(peers), meter, known: OnceLock::new() }
    }

    pub(super) fn meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The transport whose one socket is already open.
pub(super) struct Gate(Mutex<Option<Box<dyn Socket>>>);

impl Gate {
    /// Opens the socket on this relay's address.
    pub(super) async fn open(desk: Arc<Desk>) -> Result<Self, GossipError> {
        let address = desk.site.own_address();
        let listening = UdpSocket::bind(address).await;
        let outer = listening.map_err(|source| GossipError::Listen { address, source })?;
        let (codec, feeder) = codec().await.map_err(GossipError::Codec)?;
        let codec_address = feeder.local_addr().map_err(GossipError::Codec)?;
        let buffer = vec![0; MAX_DATAGRAM].into_boxed_slice();
        let unpacked = Vec::new();
        let socket = GateSocket {
            desk,
            outer,
            codec,
            feeder,
            codec_address,
            buffer,
            unpacked,
            admitted: None,
        };
        Ok(Self(Mutex::new(Some(Box::new(socket)))))
    }
}

/// chitchat's socket, and the one that it speaks with.
async fn codec() -> io::Result<(transport::UdpSocket, UdpSocket)> {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let codec = transport::UdpSocket::open(loopback).await.map_err(io::Error::other)?;
    let feeder = UdpSocket::bind(loopback).await?;
    feeder.connect(codec.local_addr().map_err(io::Error::other)?).await?;
    Ok((codec, feeder))
}

#[async_trait]
impl Transport for Gate {
    async fn open(&self, _: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        socket.ok_or_else(|| anyhow::anyhow!("gossip: its socket is in use"))
    }
}

struct GateSocket {
    desk: Arc<Desk>,
    outer: UdpSocket,
    codec: transport::UdpSocket,
    feeder: UdpSocket,
    /// The feeder's own address: what the codec receives from others is not ours.
    codec_address: SocketAddr,
    buffer: Box<[u8]>,
    unpacked: Vec<u8>,
    /// A datagram that the codec has and chitchat has not: its sender, and until when it is waited for.
    admitted: Option<(SocketAddr, Instant)>,
}

#[async_trait]
impl Socket for GateSocket {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.outer.local_addr()?)
    }

    async fn send(
        &mut self,
        to: SocketAddr,
        envelope: ChitchatEnvelope,
    ) -> anyhow::Result<SendOutcome> {
        let asks = matches!(envelope.message, ChitchatMessage::Syn { .. });
        self.codec.send(self.codec_address, envelope).await?;
        let len = timeout(CODEC, self.feeder.recv(&mut self.buffer)).await??;
        // A relay that cannot be reached is nothing new: its age shows it.
        if self.outer.send_to(&self.buffer[..len], to).await.is_ok()
            && let Some(place) = self.desk.site.other(to)
        {
            self.desk.meter().sent(place, len, asks);
        }
        Ok(SendOutcome { num_bytes_sent: len })
    }

    /// Can be cancelled: a datagram that was not admitted yet is then lost, and one that was is kept.
    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        while self.desk.known.get().is_none() {
            sleep(BEGIN).await;
        }
        loop {
            if let Some((from_addr, deadline)) = self.admitted {
                match timeout_at(deadline, self.codec.recv()).await {
                    Ok(decoded) => {
                        let decoded = decoded?;
                        if decoded.from_addr == self.codec_address {
                            self.admitted = None;
                            return Ok(RecvOutcome { from_addr, ..decoded });
                        }
                    }
                    Err(_elapsed) => {
                        self.desk.meter().refuse(Refusal::Malformed);
                        self.admitted = None;
                    }
                }
                continue;
            }
            let Ok((len, from)) = self.outer.recv_from(&mut self.buffer).await else {
                sleep(AGAIN).await;
                continue;
            };
            match self.admit(len, from).await {
                Ok(()) => {
                    self.feeder.send(&self.buffer[..len]).await?;
                    self.admitted = Some((from, Instant::now() + CODEC));
                }
                Err(refusal) => self.desk.meter().refuse(refusal),
            }
        }
    }
}

impl GateSocket {
    async fn admit(&mut self, len: usize, from: SocketAddr) -> Result<(), Refusal> {
        let desk = &self.desk;
        let sender = desk.site.other(from).ok_or(Refusal::Stranger)?;
        if !desk.meter().receive(sender, len) {
            return Err(Refusal::TooMany);
        }
        let message = wire::read(&self.buffer[..len], &mut self.unpacked);
        let message = message.map_err(|wire::Malformed| Refusal::Malformed)?;
        admission::check(&message, &desk.site)?;
        if let Some(known) = desk.known.get() {
            desk.limits.check(&message, &*known.lock().await, sender, &desk.site)?;
        }
        desk.meter().heard(sender, message.kind == wire::Kind::SynAck);
        Ok(())
    }
}
