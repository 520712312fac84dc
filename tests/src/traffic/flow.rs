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

/// Between two pings of a flow.
const INTERVAL: Duration = Duration::from_millis(20);

/// A steady flow of pings beside something else, to show whether that costs a packet.
#[derive(Debug)]
pub struct Flow {
    stop: Arc<AtomicBool>,
    worker: JoinHandle<Result<(u64, u64)>>,
}

impl Flow {
    /// Begins to ping.
    ///
    /// # Errors
    /// The socket could not be made.
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

    /// Ends it, waits for the last answers and gives how many pings were sent and answered.
    ///
    /// # Errors
    /// The socket failed.
    pub fn stop(self) -> Result<(u64, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        self.worker.join().map_err(|_panic| anyhow!("the flow panicked"))?
    }
}
