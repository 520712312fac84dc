use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{super::update::Update, *};
use crate::model::{PresharedKey, PrivateKey};

#[test]
fn a_new_interface_gets_everything() {
    let key = private_key(1);
    let desired = desired(&key, vec![peer("node-b", 2, Some(9), &["10.3.2.3/32"])]);
    assert_eq!(
        texts(&plan(&desired, None)),
        [
            "+ listen port 51820",
            "+ private key (public key pOCSkrZRwni5dyxWn1+puxPZBrRqtoyd+dwrRAn4ogk=)",
            "+ peer node-b (10.3.2.3/32)",
        ]
    );
}

#[test]
fn every_kind_of_change_has_its_text_and_its_half() {
    let key = private_key(1);
    let mut device = device(
        &key,
        &[
            peer("same", 2, None, &["10.0.0.2/32"]),
            peer("gone", 3, None, &["10.0.0.3/32"]),
            peer("changed", 4, Some(7), &["10.0.0.4/32", "10.0.4.0/24"]),
        ],
    );
    device.listen_port = 51821;
    let desired = desired(
        &key,
        vec![
            peer("same", 2, None, &["10.0.0.2/32"]),
            peer("changed", 4, Some(8), &["10.0.0.4/32", "10.0.5.0/24"]),
            peer(
                "many",
                5,
                None,
                &["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24", "10.4.0.0/24", "10.5.0.0/24"],
            ),
        ],
    );
    let plan = plan(&desired, Some(&device));
    let lines: Vec<String> = plan.narrow.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "~ listen port 51821 → 51820",
            "~ peer changed: allowed IPs - 10.0.4.0/24",
            "- peer AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=",
        ]
    );
    let lines: Vec<String> = plan.widen.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "~ peer changed: preshared key",
            "~ peer changed: allowed IPs + 10.0.5.0/24",
            "+ peer many (10.1.0.0/24, 10.2.0.0/24, 10.3.0.0/24, 10.4.0.0/24 and 1 more)",
        ]
    );
}

#[test]
fn a_moving_prefix_is_removed_before_it_is_added() {
    let key = private_key(1);
    let device =
        device(&key, &[peer("a", 2, None, &["10.0.0.0/24"]), peer("b", 3, None, &["10.0.1.0/24"])]);
    let desired = desired(
        &key,
        vec![peer("a", 2, None, &[]), peer("b", 3, None, &["10.0.0.0/24", "10.0.1.0/24"])],
    );
    assert_eq!(
        texts(&plan(&desired, Some(&device))),
        ["~ peer a: allowed IPs - 10.0.0.0/24", "~ peer b: allowed IPs + 10.0.0.0/24"]
    );
}

#[test]
fn a_foreign_endpoint_or_keepalive_is_left_alone() {
    let key = private_key(1);
    let mut device = device(&key, &[peer("a", 2, None, &["10.0.0.2/32"])]);
    device.fwmark = 7;
    device.peers[0].endpoint = Some(([192, 0, 2, 1], 51820).into());
    device.peers[0].persistent_keepalive = Some(25);
    let desired = desired(&key, vec![peer("a", 2, None, &["10.0.0.2/32"])]);
    assert!(plan(&desired, Some(&device)).is_empty());
}

#[test]
fn host_bits_order_and_repetition_are_no_difference() {
    let key = private_key(1);
    let device = device(&key, &[peer("a", 2, None, &["10.0.0.0/24", "fd00::/64"])]);
    let desired =
        desired(&key, vec![peer("a", 2, None, &["fd00::7/64", "10.0.0.9/24", "10.0.0.0/24"])]);
    assert!(plan(&desired, Some(&device)).is_empty());
}

#[test]
fn a_peer_with_the_relay_s_own_key_is_an_error() {
    let key = private_key(1);
    let own = DesiredPeer { public_key: key.public_key(), ..peer("mirror", 2, None, &[]) };
    let error = Desired::new(&key, 51820, vec![own]).expect_err("its own peer");
    assert!(error.to_string().starts_with("peer mirror has the relay's own public key"));
}

