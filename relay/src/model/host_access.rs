use std::fmt;

/// What peers may reach on the relay itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostAccess {
    /// Nothing.
    None,
    /// ICMP and ICMPv6 echo requests.
    Ping,
    /// Everything.
    All,
    /// Echo requests and these ports.
    Ports(Vec<Port>),
}

/// One transport port of the relay, as `tcp/22`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// TCP or UDP.
    pub transport: Transport,
    /// Host byte order.
    pub number: u16,
}

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.transport, self.number)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}
