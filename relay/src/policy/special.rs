use std::{net::IpAddr, sync::LazyLock};

use ipnet::IpNet;
use relay_common::leaf::Special;

use crate::model::{Relay, Selector, host_prefix};

/// Networks whose addresses have IPv4 addresses in them, to which translators and tunnels beyond the
/// relay lead: who may reach `::/0` may not thereby reach all of IPv4. In order: IPv4-compatible (RFC
/// 4291, section 2.5.5.1), Teredo (RFC 4380), 6to4 (RFC 3056), NAT64 (RFC 6052 and RFC 8215).
const TRANSLATED: [&str; 5] = ["::/96", "2001::/32", "2002::/16", "64:ff9b::/96", "64:ff9b:1::/48"];

/// Services that give a cloud's machine its credentials, at addresses that are not link-local: who
/// may reach `0.0.0.0/0` or `fd00::/8` may not thereby act as the relay's host, or as an exit. In
/// order: Alibaba, Oracle Cloud at Customer, Azure (its wire server); AWS for instances and for pods,
/// Google, Oracle, Alibaba, Akamai, Scaleway.
const METADATA: [&str; 10] = [
    "100.100.100.200/32",
    "192.0.0.192/32",
    "168.63.129.16/32",
    "fd00:ec2::254/128",
    "fd00:ec2::23/128",
    "fd20:ce::254/128",
    "fd00:c1::a9fe:a9fe/128",
    "fd00:100::100:200/128",
    "fd00:a9fe:a9fe::1/128",
    "fd00:42::42/128",
];

/// Networks that are special unless the configuration names them, or a part of them.
static UNLESS_NAMED: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    let prefixes = TRANSLATED.iter().chain(&METADATA);
    prefixes.map(|prefix| prefix.parse().expect("a prefix of the tables")).collect()
});

/// Networks that the configuration names.
fn named(relay: &Relay) -> impl Iterator<Item = IpNet> {
    let of_peers =
        relay.peers.iter().flat_map(|peer| peer.owned().chain(peer.allowed_ips.iter().copied()));
    let selectors = relay.rules.iter().flat_map(|rule| rule.from.iter().chain(&rule.to));
    let of_rules = selectors.filter_map(|selector| match selector {
        Selector::Prefix(prefix) => Some(*prefix),
        Selector::Any | Selector::Peer(_) | Selector::Group(_) => None,
    });
    of_peers.chain(of_rules).chain(relay.addresses.iter().copied())
}

/// Those of [`UNLESS_NAMED`] of which the configuration names nothing.
fn unnamed(relay: &Relay) -> Vec<IpNet> {
    let mut unnamed = UNLESS_NAMED.clone();
    for named in named(relay) {
        unnamed.retain(|network| !network.contains(&named));
    }
    unnamed
}

/// Networks that nobody can own, those of translated IPv4 and metadata services that nobody names,
/// and addresses of the relay. These come last, so that they win over a special network of the same
/// prefix.
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
    let unnamed = unnamed(relay).into_iter().map(|network| (network, Special::Reserved));
    let networks = PARSED.iter().copied().chain(unnamed);
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
    use crate::model::{Peer, PublicKey, Rule};

    fn net(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    /// A relay with one peer, which owns everything.
    fn with_exit() -> Relay {
        let mut relay = Relay::new("relay0".parse().expect("a name"));
        let key = PublicKey::from_bytes([1; 32]);
        relay.peers.push(Peer::new("exit".parse().expect("a name"), key));
        relay.peers[0].routes = vec![net("0.0.0.0/0"), net("::/0")];
        relay
    }

    fn is_special(relay: &Relay, address: &str) -> bool {
        let address: IpAddr = address.parse().expect("an address");
        specials(relay).iter().any(|(network, _)| network.contains(&address))
    }

    fn metadata() -> Vec<&'static str> {
        METADATA.iter().filter_map(|prefix| Some(prefix.split_once('/')?.0)).collect()
    }

    #[test]
    fn metadata_services_are_special_and_their_neighbours_are_not() {
        let mut relay = with_exit();
        // These contain some of them.
        relay.addresses = vec![net("100.64.0.1/10"), net("fd00::1/16")];
        relay.peers[0].allowed_ips = vec![net("0.0.0.0/0"), net("fd00:ec2::/32")];
        for address in metadata() {
            assert!(is_special(&relay, address), "{address}");
        }
        for address in ["100.100.100.201", "168.63.129.17", "192.0.0.191", "fd00:ec2::253"] {
            assert!(!is_special(&relay, address), "{address}");
        }
    }

    #[test]
    fn a_metadata_service_that_somebody_names_is_ordinary_and_the_others_are_not() {
        let name: [fn(&mut Relay, IpNet); 4] = [
            |relay, one| relay.peers[0].addresses.push(one.addr()),
            |relay, one| relay.peers[0].routes.push(one),
            |relay, one| relay.peers[0].allowed_ips.push(one),
            |relay, one| {
                let rule = Rule::new("named".parse().expect("a name"));
                relay.rules.push(Rule { to: vec![Selector::Prefix(one)], ..rule });
            },
        ];
        for name in name {
            for address in metadata() {
                let mut relay = with_exit();
                name(&mut relay, host_prefix(address.parse().expect("an address")));
                let ordinary: Vec<_> =
                    metadata().into_iter().filter(|it| !is_special(&relay, it)).collect();
                assert_eq!(ordinary, [address]);
            }
        }
    }

    #[test]
    fn translated_ipv4_is_special_unless_somebody_names_it() {
        let mut relay = with_exit();
        let translated =
            ["::192.0.2.1", "2001::1", "2002:c000:201::1", "64:ff9b::c000:201", "64:ff9b:1::1"];
        for address in translated {
            assert!(is_special(&relay, address), "{address}");
        }
        for address in ["2001:db8::1", "2003::1", "64:ff9b:2::1", "2a00::1"] {
            assert!(!is_special(&relay, address), "{address}");
        }
        relay.peers[0].routes.push(net("64:ff9b::/96"));
        relay.peers[0].allowed_ips.push(net("2002:c000:201::/48"));
        let still: Vec<_> =
            translated.into_iter().filter(|address| is_special(&relay, address)).collect();
        assert_eq!(still, ["::192.0.2.1", "2001::1", "64:ff9b:1::1"]);
    }
}
