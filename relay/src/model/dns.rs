use std::{fmt, net::IpAddr};

/// One value of a client's `DNS` line (`wg-quick(8)`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Dns {
    /// A resolver.
    Resolver(IpAddr),
    /// A search domain for short names.
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
