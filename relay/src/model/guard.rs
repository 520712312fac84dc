use std::fmt;

/// The guard: an XDP program on the underlay that drops forged WireGuard messages before the kernel
/// spends time on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Its interfaces.
    pub interfaces: Underlay,
    /// Its XDP mode.
    pub mode: GuardMode,
    /// Handshake initiations a second that one source (an IPv4 address, an IPv6 /64) may send.
    pub initiations_per_second: u32,
    /// Handshake initiations that one source may send at once.
    pub burst: u32,
    /// Sources tracked at a time.
    pub sources: u32,
}

/// What the configuration means by an empty `[guard]`.
impl Default for Guard {
    fn default() -> Self {
        Self {
            interfaces: Underlay::Auto,
            mode: GuardMode::Auto,
            // 1,000 peers behind one address, which retry every 5 seconds (REKEY_TIMEOUT), are
            // connected well within a minute of an outage.
            initiations_per_second: 50,
            burst: 200,
            sources: 65_536,
        }
    }
}

/// Interfaces on which peers' UDP packets arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Underlay {
    /// Those of default routes in the main table.
    Auto,
    /// At least one, none twice.
    Named(Vec<String>),
}

/// XDP mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardMode {
    /// In the driver, or generic if the driver does not support XDP.
    Auto,
    /// In the driver, before there is an skb.
    Driver,
    /// In the kernel's network core, with any driver.
    Generic,
}

impl GuardMode {
    /// Its spelling in the configuration and in all output.
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
