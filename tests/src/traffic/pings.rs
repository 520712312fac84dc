use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Result, anyhow};

use super::{Echo, silence::Silence};
use crate::{Namespace, deadline};

/// Time between two requests.
const INTERVAL: Duration = Duration::from_millis(10);

/// Echo requests, sent until stopped.
#[derive(Debug)]
pub struct Pings {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    worker: JoinHandle<Result<Answered>>,
}

/// What became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// How many were sent.
    pub sent: u64,
    /// How many were answered.
    pub answers: u64,
    /// The longest time without an answer.
    pub silence: Duration,
}

impl Pings {
    /// Begins to ask `target` from `source` in `from`.
    pub fn start(from: &Namespace, source: IpAddr, target: IpAddr) -> Result<Self> {
        let echo = Echo::open(from, source, target)?;
        let (stop, answered) = (Arc::default(), Arc::default());
        let its = (Arc::clone(&stop), Arc::clone(&answered));
        let worker = thread::spawn(move || ask(echo, &its.0, &its.1));
        Ok(Self { stop, answered, worker })
    }

    /// How many answers have come so far.
    pub fn answers(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Stops, and waits for the last answers unless there were none.
    pub fn stop(self) -> Result<Answered> {
        self.stop.store(true, Ordering::Relaxed);
        self.worker.join().map_err(|_panic| anyhow!("the sender of pings panicked"))?
    }
}

fn ask(mut echo: Echo, stop: &AtomicBool, answered: &AtomicU64) -> Result<Answered> {
    let mut silence = Silence::begin();
    let (mut sent, mut answers) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        // Without a route there is an error, which is an answer that does not come.
        drop(echo.send(1));
        sent += 1;
        deadline::pass(INTERVAL);
        let new = echo.answers(0, Duration::ZERO)?;
        if new > 0 {
            silence.broken();
            answers += new;
            answered.store(answers, Ordering::Relaxed);
        }
    }
    silence.end();
    if answers > 0 {
        answers += echo.answers(sent - answers, deadline::SETTLING)?;
    }
    Ok(Answered { sent, answers, silence: silence.longest() })
}
