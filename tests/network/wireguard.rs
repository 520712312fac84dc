//! WireGuard in the kernel, and the errors of a kernel without it.

use std::{
    net::UdpSocket,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use ipnet::IpNet;
use relay::{
    model::{InterfaceName, PresharedKey, PrivateKey, PublicKey},
    net::{
        self, NetError, address,
        link::{self, LinkKind},
        route,
    },
    wireguard::{self, Change, Desired, DesiredPeer, Device, WireguardError},
};
use relay_tests::skip::{self, Need};

use crate::namespace::{Namespace, namespaces};

const PORT: u16 = 51820;

#[test]
fn a_kernel_without_it_is_named_as_such() {
    if !skip::possible("wireguard_missing", &[Need::NoWireGuard]) {
        return;
    }
    let Some([host]) = namespaces("wireguard_missing") else { return };
    let error = create(&host).expect_err("no WireGuard");
    assert!(matches!(error, NetError::WireguardMissing { .. }), "{error}");
    assert!(error.is_lack());
    let error = read(&host).expect_err("no WireGuard");
    assert!(matches!(error, WireguardError::Unsupported), "{error}");
}

#[test]
fn a_thousand_peers_are_read_back_as_they_were_set() {
    let Some(host) = wireguard_host("thousand_peers") else { return };
    let key = PrivateKey::generate().expect("a key");
    let mut peers: Vec<DesiredPeer> = (0..1000).map(peer).collect();
    // Needs more than one netlink message to set and to dump; both families.
    peers[7].allowed_ips = (0..700).map(|number| prefix(70_000 + number)).collect();

    let applied = converge(&host, &key, PORT, peers.clone());
    assert_eq!(applied.len(), 1002);
    let device = observed(&host);
    assert_eq!(device.public_key, Some(key.public_key()));
    assert_eq!(device.listen_port, PORT);
    assert_eq!(device.peers.len(), 1000);
    assert_eq!(converge(&host, &key, PORT, peers.clone()), []);

    // Removes a peer, moves prefixes between two, changes a preshared key.
    peers.remove(3);
    let moved = peers[6].allowed_ips.split_off(350);
    peers[7].allowed_ips.extend(moved);
    peers[8].preshared_key = PresharedKey::from_bytes(&[9; 32]);
    let lines: Vec<String> =
        converge(&host, &key, PORT, peers.clone()).iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(converge(&host, &key, PORT, peers), []);
    let empty = converge(&host, &key, PORT, Vec::new());
    assert_eq!(empty.len(), 999);
    assert_eq!(observed(&host).peers, []);
}

/// As many as the kernel's own test (tools/testing/selftests/wireguard/netns.sh) gives one.
#[test]
fn a_peer_with_130_560_prefixes_is_read_back_as_it_was_set() {
    let Some(host) = wireguard_host("prefixes") else { return };
    let key = PrivateKey::generate().expect("a key");
    let mut large = peer(1);
    large.allowed_ips = (1..=130_560).map(prefix).collect();
    let peers = vec![large, peer(0)];
    converge(&host, &key, PORT, peers.clone());
    let device = observed(&host);
    let found: Vec<usize> = device.peers.iter().map(|peer| peer.allowed_ips.len()).collect();
    assert_eq!(found, [1, 130_560]);
    assert_eq!(converge(&host, &key, PORT, peers), []);
}

#[test]
fn what_is_read_while_peers_change_is_whole() {
    let Some(host) = wireguard_host("read_meanwhile") else { return };
    let key = PrivateKey::generate().expect("a key");
    let peers: Vec<DesiredPeer> = (0..200).map(peer).collect();
    converge(&host, &key, PORT, peers.clone());
    let before = observed(&host);
    let mut more = peers.clone();
    more.insert(100, peer(1_000));
    converge(&host, &key, PORT, more.clone());
    let after = observed(&host);
    let whole = [before.peers.clone(), after.peers];

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20 {
                converge(&host, &key, PORT, peers.clone());
                converge(&host, &key, PORT, more.clone());
            }
            converge(&host, &key, PORT, peers.clone());
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            match read(&host) {
                Ok(device) => assert!(whole.contains(&device.expect("an interface").peers)),
                Err(error) => {
                    assert!(matches!(error, WireguardError::Unstable { .. }), "{error}");
                }
            }
        }
    });
    assert_eq!(observed(&host), before);
}

#[test]
fn a_port_in_use_is_named_when_the_link_goes_up_and_when_a_running_one_changes_it() {
    let Some(host) = wireguard_host("port_in_use") else { return };
    let key = PrivateKey::generate().expect("a key");
    converge(&host, &key, PORT, vec![peer(1)]);
    let taken = host.run(|| UdpSocket::bind(("0.0.0.0", PORT)).expect("a socket"));
    let error = set_up(&host, PORT).expect_err("in use");
    assert!(matches!(error, NetError::PortInUse { port: PORT, .. }), "{error}");
    assert!(error.is_lack());
    drop(taken);
    set_up(&host, PORT).expect("free again");

    let _taken = host.run(|| UdpSocket::bind(("0.0.0.0", PORT + 1)).expect("a socket"));
    let before = observed(&host);
    let changes = plan(&host, &key, PORT + 1, Vec::new()).narrow;
    assert_eq!(changes.len(), 2);
    let error = apply(&host, changes).expect_err("in use");
    assert!(matches!(error, WireguardError::PortInUse { port, .. } if port == PORT + 1), "{error}");
    assert_eq!(observed(&host), before);
}

