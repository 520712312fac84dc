use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
};

use super::{EventType, WebhookName};

/// A server that is told what happens to the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its name.
    pub name: WebhookName,
    /// Where requests go.
    pub url: WebhookUrl,
    /// File with the secret that requests are signed with.
    pub secret_file: PathBuf,
    /// What it is told, none twice.
    pub events: Vec<EventType>,
}

/// Where requests go. `Display` and `Debug` leave out path and query, which often hold a token.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    /// Whether it is https. Otherwise it is http, and the host a loopback address or `localhost`.
    pub is_tls: bool,
    /// A DNS name, or an IP address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Path and query; begins with `/`.
    pub target: String,
}

impl Webhook {
    /// What it is told unless it says otherwise: all but dropped packets, which may be many.
    pub fn default_events() -> impl Iterator<Item = EventType> {
        EventType::ALL.into_iter().filter(|event| *event != EventType::PacketDropped)
    }
}

impl WebhookUrl {
    /// Host and port as a `Host` header has them (RFC 9110, section 7.2).
    pub fn authority(&self) -> String {
        let Self { is_tls, host, port, .. } = self;
        let host = match host.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => host.clone(),
        };
        match (is_tls, port) {
            (true, 443) | (false, 80) => host,
            (true | false, port) => format!("{host}:{port}"),
        }
    }

    /// The host, if it is an IP address.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
