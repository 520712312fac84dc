//! The desired relay: validated values, without files, formats or the kernel.
//!
//! `config` makes a [`Relay`]; `policy`, `wireguard` and `net` derive from it. A peer's
//! `allowed_ips` are policy (whom it may talk to); the allowed IPs of the kernel's WireGuard peer are
//! `address` and `routes` (what it owns).

mod attached;
mod coverage;
mod dns;
mod event_type;
mod expectation;
mod guard;
mod host_access;
mod key;
mod limit;
mod lists;
mod mesh;
mod name;
mod names;
mod peer;
mod relay;
mod rule;
mod service;
mod sides;
mod signing_secret;
mod spans;
mod territory;
mod webhook;

pub use attached::{Classifier, Direction, XdpMode, XdpProgram};
pub use coverage::Coverage;
pub use dns::Dns;
pub use event_type::EventType;
pub use expectation::{End, Expectation};
pub use guard::{Guard, GuardMode, Underlay};
pub use host_access::{HostAccess, Port, Transport};
pub use key::{KeyError, PresharedKey, PrivateKey, PublicKey};
pub use limit::{Limits, Period, Quota, RATE_UNITS, Rate, SIZE_UNITS};
pub use lists::Lists;
pub use mesh::{Mesh, MeshRelay, Transit};
pub use name::{GroupName, InterfaceName, NameError, PeerName, RelayName, RuleName, WebhookName};
pub use names::{DNS_PORT, Names};
pub use peer::{Peer, host_prefix};
pub use relay::{ClientRoutes, Egress, Owners, Relay};
pub use rule::{Group, MAX_RULES, Rule, Selector};
pub use service::{PROTOCOLS, Service, Services};
pub use sides::Sides;
pub use signing_secret::{SecretError, SigningSecret};
pub use spans::{Span, Spans};
pub use territory::Territory;
pub use webhook::{Webhook, WebhookUrl};
