//! The kernel's WireGuard interface: read it, compare it with the configuration, apply the difference.
//!
//! [`read`] and [`apply`] use generic netlink in the network namespace of the calling thread; [`plan`]
//! is pure. A dump contains the private key, for any reader with CAP_NET_ADMIN; what is read into is
//! wiped. Changes go through the netlink crate, whose key type can be printed, so it and all values that
//! contain it stay in this module and are never formatted.

mod answer;
mod apply;
mod change;
mod desired;
mod device;
mod error;
mod netlink;
mod plan;
mod update;

pub use apply::{apply, remove_peers};
pub use change::Change;
pub use desired::{Desired, DesiredPeer};
pub use device::{Device, DevicePeer, read};
pub use error::WireguardError;
pub use plan::{Plan, plan};
