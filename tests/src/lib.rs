//! The lab: a relay and its peers as network namespaces, with real kernel WireGuard between them
//! and a real NAT in front of every peer.
//!
//! ```text
//!   overlay    10.3.2.1  fd00::3:2:1           10.3.2.N  fd00::3:2:N
//!            ┌────────────────────┐          ┌─────────────────────┐
//!            │ relay              │          │ peer                │ × peers
//!            │  relay0 (relay up) │          │  NAME (wg-quick up) │
//!            │  eth0   192.0.2.1  │          │  eth0   192.168.N.2 │
//!            └─────────┬──────────┘          └──────────┬──────────┘
//!   underlay           │                                │
//!            ┌─────────┴──────────┐          ┌──────────┴──────────┐
//!            │  relay  192.0.2.254│          │  lan    192.168.N.1 │
//!            │ internet           ├──────────┤ nat (nft masquerade)│ × peers
//!            │  NAME 198.51.100.254          │  wan    198.51.100.N│
//!            └────────────────────┘          └─────────────────────┘
//! ```
//!
//! N is the last byte of the peer's overlay address. The internet has no routes to private addresses;
//! a NAT forwards only flows that began inside. All names contain the process id, so labs can run
//! side by side. Dropping the [`Lab`] removes everything, after a panic too.

pub mod bpffs;
pub mod clock;
pub mod deadline;
mod family;
pub mod fault;
pub mod footprint;
pub mod generations;
#[cfg(feature = "suites")]
pub mod guard;
pub mod inner;
mod lab;
mod ledger;
pub mod memory;
pub mod mesh;
pub mod namespace;
pub mod nat;
pub mod observed;
pub mod peer;
pub mod processor;
pub mod program_run;
pub mod relay_host;
mod scenario;
pub mod schema;
pub mod setting;
pub mod site;
pub mod skip;
pub mod stats;
mod tally;
pub mod traffic;
pub mod tun;
#[cfg(feature = "suites")]
pub mod tun_host;
pub mod wireguard_go;

pub use family::Family;
pub use lab::Lab;
pub use ledger::Ledger;
pub use mesh::MeshLab;
pub use namespace::Namespace;
pub use peer::Peer;
pub use relay_host::RelayHost;
pub use scenario::scenario;
pub use site::Site;
pub use tally::Tally;
