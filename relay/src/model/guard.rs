use std::fmt;

/// The guard: an XDP program on the underlay that drops forged WireGuard messages before the
/// kernel spends anything on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Where it stands.
    pub interfaces: Underlay,
    /// How it is attached there.
    pub mode: GuardMode,
    /// Handshake initiations a second that one source (an IPv4 address, an IPv6 /64) may send.
    pub initiations_per_second: u32,
    /// Handshake initiations that one source may send at once.
    pub burst: u32,
    /// Sources that are kept in mind at a time.
    pub sources: u32,
}

/// Interfaces of the host over which peers dial in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Underlay {
    /// Those that a default route of the main table leads through.
    Auto,
    /// These; at least one, none twice.
    Named(Vec<String>),
}

/// Where in the host's receive path an XDP program is asked to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardMode {
    /// In the driver, or generic where the driver cannot.
    Auto,
    /// In the driver, before there is an skb.
    Driver,
    /// In the kernel's network core, whatever the driver.
    Generic,
}

impl GuardMode {
    /// Its word in the configuration and in every output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Driver => "driver",
            Self::Generic => "generic",
        }
    }
}

impl fmt::Display for GuardMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
