//! chitchat's channels between nodes of one process, with a delay and losses.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use async_trait::async_trait;
use chitchat::{
    ChitchatEnvelope,
    transport::{ChannelTransport, RecvOutcome, SendOutcome, Socket, Transport},
};
use tokio::time::{Instant, sleep_until};

/// Of a thousand datagrams.
const THOUSAND: u32 = 1_000;

#[derive(Clone)]
pub(super) struct Channels {
    inner: ChannelTransport,
    delay: Duration,
    lost: u32,
}

impl Channels {
    /// Each way takes this long, and loses this many of a thousand.
    pub(super) fn new(delay: Duration, lost: u32) -> Self {
        Self { inner: ChannelTransport::default(), delay, lost }
    }

    /// All bytes that were sent.
    pub(super) fn bytes(&self) -> u64 {
        self.inner.statistics().num_bytes_total
    }
}

#[async_trait]
impl Transport for Channels {
    async fn open(&self, address: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let inner = self.inner.open(address).await?;
        let random = match address {
            SocketAddr::V4(address) => address.ip().to_bits(),
            SocketAddr::V6(address) => u32::from(address.ip().segments()[7]),
        };
        let Self { delay, lost, .. } = *self;
        Ok(Box::new(Channel { inner, under_way: VecDeque::new(), delay, lost, random }))
    }
}

struct Channel {
    inner: Box<dyn Socket>,
    under_way: VecDeque<(Instant, RecvOutcome)>,
    delay: Duration,
    lost: u32,
    random: u32,
}

#[async_trait]
impl Socket for Channel {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        self.inner.local_addr()
    }

    async fn send(
        &mut self,
        to: SocketAddr,
        envelope: ChitchatEnvelope,
    ) -> anyhow::Result<SendOutcome> {
        self.inner.send(to, envelope).await
    }

    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        loop {
            let next = self.under_way.front().map(|(due, _)| *due);
            let arrives = async {
                match next {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = arrives => {
                    if let Some((_, outcome)) = self.under_way.pop_front() {
                        return Ok(outcome);
                    }
                }
                outcome = self.inner.recv() => {
                    let outcome = outcome?;
                    if !self.loses() {
                        self.under_way.push_back((Instant::now() + self.delay, outcome));
                    }
                }
            }
        }
    }
}

impl Channel {
    /// By a linear congruential generator, so that each run loses the same.
    fn loses(&mut self) -> bool {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.random >> 8) % THOUSAND < self.lost
    }
}