#[test]
fn no_text_contains_a_secret() {
    let key = private_key(1);
    let desired = desired(&key, vec![peer("a", 2, Some(9), &["10.0.0.2/32"])]);
    let device = device(&private_key(3), &[peer("a", 2, None, &[])]);
    let plan = plan(&desired, Some(&device));
    let shown = format!("{plan:?} {:?} {}", desired, texts(&plan).join("\n"));
    let preshared = PresharedKey::from_bytes(&[9; 32]).expect("a key");
    assert!(shown.contains("(hidden)"));
    assert!(!shown.contains(key.to_base64().as_str()));
    assert!(!shown.contains(preshared.to_base64().as_str()));
}

proptest! {
    #[test]
    fn an_applied_plan_gives_the_desired_interface_and_then_an_empty_plan(
        old in layout(), new in layout(), fresh: bool,
    ) {
        let key = private_key(1);
        let desired = desired(&key, new.clone());
        let observed = (!fresh).then(|| device(&private_key(1), &old));
        let plan = plan(&desired, observed.as_ref());

        let mut kernel = Kernel::of(observed.as_ref());
        kernel.apply(&plan.narrow, |_, _| {});
        kernel.apply(&plan.widen, |_, _| {});
        prop_assert_eq!(&kernel.owners(), &owners(&desired.peers));
        let again = super::plan(&desired, Some(&kernel.device()));
        prop_assert!(again.is_empty(), "{:?}", texts(&again));
    }

    #[test]
    fn between_the_halves_a_prefix_has_the_same_owner_as_before_and_after(
        old in layout(), new in layout(),
    ) {
        let key = private_key(1);
        let desired = desired(&key, new.clone());
        let device = device(&key, &old);
        let plan = plan(&desired, Some(&device));
        let (before, after) = (owners(&old), owners(&desired.peers));

        let mut kernel = Kernel::of(Some(&device));
        kernel.apply(&plan.narrow, |prefix, owner| {
            assert_eq!(before.get(&prefix), Some(&owner), "narrowing gave {prefix} away");
        });
        for (prefix, owner) in kernel.owners() {
            prop_assert_eq!(before.get(&prefix), Some(&owner));
            prop_assert_eq!(after.get(&prefix), Some(&owner));
        }
        kernel.apply(&plan.widen, |prefix, owner| {
            assert_eq!(after.get(&prefix), Some(&owner), "widening gave {prefix} wrongly");
        });
    }

    #[test]
    fn an_unchanged_peer_is_in_no_change(old in layout(), new in layout()) {
        let key = private_key(1);
        let desired = desired(&key, new);
        let device = device(&key, &old);
        let plan = plan(&desired, Some(&device));
        let touched: BTreeSet<PublicKey> = [&plan.narrow, &plan.widen]
            .into_iter()
            .flat_map(|half| Update::of(half).peers)
            .map(|peer| peer.public_key)
            .collect();
        for wanted in &desired.peers {
            let same = device.peers.iter().any(|present| {
                present.public_key == wanted.public_key
                    && present.preshared_key == wanted.preshared_key
                    && present.allowed_ips == wanted.allowed_ips
            });
            prop_assert_eq!(touched.contains(&wanted.public_key), !same);
        }
    }
}

/// WG_CMD_SET_DEVICE as in drivers/net/wireguard/netlink.c.
struct Kernel {
    public_key: Option<PublicKey>,
    listen_port: u16,
    peers: BTreeMap<PublicKey, (Option<PresharedKey>, BTreeSet<IpNet>)>,
}

impl Kernel {
    fn of(device: Option<&Device>) -> Self {
        let peers = device.into_iter().flat_map(|device| &device.peers);
        Self {
            public_key: device.and_then(|device| device.public_key),
            listen_port: device.map_or(0, |device| device.listen_port),
            peers: peers
                .map(|peer| {
                    let prefixes = peer.allowed_ips.iter().copied().collect();
                    (peer.public_key, (peer.preshared_key.clone(), prefixes))
                })
                .collect(),
        }
    }

    /// Applies the changes peer by peer; `gave` is called with each added prefix.
    fn apply(&mut self, changes: &[Change], gave: impl Fn(IpNet, PublicKey)) {
        let update = Update::of(changes);
        if let Some(port) = update.listen_port {
            self.listen_port = port;
        }
        if let Some(key) = update.private_key {
            self.public_key = Some(key.public_key());
        }
        for request in update.peers {
            if request.remove {
                self.peers.remove(&request.public_key);
                continue;
            }
            let (preshared_key, prefixes) = self.peers.entry(request.public_key).or_default();
            if let Some(key) = request.preshared_key {
                *preshared_key = key.cloned();
            }
            if request.replace {
                prefixes.clear();
            }
            for prefix in request.allowed_ips {
                for (_, others) in self.peers.values_mut() {
                    others.remove(prefix);
                }
                if let Some((_, prefixes)) = self.peers.get_mut(&request.public_key) {
                    prefixes.insert(*prefix);
                }
                gave(*prefix, request.public_key);
            }
        }
    }

