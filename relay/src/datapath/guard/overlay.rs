//! The overlay as data of the guard, which drops messages from there.

use aya::maps::{
    Map,
    lpm_trie::{Key, LpmTrie},
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use relay_common::names;

use super::super::DatapathError;

/// The value of [`names::GUARD_GLANCE`]. What the fast path passes is certainly not from the overlay;
/// a block larger than the overlay costs the full decision.
pub(super) fn glance(port: u16, overlay: &[IpNet]) -> [u32; 5] {
    let v4 = overlay.iter().filter_map(|net| match net {
        IpNet::V4(net) => Some(*net),
        IpNet::V6(_) => None,
    });
    let v6 = overlay.iter().filter_map(|net| match net {
        IpNet::V6(net) => Some(*net),
        IpNet::V4(_) => None,
    });
    let in_header = |number: u32| u32::from_ne_bytes(number.to_be_bytes());
    // No address masked by 0 has this value.
    let (network, mask) = block(v4)
        .map_or((u32::MAX, 0), |block| (u32::from(block.network()), u32::from(block.netmask())));
    // The first word of multicast addresses, which are no sources.
    let (first, is_wide) = first_word(v6).unwrap_or((u32::MAX, false));
    let port = port.to_be().into();
    let port_v6 = if is_wide { names::NO_PORT } else { port };
    [port, in_header(network), in_header(mask), in_header(first), port_v6]
}

/// Fills [`names::GUARD_OVERLAY`].
pub(super) fn fill(map: &mut Map, overlay: &[IpNet]) -> Result<(), DatapathError> {
    let failed = || DatapathError::map(names::GUARD_OVERLAY, "fill");
    let mut trie = LpmTrie::<_, [u8; 16], u32>::try_from(map).map_err(failed())?;
    for net in overlay {
        let key = match net {
            IpNet::V4(net) => {
                Key::new(96 + u32::from(net.prefix_len()), net.network().to_ipv6_mapped().octets())
            }
            IpNet::V6(net) => Key::new(net.prefix_len().into(), net.network().octets()),
        };
        trie.insert(&key, 1, 0).map_err(failed())?;
    }
    Ok(())
}

/// The smallest network that contains all of these.
fn block(networks: impl Iterator<Item = Ipv4Net>) -> Option<Ipv4Net> {
    networks.reduce(|around, net| {
        let mut around = around.trunc();
        while !around.contains(&net) {
            let Some(wider) = around.supernet() else { break };
            around = wider;
        }
        around
    })
}

/// The first word of the addresses in these networks, and whether there are several.
fn first_word(mut networks: impl Iterator<Item = Ipv6Net>) -> Option<(u32, bool)> {
    let word = |net: &Ipv6Net| {
        let [a, b, c, d, ..] = net.network().octets();
        u32::from_be_bytes([a, b, c, d])
    };
    let first = networks.next()?;
    let is_wide = first.prefix_len() < 32
        || networks.any(|net| net.prefix_len() < 32 || word(&net) != word(&first));
    Some((word(&first), is_wide))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().expect("a network")).collect()
    }

    #[test]
    fn the_fast_path_covers_the_whole_overlay() {
        let glance = |texts: &[&str]| {
            let [port, network, mask, first, port_v6] = glance(51820, &nets(texts));
            let is_wide = match port_v6 {
                names::NO_PORT => 1,
                other => i32::from(other != port) * 2,
            };
            let text = |word: u32| Ipv4Addr::from(word.to_ne_bytes()).to_string();
            format!("{} {} {} {is_wide}", text(network), text(mask), text(first))
        };
        assert_eq!(glance(&[]), "255.255.255.255 0.0.0.0 255.255.255.255 0");
        assert_eq!(glance(&["10.3.2.0/24", "fd00:1:2::/64"]), "10.3.2.0 255.255.255.0 253.0.0.1 0");
        assert_eq!(
            glance(&["10.3.2.0/24", "10.3.7.1/32", "fd00:1::/64", "fd00:1:9::/64"]),
            "10.3.0.0 255.255.248.0 253.0.0.1 0"
        );
        for wide in [&["fd00::/8"][..], &["fd00:1::/64", "fd00:2::/64"]] {
            assert!(glance(wide).ends_with(" 1"), "{wide:?}");
        }
        assert_eq!(glance(&["10.0.0.0/8", "192.168.0.0/16"]).split(' ').nth(1), Some("0.0.0.0"));
    }

    #[test]
    fn the_port_is_in_network_byte_order() {
        let [port, ..] = glance(51820, &[]);
        assert_eq!(port.to_ne_bytes()[..2], 51820u16.to_be_bytes());
    }
}
