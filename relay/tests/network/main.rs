//! Links, addresses, routes, the fence and WireGuard on the machine's own kernel, in network
//! namespaces that exist for one test.

mod addressing;
mod fence;
mod inbound;
mod marks;
mod namespace;
mod wireguard;
