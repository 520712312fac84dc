//! A packet that belongs to a use, between the steps of [`crate::usage`].

use relay_common::flow::Packet;

/// What was read of it.
#[derive(Clone, Copy)]
pub struct Part {
    /// The packet; its key counts for nothing.
    pub packet: Packet,
    /// Packets and bytes on the wire.
    pub on_the_wire: (u64, u64),
}