#[test]
fn the_link_is_made_down_with_its_mtu_and_made_once() {
    let Some(host) = wireguard_host("link_made") else { return };
    let found = host.block_on(|| async { link::read(&net::connect()?, &relay0()).await });
    let found = found.expect("read").expect("a link");
    assert_eq!((found.kind, found.mtu, found.up), (LinkKind::Wireguard, 1380, false));
    let error = create(&host).expect_err("there already");
    assert!(matches!(error, NetError::NameTaken { ref kind, .. } if kind == "wireguard"));
    host.block_on(|| async { link::set_mtu(&net::connect()?, &relay0(), 1280).await })
        .expect("another MTU");
    set_up(&host, PORT).expect("up");
    let found = host.block_on(|| async { link::read(&net::connect()?, &relay0()).await });
    let found = found.expect("read").expect("a link");
    assert_eq!((found.mtu, found.up, found.addresses), (1280, true, Vec::new()));
    let gone = host.block_on(|| async { link::delete(&net::connect()?, &relay0()).await });
    assert!(gone.expect("deleted"));
}

#[test]
fn in_the_order_of_up_it_gets_addresses_and_routes() {
    let Some(host) = wireguard_host("order_of_up") else { return };
    let key = PrivateKey::generate().expect("a key");
    converge(&host, &key, PORT, vec![peer(1)]);
    let addresses: Vec<IpNet> = ["10.3.2.1/24", "fd00::3:2:1/120"].map(net).to_vec();
    let routes: Vec<IpNet> = ["192.168.40.0/24", "fd40::/64"].map(net).to_vec();
    let wanted = addresses.clone();
    host.block_on(|| async move {
        let handle = net::connect()?;
        address::apply(&handle, &relay0(), &addresses).await?;
        link::set_up(&handle, &relay0(), PORT).await?;
        route::apply(&handle, &relay0(), &routes).await?;
        // A second plan is empty.
        assert_eq!(route::plan(&relay0(), &routes, &route::read(&handle).await?)?, []);
        let link = link::read(&handle, &relay0()).await?.expect("a link");
        assert_eq!((link.up, link.addresses), (true, wanted));
        Ok::<(), NetError>(())
    })
    .expect("applied");
    let listing = host.ip("route get 192.168.40.7");
    assert!(listing.contains("dev relay0 src 10.3.2.1"), "{listing}");
    let listing = host.ip("-6 route get fd40::7");
    assert!(listing.contains("dev relay0"), "{listing}");
}

#[test]
fn nothing_is_created_by_reading_or_applying() {
    let Some(host) = wireguard_host("not_created") else { return };
    host.ip("link del relay0");
    assert_eq!(read(&host).expect("read"), None);
    let changes = vec![Change::ListenPort { previous: None, port: PORT }];
    let error = apply(&host, changes).expect_err("no interface");
    assert!(matches!(error, WireguardError::NoInterface { .. }), "{error}");
    assert!(!host.ip("link").contains("relay0"));
}

fn wireguard_host(test: &str) -> Option<Namespace> {
    let [host] = namespaces(test)?;
    if !skip::possible_here(test, &[Need::WireGuard]) {
        return None;
    }
    create(&host).expect("WireGuard in the kernel");
    Some(host)
}

fn create(host: &Namespace) -> Result<(), NetError> {
    host.block_on(|| async { link::create(&net::connect()?, &relay0(), 1380).await })
}

fn set_up(host: &Namespace, port: u16) -> Result<(), NetError> {
    host.block_on(move || async move { link::set_up(&net::connect()?, &relay0(), port).await })
}

fn read(host: &Namespace) -> Result<Option<Device>, WireguardError> {
    host.run(|| wireguard::read(&relay0()))
}

fn observed(host: &Namespace) -> Device {
    read(host).expect("read").expect("an interface")
}

fn plan(host: &Namespace, key: &PrivateKey, port: u16, peers: Vec<DesiredPeer>) -> wireguard::Plan {
    let desired = Desired::new(key, port, peers).expect("no peer has the relay's key");
    wireguard::plan(&desired, Some(&observed(host)))
}

fn apply(host: &Namespace, changes: Vec<Change>) -> Result<(), WireguardError> {
    host.run(move || wireguard::apply(&relay0(), &changes))
}

fn converge(host: &Namespace, key: &PrivateKey, port: u16, peers: Vec<DesiredPeer>) -> Vec<Change> {
    let plan = plan(host, key, port, peers);
    let changes = plan.changes().cloned().collect();
    apply(host, plan.narrow).expect("narrowed");
    apply(host, plan.widen).expect("widened");
    changes
}

fn peer(number: u32) -> DesiredPeer {
    let mut bytes = [1; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    DesiredPeer {
        keepalive: None,
        name: format!("peer-{number}").parse().expect("a name"),
        public_key: PublicKey::from_bytes(bytes),
        preshared_key: number.is_multiple_of(3).then(|| PresharedKey::from_bytes(&bytes)).flatten(),
        allowed_ips: vec![prefix(number)],
    }
}

fn prefix(number: u32) -> IpNet {
    let [_, a, b, c] = number.to_be_bytes();
    let text = if number.is_multiple_of(2) {
        format!("10.{a}.{b}.{c}/32")
    } else {
        format!("fd00::{a:x}:{b:x}:{c:x}/128")
    };
    net(&text)
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

fn relay0() -> InterfaceName {
    "relay0".parse().expect("a name")
}
