//! The guard's decisions about WireGuard messages, before the host's stack sees them.
//!
//! Kernel WireGuard queues up to 4 096 handshake messages before a worker checks their MAC1. The
//! guard checks first: form, MAC1 against the relay's public key, and the rate of initiations from a
//! source. What it does not understand it passes, uncounted and unchanged.
//!
//! # What a flood cannot do
//!
//! **Without the relay's public key: take anything from a peer whose address it spoofs.** Only a
//! message with a valid MAC1 takes a token of its source or leaves an entry in a table, so a forged
//! one costs the peer nothing. It costs the relay one MAC1 check, until ten thousand in a second
//! from one address *and* port were invalid ([`Suspicion`]). From then on one in 24 is checked,
//! genuine ones among them. The trade: exact up to the budget, cheap beyond it, and never shut. A
//! peer sends an initiation every 5 s while it has something to send. While forged ones arrive every
//! second, of its initiations are checked:
//!
//! | forged ones come from | 1 000 | 35 000 | 200 000 |
//! | --- | --- | --- | --- |
//! | another address or port | all | all | all |
//! | its address and port, which sent data in the last five minutes | all | all | all |
//! | its address and port, before that | all | one in six | one in fifteen |
//!
//! (Mean delays in the last row: none, 24 s, 70 s.) Budgets are in a table of fixed size, indexed by
//! a keyed hash: nobody is evicted, and 1 in 65 536 shares another's place by chance.
//!
//! **With the key: shut a peer out.** The limit of a source is meant for senders that do not spoof.
//! Over the limit one initiation in eight passes at random, whatever else is sent: a delay of 35 s on
//! average, at any rate of the flood, for a peer whose address is spoofed (and its port, if data
//! came from there; otherwise its own bucket has a token every 2 s). Once the flood is load for
//! the kernel it answers with a cookie, and a message with a MAC2 is never limited.
//!
//! **With the key: evict confirmed flows.** Initiations have a table of their own, and of the flows
//! that then send data no more are confirmed in five minutes than fit.
//!
//! **Pass unseen.** The guard looks behind tags, IPv4 options and IPv6 extension headers, and drops
//! a frame with too many of them. No handshake message is long enough to be fragmented: the first
//! fragment of a datagram has to show that it is data, or the rest is not reassembled. Cookie
//! replies, which only the kernel can verify and which share its queue, have one limit for all
//! sources except confirmed flows.
//!
//! **Turn the tunnel into itself.** A client whose address vanishes sends from its overlay address
//! for a moment. If the kernel took that as its endpoint, the relay's answers would enter the tunnel
//! that they carry. Messages from overlay addresses are dropped.
//!
//! # What the guard cannot do
//!
//! It has no session keys: it infers that data is genuine from its address and port and from what
//! came from there before. Whoever knows the relay's public key can send as many passing initiations
//! as they can spoof addresses; the kernel's own limits apply behind the guard. It treats all UDP to
//! the relay's port as the relay's, whatever the destination address.

mod extension;
mod flow;
mod limit;
mod mac1;
mod message;
mod outcome;
mod suspicion;

pub use extension::Extension;
pub use flow::{Attempt, CONFIRMED_FOR_NS, Flow, FlowKey, OWN, confirmations, is_confirmed};
pub use limit::{BY_CHANCE, COOKIE_REPLIES, is_share, source_v4, source_v6};
pub use mac1::{Initiation, ROOM, Response, is_valid, keyed};
pub use message::{
    COOKIE_REPLY_LEN, DATA, DATA_LEN_MIN, INITIATION_LEN, Kind, RESPONSE_LEN, is_handshake,
    is_sample, kind,
};
pub use outcome::Outcome;
pub use suspicion::{Suspicion, WRONG};

use bytemuck::{Pod, Zeroable};

/// Identity of a loaded guard, and what its loader passes to it beside constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Identity {
    /// [`crate::names::ABI_VERSION`] of the loader.
    pub abi_version: u32,
    /// Zero.
    pub reserved: u32,
    /// Hash of settings and program: guards with equal hashes behave alike.
    pub settings_hash: [u8; 16],
    /// State of BLAKE2s after the block with the key of MAC1.
    pub mac1_state: [u32; 8],
}

const _: () = assert!(size_of::<Identity>() == 56);

/// Counts of one processor, by [`Outcome::index`]: two cache lines that no other processor writes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Counts([u64; 16]);

const _: () = assert!(size_of::<Counts>() == 128);
const _: () = assert!(Outcome::COUNT <= 16);
