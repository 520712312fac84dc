use std::{net::IpAddr, sync::LazyLock};

use ipnet::IpNet;
use relay_common::leaf::Special;

use crate::model::{Relay, host_prefix};

/// Networks that nobody can own, and addresses of the relay. These come last, so that they win over
/// a special network of the same prefix.
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
    let networks = PARSED.iter().copied();
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
