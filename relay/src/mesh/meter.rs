use std::time::Duration;

use tokio::time::Instant;

use super::refusal::Refusal;

/// Datagrams that one relay may send a second, and at once. An exchange takes three; there are a dozen
/// a second at rest, and each batch of moves begins one.
const DATAGRAMS_PER_SECOND: f64 = 256.0;
const BURST: f64 = 1_024.0;

/// After which a question was lost, or its answer.
const LOST: Duration = Duration::from_secs(1);

/// What is counted of gossip.
#[derive(Debug)]
pub(super) struct Meter {
    links: Vec<Link>,
    refused: [u64; Refusal::ALL.len()],
}

/// What is counted of gossip with one relay.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) received: Traffic,
    pub(super) sent: Traffic,
    pub(super) last_heard: Option<Instant>,
    pub(super) delay: Option<Duration>,
    asked: Option<Instant>,
    allowance: f64,
    allowed: Instant,
}

/// An amount of gossip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams.
    pub datagrams: u64,
    /// What is in them, bytes, without headers.
    pub bytes: u64,
}

impl Traffic {
    fn add(&mut self, bytes: usize) {
        self.datagrams += 1;
        self.bytes += bytes as u64;
    }
}

impl Meter {
    /// Of a site of this many relays.
    pub(super) fn new(relays: usize) -> Self {
        let link = Link {
            received: Traffic::default(),
            sent: Traffic::default(),
            last_heard: None,
            delay: None,
            asked: None,
            allowance: BURST,
            allowed: Instant::now(),
        };
        Self { links: vec![link; relays], refused: [0; Refusal::ALL.len()] }
    }

    /// A relay has sent a datagram. Says whether it may.
    pub(super) fn receive(&mut self, place: usize, bytes: usize) -> bool {
        let now = Instant::now();
        let link = &mut self.links[place];
        link.received.add(bytes);
        let gained = now.duration_since(link.allowed).as_secs_f64() * DATAGRAMS_PER_SECOND;
        link.allowance = (link.allowance + gained).min(BURST);
        link.allowed = now;
        let may = link.allowance >= 1.0;
        if may {
            link.allowance -= 1.0;
        }
        may
    }

    /// What a relay sent was taken; perhaps it answers.
    pub(super) fn heard(&mut self, place: usize, answers: bool) {
        let now = Instant::now();
        let link = &mut self.links[place];
        link.last_heard = Some(now);
        if answers && let Some(asked) = link.asked.take() {
            link.delay = Some(now.duration_since(asked));
        }
    }

    /// A datagram was sent to a relay; perhaps it begins an exchange.
    pub(super) fn sent(&mut self, place: usize, bytes: usize, asks: bool) {
        let link = &mut self.links[place];
        link.sent.add(bytes);
        // Of several questions that are under way, the first is answered first.
        if asks && link.asked.is_none_or(|asked| asked.elapsed() > LOST) {
            link.asked = Some(Instant::now());
        }
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.refused[refusal as usize] += 1;
    }

    /// What is counted, by the relay's place.
    pub(super) fn links(&self) -> &[Link] {
        &self.links
    }

    /// What was ignored, by its reason.
    pub(super) fn refused(&self) -> impl Iterator<Item = (Refusal, u64)> {
        Refusal::ALL.into_iter().map(|refusal| (refusal, self.refused[refusal as usize]))
    }
}
