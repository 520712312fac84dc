//! Whether the host's own firewall lets any packet in to a UDP port: its chains of hook input, read by
//! nf_tables netlink and evaluated for one kind of packet.

mod matching;
mod verdict;
mod xtables;

use super::{
    NetError,
    nftables::{Ruleset, Scope},
};
use verdict::{Packet, Version};

/// The chains that drop every packet to the port, by IP version; `None` if some packets may pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inbound {
    /// Over IPv4, as in `nft`: family, table, chain.
    pub v4: Option<String>,
    /// Over IPv6.
    pub v6: Option<String>,
}

impl Inbound {
    /// The finding as text; `None` if packets may pass. IPv6 counts only if the host has IPv6 addresses.
    pub fn describe(&self, port: u16, has_v6: bool) -> Option<String> {
        let (chains, over) = match (&self.v4, self.v6.as_ref().filter(|_| has_v6)) {
            (None, None) => return None,
            (Some(v4), None) => (format!("chain {v4}"), if has_v6 { " over IPv4" } else { "" }),
            (None, Some(v6)) => (format!("chain {v6}"), " over IPv6"),
            (Some(v4), Some(v6)) if v4 == v6 => (format!("chain {v4}"), ""),
            (Some(v4), Some(v6)) => (format!("chain {v4}, and {v6} over IPv6,"), ""),
        };
        Some(format!("{chains} drops every handshake to UDP port {port}{over}"))
    }
}

/// Finds a chain that drops the first packet of every sender to the port. A rule that accepts some of
/// them, or that is not understood, counts as accepting. Rules of iptables-legacy are not visible.
///
/// # Errors
/// The kernel has no nf_tables, the caller lacks permission, or the ruleset changed during each dump.
pub fn read(port: u16) -> Result<Inbound, NetError> {
    let ruleset = Ruleset::read(Scope::ALL)?;
    let barred = |version| verdict::barred(&ruleset, Packet { version, port });
    Ok(Inbound { v4: barred(Version::V4), v6: barred(Version::V6) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_chain_and_the_ip_version() {
        let text_of = |v4: &str, v6: &str, has_v6| {
            let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
            Inbound { v4: named(v4), v6: named(v6) }.describe(51820, has_v6).unwrap_or_default()
        };
        assert_eq!(text_of("", "", true), "");
        assert_eq!(text_of("", "ip6 filter INPUT", false), "");
        let text = "chain inet f in drops every handshake to UDP port 51820";
        assert_eq!(text_of("inet f in", "inet f in", true), text);
        assert_eq!(text_of("inet f in", "inet f in", false), text);
        assert_eq!(text_of("inet f in", "", true), format!("{text} over IPv4"));
        assert_eq!(
            text_of("ip filter INPUT", "ip6 filter INPUT", true),
            "chain ip filter INPUT, and ip6 filter INPUT over IPv6, drops every handshake to UDP \
             port 51820"
        );
    }
}
