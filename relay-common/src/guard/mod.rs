//! What the guard decides about WireGuard messages before the host's stack sees them.
//!
//! Kernel WireGuard queues every handshake message, 4 096 deep, before a worker looks at its MAC1.
//! The guard looks first: form, MAC1 against the relay's public key, and how many initiations a
//! source may send. What it does not understand, it passes untouched and uncounted.
//!
//! # What a flood cannot do
//!
//! **Without the relay's public key: take anything from a peer in whose name it is sent.** Only a
//! message whose MAC1 is right takes a token of its source or leaves anything in a table, so a
//! forged one costs the peer nothing. It costs the relay a MAC1, until ten thousand in a second
//! from one address *and* port were wrong ([`Suspicion`]). From then on one in sixteen is looked
//! at, a genuine one among them. That is the trade: exact up to the budget, cheap beyond it, and
//! never shut. Of a peer's initiations, sent every 5 s for as long as it has something to send,
//! are looked at, while forged ones come a second from
//!
//! | | 1 000 | 35 000 | 200 000 |
//! | --- | --- | --- | --- |
//! | another address or port | all | all | all |
//! | its address and port, data having come from there in the last five minutes | all | all | all |
//! | its address and port, before that | all | one in five | one in eleven |
//!
//! (Mean delays of the last row: none, 20 s, 50 s.) Budgets are kept in a table of fixed size by a
//! keyed hash: nobody is pushed out, and 1 in 65 536 shares another's place by chance.
//!
//! **With the key: shut a peer out.** The limit of a source is for those that do not spoof. Beyond
//! it one initiation in eight is let through by chance, whatever is sent beside it: a delay of 35 s
//! on average, at any rate of the flood, for a peer whose address is spoofed (and its port, if data
//! came from there; else its own bucket has a token every 2 s). Once that is load for the kernel it
//! answers with a cookie, and a message with a MAC2 is never limited.
//!
//! **With the key: push out confirmed flows.** Initiations are written down in a table of their
//! own, and of the flows that then send data no more are confirmed in five minutes than there is
//! room for.
//!
//! **Pass unseen.** Tags, IPv4 options and IPv6 extension headers are looked behind, and a frame
//! with too many for that is dropped. No handshake message is long enough to be fragmented: of a
//! datagram in fragments the first has to show that it is data, else the rest is not assembled.
//! Cookie replies, which only the kernel can judge and which share its queue, have one limit for
//! all sources but confirmed flows.
//!
//! **Turn the tunnel into itself.** A client whose address vanishes sends from its address in the
//! overlay for a moment. Taken for its endpoint, that would make the relay's answers go through the
//! tunnel that they are of. Messages from the overlay's addresses are dropped.
//!
//! # What the guard cannot do
//!
//! It has no session keys: that data is genuine it takes from where it comes and what came from
//! there before. Who knows the relay's public key can make as many initiations that pass as
//! addresses can be spoofed; the kernel's own limits hold behind it. It takes UDP to the relay's
//! port for the relay's, whatever the destination address.

mod extension;
mod flow;
mod limit;
mod mac1;
mod message;
mod outcome;
mod suspicion;

pub use extension::Extension;
pub use flow::{Attempt, CONFIRMED_FOR_NS, Flow, FlowKey, OWN, confirmations, is_confirmed};
pub use limit::{BY_CHANCE, Bucket, COOKIE_REPLIES, Limit, is_share, source_v4, source_v6};
pub use mac1::{Initiation, ROOM, Response, is_right, keyed};
pub use message::{
    COOKIE_REPLY_LEN, DATA, DATA_LEN_MIN, INITIATION_LEN, Kind, RESPONSE_LEN, is_handshake,
    is_sample, kind,
};
pub use outcome::Outcome;
pub use suspicion::{Suspicion, WRONG};

use bytemuck::{Pod, Zeroable};

/// What a guard is told by whoever loads it, beside the constants of its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Identity {
    /// Version of its layouts: [`crate::names::ABI_VERSION`].
    pub abi_version: u32,
    /// Zero.
    pub reserved: u32,
    /// Names the settings and the program: equal hashes behave alike.
    pub settings_hash: [u8; 16],
    /// The state of BLAKE2s after the block of the key of MAC1.
    pub mac1_state: [u32; 8],
}

const _: () = assert!(size_of::<Identity>() == 56);

/// Counts of one processor, by [`Outcome::index`]: two cache lines that no other writes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Counts([u64; 16]);

const _: () = assert!(size_of::<Counts>() == 128);
const _: () = assert!(Outcome::COUNT <= 16);
