//! The kernel's WireGuard interface: read it, compare it with the configuration, change what
//! differs.
//!
//! [`read`] and [`apply`] speak generic netlink in the network namespace of the calling thread;
//! [`plan`] between them is pure. The netlink crate's key type prints itself, so it and everything
//! that holds it stay inside this module and are never formatted. Its own buffers are not wiped:
//! a kernel dump hands the private key to any reader with CAP_NET_ADMIN, and that copy lives until
//! the allocator reuses it.

mod apply;
mod change;
mod device;
mod error;
mod plan;
mod update;

pub use apply::apply;
pub use change::Change;
pub use device::{Device, DevicePeer, read};
pub use error::WireguardError;
pub use plan::{Desired, DesiredPeer, Plan, plan};
