use std::net::IpAddr;

use super::Dns;

/// Names of peers, answered on the relay's overlay addresses: the table `[names]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The domain of the names: lower case, without a final dot.
    pub zone: String,
    /// Resolvers that other questions go to. Without any, they are refused.
    pub forward: Vec<IpAddr>,
}

/// UDP and TCP port of DNS (RFC 1035, section 4.2).
pub const DNS_PORT: u16 = 53;

impl Names {
    /// What a client without `dns` of its own asks: the relay, in the families that the client has,
    /// with the zone for short names.
    pub fn client_dns(&self, relay: &[IpAddr], client: &[IpAddr]) -> Vec<Dns> {
        let has_family = |own: &&IpAddr| client.iter().any(|it| it.is_ipv4() == own.is_ipv4());
        let resolvers = relay.iter().filter(has_family).copied().map(Dns::Resolver);
        resolvers.chain([Dns::Search(self.zone.clone())]).collect()
    }
}
