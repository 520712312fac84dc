//! What is known of a packet between the steps of the decision by rules.

use relay_common::{
    Reason,
    flow::{Key, Packet, Passed},
    rules::Directions,
};

/// A packet that rules decide about, as one step of [`crate::ruled`] leaves it for the next.
#[derive(Clone, Copy)]
pub struct Seen {
    /// What was read of it, or of the packet that it quotes.
    pub packet: Packet,
    /// The rule sets between source and destination of that.
    pub directions: Directions,
    /// What the decision is about.
    pub subject: Subject,
    /// The key of its datagram, if it is a fragment.
    pub datagram: Key,
    /// Offset of a later fragment; of the first one, from where on later ones may follow.
    pub offset: u32,
    /// [`code`] of the verdict.
    pub verdict: u32,
    /// [`code`] of what a router says about it.
    pub leaving: u32,
    /// How it passes.
    pub passed: Passed,
    /// Packets and bytes on the wire.
    pub on_the_wire: (u64, u64),
    /// Slots that it counts for, once it is counted.
    pub counted: [u32; 2],
}

impl Seen {
    /// Slots of sender and receiver.
    #[inline(always)]
    pub fn slots(&self) -> [u32; 2] {
        let (source, destination) = (self.packet.source, self.packet.destination);
        match self.subject {
            // The error goes the other way than what it quotes.
            Subject::Quoted => [destination, source],
            Subject::Whole | Subject::First | Subject::Later => [source, destination],
        }
    }
}

/// What a decision is about.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Subject {
    /// A packet.
    Whole,
    /// The first fragment of a datagram.
    First,
    /// Another fragment.
    Later,
    /// The packet that an ICMP error quotes.
    Quoted,
}

/// A verdict as a number.
#[inline(always)]
pub const fn code(verdict: Result<(), Reason>) -> u32 {
    match verdict {
        Ok(()) => 0,
        Err(reason) => reason.index() + 1,
    }
}

/// The verdict of a number.
#[inline(always)]
pub fn decoded(code: u32) -> Result<(), Reason> {
    match code.checked_sub(1) {
        None => Ok(()),
        Some(index) => Err(Reason::from_index(index).unwrap_or(Reason::Inconsistent)),
    }
}
