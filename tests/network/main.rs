//! `relay::net` and `relay::wireguard` on this machine's kernel, in network namespaces.

mod addressing;
mod fence;
mod firewalls;
mod inbound;
mod marks;
mod namespace;
mod wireguard;
