use std::{fmt, net::IpAddr};

/// What a client's `DNS` line takes, in the order of the line (`wg-quick(8)`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Dns {
    /// A resolver.
    Resolver(IpAddr),
    /// A domain in which short names are looked up.
    Search(String),
}

impl fmt::Display for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolver(address) => address.fmt(f),
            Self::Search(domain) => f.pad(domain),
        }
    }
}
