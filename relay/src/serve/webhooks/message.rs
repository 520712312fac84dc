use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::time::Instant;

use crate::engine::Event;

/// An event on its way to one webhook.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The same for each try (`webhook-id`).
    pub(super) id: String,
    pub(super) event: Arc<Event>,
    /// When it began to wait.
    pub(super) since: Instant,
}

/// Makes ids that no other process and no other webhook has. They hold no `.`, which would end an id
/// in what is signed.
#[derive(Debug)]
pub(super) struct Ids {
    process: String,
    next: AtomicU64,
}

impl Ids {
    /// # Errors
    /// The system has no random numbers.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut random = [0; 12];
        getrandom::fill(&mut random)?;
        let process = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { process, next: AtomicU64::new(1) })
    }

    /// One that was not given before.
    pub(super) fn next(&self) -> String {
        format!("evt_{}_{}", self.process, self.next.fetch_add(1, Ordering::Relaxed))
    }
}
