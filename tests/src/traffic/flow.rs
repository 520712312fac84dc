use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Result, anyhow};

use super::Echo;
use crate::{Family, Peer, deadline};

/// Time between two pings.
const INTERVAL: Duration = Duration::from_millis(20);

/// Steady pings during a change, which show whether it loses packets.
#[derive(Debug)]
pub struct Flow {
    stop: Arc<AtomicBool>,
    worker: JoinHandle<Result<(u64, u64)>>,
}

impl Flow {
    /// Starts to ping.
    pub fn start(from: &Peer, to: &Peer, family: Family) -> Result<Self> {
        let mut echo = Echo::between(from, to, family)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let worker = thread::spawn(move || {
            let (mut sent, mut answered) = (0, 0);
            while !stopped.load(Ordering::Relaxed) {
                sent += echo.send(1)?.packets;
                answered += echo.answers(0, Duration::ZERO)?;
                deadline::pass(INTERVAL);
            }
            answered += echo.answers(sent - answered, deadline::SETTLING)?;
            Ok((sent, answered))
        });
        Ok(Self { stop, worker })
    }

    /// Stops, waits for the last replies, and returns how many pings were sent and answered.
    pub fn stop(self) -> Result<(u64, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        self.worker.join().map_err(|_panic| anyhow!("the flow panicked"))?
    }
}
