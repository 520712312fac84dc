//! What is known of a packet from a peer between the steps of the decision.

use relay_common::{Reason, probe, verdict::Verdict};

/// A packet about which lists and the host's routing decide, as one step of [`crate::ingress`] leaves
/// it for the next.
#[derive(Clone, Copy)]
pub struct Judged {
    /// Slot that it counts under.
    pub source: u32,
    /// Slot of its destination.
    pub destination: u32,
    /// [`probe::encode`] of the verdict.
    pub verdict: u32,
    /// Whether it is an ICMP error for which the host's routing matters.
    pub is_error_to_host: bool,
    /// Packets and bytes on the wire.
    pub on_the_wire: (u64, u64),
}

impl Judged {
    /// The verdict.
    ///
    /// # Errors
    /// Why the packet is dropped.
    #[inline(always)]
    pub fn decoded(&self) -> Result<Verdict, Reason> {
        probe::decode(self.verdict).unwrap_or(Err(Reason::Inconsistent))
    }
}
