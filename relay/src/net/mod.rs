//! Links, addresses, routes and the netfilter fence, by netlink, in the network namespace in which
//! [`connect`] was called.
//!
//! Order of `up`: fence → link (down) → policy and peers → addresses → link up → routes, since the
//! kernel accepts routes only for a link that is up. Everything is changed by difference. Foreign
//! objects stay in place, or are an error.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "netlink sends more than was requested, and newer kernels more than its types cover"
)]

pub mod address;
mod attribute;
pub mod classifier;
mod error;
pub mod fence;
pub mod forwarding;
mod handle;
pub mod inbound;
pub mod link;
mod lookup;
pub mod marks;
mod news;
mod nftables;
pub mod route;
pub mod underlay;
pub mod veth;

pub use address::{host_addresses, host_addresses_beside};
pub use attribute::attributes;
pub use error::NetError;
pub use handle::{Handle, connect};
pub use news::News;
