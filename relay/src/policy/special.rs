use std::{net::IpAddr, sync::LazyLock};

use ipnet::IpNet;
use relay_common::leaf::Special;

use crate::model::{Relay, host_prefix};

/// Networks whose addresses have IPv4 addresses in them, to which translators and tunnels beyond the
/// relay lead: who may reach `::/0` may not thereby reach all of IPv4. In order: IPv4-compatible (RFC
/// 4291, section 2.5.5.1), Teredo (RFC 4380), 6to4 (RFC 3056), NAT64 (RFC 6052 and RFC 8215).
static TRANSLATED: LazyLock<[IpNet; 5]> = LazyLock::new(|| {
    ["::/96", "2001::/32", "2002::/16", "64:ff9b::/96", "64:ff9b:1::/48"]
        .map(|prefix| prefix.parse().expect("a prefix of the table"))
});

/// Networks that the configuration names.
fn named(relay: &Relay) -> impl Iterator<Item = &IpNet> {
    let of_peers = relay.peers.iter().flat_map(|peer| peer.routes.iter().chain(&peer.allowed_ips));
    of_peers.chain(&relay.addresses)
}

/// Networks that nobody can own, those of translated IPv4 that nobody names, and addresses of the
/// relay. These come last, so that they win over a special network of the same prefix.
pub(super) fn specials(relay: &Relay) -> Vec<(IpNet, Special)> {
    const NETWORKS: &[(&str, Special)] = &[
        ("0.0.0.0/8", Special::Reserved),
        ("127.0.0.0/8", Special::Reserved),
        ("169.254.0.0/16", Special::LinkLocal),
        ("224.0.0.0/4", Special::Multicast),
        ("240.0.0.0/4", Special::Reserved),
        ("255.255.255.255/32", Special::Broadcast),
        ("::/128", Special::Reserved),
        ("::1/128", Special::Reserved),
        ("::ffff:0:0/96", Special::Reserved),
        ("fe80::/10", Special::LinkLocal),
        ("ff00::/8", Special::Multicast),
    ];
    static PARSED: LazyLock<Vec<(IpNet, Special)>> = LazyLock::new(|| {
        let parse = |&(prefix, special): &(&str, Special)| {
            (prefix.parse().expect("a prefix of the table"), special)
        };
        NETWORKS.iter().map(parse).collect()
    });
    let translated =
        TRANSLATED.iter().filter(|network| !named(relay).any(|named| network.contains(named)));
    let networks =
        PARSED.iter().copied().chain(translated.map(|network| (*network, Special::Reserved)));
    let broadcasts = relay.addresses.iter().filter_map(|overlay| match overlay {
        IpNet::V4(net) if net.prefix_len() < 31 => Some([net.network(), net.broadcast()]),
        IpNet::V4(_) | IpNet::V6(_) => None,
    });
    let transit = relay.mesh.as_ref().map(|mesh| (mesh.network().into(), Special::Reserved));
    networks
        .chain(transit)
        .chain(
            broadcasts
                .flatten()
                .map(|address| (host_prefix(IpAddr::V4(address)), Special::Broadcast)),
        )
        .chain(relay.addresses.iter().map(|overlay| (host_prefix(overlay.addr()), Special::Host)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Peer, PublicKey};

    #[test]
    fn translated_ipv4_is_special_unless_somebody_names_it() {
        let mut relay = Relay::new("relay0".parse().expect("a name"));
        let key = PublicKey::from_bytes([1; 32]);
        relay.peers.push(Peer::new("exit".parse().expect("a name"), key));
        relay.peers[0].routes = vec!["::/0".parse().expect("a network")];
        let is_special = |relay: &Relay, address: &str| {
            let address: IpAddr = address.parse().expect("an address");
            specials(relay).iter().any(|(network, _)| network.contains(&address))
        };
        let translated =
            ["::192.0.2.1", "2001::1", "2002:c000:201::1", "64:ff9b::c000:201", "64:ff9b:1::1"];
        for address in translated {
            assert!(is_special(&relay, address), "{address}");
        }
        for address in ["2001:db8::1", "2003::1", "64:ff9b:2::1", "2a00::1"] {
            assert!(!is_special(&relay, address), "{address}");
        }
        relay.peers[0].routes.push("64:ff9b::/96".parse().expect("a network"));
        relay.peers[0].allowed_ips.push("2002:c000:201::/48".parse().expect("a network"));
        let still: Vec<_> =
            translated.into_iter().filter(|address| is_special(&relay, address)).collect();
        assert_eq!(still, ["::192.0.2.1", "2001::1", "64:ff9b:1::1"]);
    }
}