    fn owners(&self) -> BTreeMap<IpNet, PublicKey> {
        let peers = self.peers.iter();
        peers.flat_map(|(key, (_, nets))| nets.iter().map(|net| (*net, *key))).collect()
    }

    fn device(&self) -> Device {
        Device {
            public_key: self.public_key,
            listen_port: self.listen_port,
            fwmark: 0,
            peers: self
                .peers
                .iter()
                .map(|(key, (preshared_key, prefixes))| DevicePeer {
                    preshared_key: preshared_key.clone(),
                    allowed_ips: prefixes.iter().copied().collect(),
                    ..DevicePeer::new(*key)
                })
                .collect(),
        }
    }
}

/// Up to six peers with disjoint prefixes; layouts share keys and prefixes.
fn layout() -> impl Strategy<Value = Vec<DesiredPeer>> {
    let peer = (prop::option::of(8u8..10), any::<bool>());
    let peers = prop::collection::btree_map(2u8..8, peer, 0..6);
    let prefixes = prop::collection::btree_map(0u16..400, 0usize..6, 0..350);
    (peers, prefixes).prop_map(|(peers, prefixes)| {
        let mut layout: Vec<DesiredPeer> = peers
            .into_iter()
            .map(|(key, (preshared, _))| peer_owning(key, preshared, Vec::new()))
            .collect();
        for (number, owner) in prefixes {
            let count = layout.len();
            if let Some(peer) = layout.get_mut(owner % count.max(1)) {
                peer.allowed_ips.push(prefix(number));
            }
        }
        layout
    })
}

fn prefix(number: u16) -> IpNet {
    let [high, low] = number.to_be_bytes();
    let text = match number % 2 {
        0 => format!("10.{high}.{low}.0/24"),
        _ => format!("fd00:{number:x}::/32"),
    };
    text.parse().expect("a prefix")
}

fn owners(peers: &[DesiredPeer]) -> BTreeMap<IpNet, PublicKey> {
    peers
        .iter()
        .flat_map(|peer| peer.allowed_ips.iter().map(|prefix| (*prefix, peer.public_key)))
        .collect()
}

fn private_key(byte: u8) -> PrivateKey {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode([byte; 32]).parse().expect("a key")
}

fn desired(key: &PrivateKey, peers: Vec<DesiredPeer>) -> Desired<'_> {
    Desired::new(key, 51820, peers).expect("no peer has the relay's key")
}

fn peer(name: &str, key: u8, preshared: Option<u8>, allowed: &[&str]) -> DesiredPeer {
    let allowed = allowed.iter().map(|text| text.parse().expect("a prefix")).collect();
    DesiredPeer { name: name.parse().expect("a name"), ..peer_owning(key, preshared, allowed) }
}

fn peer_owning(key: u8, preshared: Option<u8>, allowed_ips: Vec<IpNet>) -> DesiredPeer {
    DesiredPeer {
        name: format!("peer-{key}").parse().expect("a name"),
        public_key: PublicKey::from_bytes([key; 32]),
        preshared_key: preshared.and_then(|byte| PresharedKey::from_bytes(&[byte; 32])),
        allowed_ips,
        keepalive: None,
    }
}

fn device(key: &PrivateKey, peers: &[DesiredPeer]) -> Device {
    let peers = peers.iter().map(|peer| {
        let mut allowed_ips = peer.allowed_ips.clone();
        allowed_ips.sort_unstable();
        let preshared_key = peer.preshared_key.clone();
        DevicePeer { preshared_key, allowed_ips, ..DevicePeer::new(peer.public_key) }
    });
    Device {
        public_key: Some(key.public_key()),
        listen_port: 51820,
        fwmark: 0,
        peers: peers.collect(),
    }
}

fn texts(plan: &Plan) -> Vec<String> {
    plan.changes().map(ToString::to_string).collect()
}
