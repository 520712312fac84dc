//! Whatever configuration is in force, one `up` of another one is enough: after its steps nothing
//! differs.
//!
//! [`Kernel`] has what steps leave behind, as far as plans observe it. It applies the changes that the
//! steps contain, not what was desired.

use proptest::prelude::*;
use relay_common::{Generation, names::ABI_VERSION};

use super::super::{super::guard::Guarding, *};
use crate::{
    config::Secrets,
    datapath::{GuardHook, Taken, policy_hash},
    model::{Egress, Guard, GuardMode, HostAccess, Peer, PublicKey, Relay, Rule, Underlay},
    net::{
        fence::{Drops, FenceState},
        link::{Link, LinkKind},
        underlay::Chosen,
    },
    wireguard::{Change, Device, DevicePeer},
};

/// [1; 32] and [2; 32].
const PRIVATE_KEYS: [&str; 2] = [
    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
    "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=",
];

const ALIAS: &str = "relay /etc/relay/relay.toml";

proptest! {
    #[test]
    fn after_up_of_any_configuration_up_changes_nothing(a in configured(), b in configured()) {
        let mut kernel = Kernel::default();
        for configured in [&a, &b, &a] {
            let plan = configured.plan(&kernel);
            kernel.apply(configured, plan);
            let again = configured.plan(&kernel);
            prop_assert!(again.steps.is_empty(), "{:?} after {configured:?}", again.lines());
        }
    }
}

/// A time service sets the TAI offset some time after boot.
#[test]
fn another_tai_offset_puts_the_policy_in_force_again_only_if_rules_have_an_end() {
    let mut relay = Relay::new("relay0".parse().expect("a name"));
    relay.addresses = nets("10.3.2.1/24");
    relay.rules = vec![Rule::new("audit".parse().expect("a name"))];
    let private_key = PRIVATE_KEYS[0].parse().expect("a key");
    let mut configured = Configured { relay, private_key, host_addresses: Vec::new() };
    let mut kernel = Kernel::default();
    for until in [None, Some(1_900_000_000)] {
        configured.relay.rules[0].until = until;
        kernel.tai_offset_s = 0;
        let plan = configured.plan(&kernel);
        kernel.apply(&configured, plan);
        kernel.tai_offset_s = 37;
        let plan = configured.plan(&kernel);
        assert!(!plan.changes_policy());
        let expected = until.map(|_| {
            "~ policy generation 3: rules with until end 37 s early: the kernel's TAI offset was 0 s \
             when the policy was loaded, and is 37 s"
        });
        assert_eq!(plan.lines(), Vec::from_iter(expected));
        kernel.apply(&configured, plan);
        assert!(configured.plan(&kernel).steps.is_empty());
    }
}

/// A configuration, the key in its file, and the addresses of the host.
#[derive(Debug, Clone)]
struct Configured {
    relay: Relay,
    private_key: PrivateKey,
    host_addresses: Vec<IpAddr>,
}

/// What is in the kernel.
#[derive(Default)]
struct Kernel {
    fence: Option<Fence>,
    link: Option<Link>,
    device: Option<Device>,
    generation: Option<Generation>,
    tai_offset_s: i32,
    slots: Taken,
    guard: Vec<GuardHook>,
    routes: Vec<Route>,
}

impl Configured {
    fn plan(&self, kernel: &Kernel) -> Plan {
        let secrets = Secrets::default();
        let key = (self.private_key.clone(), false);
        let desired = Desired::new(&self.relay, &secrets, ALIAS, key, self.host_addresses.clone());
        Plan::new(&desired, kernel.observed_for(&self.relay), &[], &kernel.routes).expect("a plan")
    }
}

impl Kernel {
    fn observed_for(&self, relay: &Relay) -> Running {
        let mut observed = Observed::of(self.generation, self.slots.clone());
        observed.tai_offset_s = self.tai_offset_s;
        let interfaces = match relay.guard.as_ref().map(|guard| &guard.interfaces) {
            None => Vec::new(),
            Some(Underlay::Auto) => vec!["eth0".to_owned()],
            Some(Underlay::Named(names)) => names.clone(),
        };
        let mut hooks = self.guard.clone();
        for name in &interfaces {
            if !hooks.iter().any(|hook| hook.interface == *name) {
                hooks.push(GuardHook::absent(name));
            }
        }
        let fence = match &self.fence {
            None => FenceState::Absent,
            Some(fence) if *fence == desired::fence(relay) => FenceState::Intact,
            Some(_) => FenceState::Different,
        };
        Running {
            link: self.link.clone(),
            device: self.device.clone(),
            hooks: observed.hooks.clone(),
            datapath: Ok(observed),
            has_pins: self.generation.is_some(),
            fence: Ok(fence),
            drops: Drops::default(),
            guard: Guarding {
                chosen: Chosen { interfaces, ..Chosen::default() },
                hooks: Ok(hooks),
            },
        }
    }

    fn apply(&mut self, configured: &Configured, plan: Plan) {
        for step in plan.steps {
            match step {
                Step::PutUpFence { fence, .. } => self.fence = Some(fence),
                Step::TakeDownFence { .. } => self.fence = None,
                Step::Link(change) => self.change_link(change),
                Step::Narrow(changes) | Step::Widen(changes) => {
                    let device = self.device.as_mut().expect("an interface");
                    changes.into_iter().for_each(|change| change_device(device, change));
                }
                Step::Policy { compiled, slots, number, .. } => {
                    let policy_hash = policy_hash(&compiled);
                    let abi_version = ABI_VERSION;
                    self.generation = Some(Generation {
                        abi_version,
                        tai_offset_s: self.tai_offset_s,
                        number,
                        policy_hash,
                    });
                    let keys = configured.relay.peers.iter().map(|peer| peer.public_key);
                    let peers = keys.zip(slots.as_slice().iter().copied()).collect();
                    let names = configured.relay.rules.iter().map(|rule| rule.name.clone());
                    let rules = names.zip(slots.rules().iter().copied()).collect();
                    self.slots = Taken { peers, rules };
                }
                Step::Guard(plan) => {
                    self.guard = plan.applied();
                    self.guard.retain(|hook| hook.mode.is_some());
                }
                Step::Addresses { changes, .. } => {
                    let addresses = &mut self.link.as_mut().expect("a link").addresses;
                    for change in changes {
                        match change {
                            AddressChange::Remove { address, .. } => {
                                addresses.retain(|found| *found != address);
                            }
                            AddressChange::Add { address, .. } => addresses.push(address),
                        }
                    }
                }
                Step::Routes { changes, .. } => {
                    changes.into_iter().for_each(|change| self.change_route(change));
                }
                Step::WritePrivateKey { .. }
                | Step::KeepCounters(_)
                | Step::Detach(_)
                | Step::RemoveTransits(_)
                | Step::Transits { .. } => {
                    unreachable!("the key is there, nothing is lost, and there is no mesh")
                }
            }
        }
    }

    fn change_link(&mut self, change: LinkChange) {
        if let LinkChange::Create { mtu, alias, .. } = change {
            self.link = Some(Link {
                index: 7,
                kind: LinkKind::Wireguard,
                mtu: mtu.into(),
                up: false,
                xdp: None,
                alias: Some(alias),
                addresses: Vec::new(),
            });
            self.device =
                Some(Device { public_key: None, listen_port: 0, fwmark: 0, peers: Vec::new() });
            return;
        }
        let link = self.link.as_mut().expect("a link");
        match change {
            LinkChange::Create { .. } => {}
            LinkChange::Alias { alias, .. } => link.alias = Some(alias),
            LinkChange::Mtu { mtu, .. } => link.mtu = mtu.into(),
            LinkChange::Up { .. } => link.up = true,
        }
    }

    fn change_route(&mut self, change: RouteChange) {
        match change {
            RouteChange::Remove { destination, .. } => {
                self.routes.retain(|route| route.destination != destination);
            }
            RouteChange::Add { destination, interface } => self.routes.push(Route {
                destination,
                interface: Some(interface.to_string()),
                protocol: route::PROTOCOL,
            }),
        }
    }
}

/// As the kernel does, an allowed IP that a peer gets is taken from the one that had it.
fn change_device(device: &mut Device, change: Change) {
    let given = |device: &mut Device, key: PublicKey, nets: Vec<IpNet>| {
        for peer in &mut device.peers {
            peer.allowed_ips.retain(|net| !nets.contains(net));
            if peer.public_key == key {
                peer.allowed_ips.extend(&nets);
                peer.allowed_ips.sort_unstable();
            }
        }
    };
    let peer_of = |device: &mut Device, key: PublicKey| {
        device.peers.iter().position(|peer| peer.public_key == key).expect("a peer")
    };
    match change {
        Change::ListenPort { port, .. } => device.listen_port = port,
        Change::PrivateKey { key, .. } => device.public_key = Some(key.public_key()),
        Change::RemovePeer { public_key } => {
            device.peers.retain(|peer| peer.public_key != public_key);
        }
        Change::RemoveAllowedIps { public_key, kept, .. } => {
            let place = peer_of(device, public_key);
            device.peers[place].allowed_ips = kept;
        }
        Change::AddPeer(peer) => {
            let preshared_key = peer.preshared_key;
            device.peers.push(DevicePeer { preshared_key, ..DevicePeer::new(peer.public_key) });
            given(device, peer.public_key, peer.allowed_ips);
        }
        Change::PresharedKey { public_key, key, .. } => {
            let place = peer_of(device, public_key);
            device.peers[place].preshared_key = key;
        }
        Change::AddAllowedIps { public_key, added, .. } => given(device, public_key, added),
        Change::Keepalive { .. } => unreachable!("no peer has a keepalive"),
        Change::Endpoint { public_key, endpoint, .. } => {
            let place = peer_of(device, public_key);
            device.peers[place].endpoint = Some(endpoint);
        }
    }
}

fn configured() -> impl Strategy<Value = Configured> {
    let key = prop::sample::select(PRIVATE_KEYS.to_vec());
    let host = prop::sample::subsequence(vec!["192.0.2.1", "10.3.2.4", "10.12.0.1"], 0..=3);
    (relay(), key, host).prop_map(|(relay, key, host)| Configured {
        relay,
        private_key: key.parse().expect("a key"),
        host_addresses: host.into_iter().map(|text| text.parse().expect("an address")).collect(),
    })
}

fn relay() -> impl Strategy<Value = Relay> {
    let addresses = prop::sample::select(vec![
        "10.3.2.1/24",
        "10.3.2.9/24",
        "10.3.2.1/24 fd00::3:2:1/120",
        "10.3.0.1/16 fd00::3:2:1/112",
    ]);
    let numbers = (51820u16..51822, prop::sample::select(vec![1280u16, 1420]));
    let host_access =
        prop::sample::select(vec![HostAccess::None, HostAccess::Ping, HostAccess::All]);
    let egress = prop::sample::select(vec![Egress::Deny, Egress::Stack]);
    let guard = prop::option::of(guard());
    (addresses, numbers, any::<[bool; 3]>(), host_access, egress, guard, peers()).prop_map(
        |(addresses, (listen_port, mtu), flags, host_access, egress, guard, peers)| {
            let [fast_path, fence, pair_stats] = flags;
            Relay {
                addresses: nets(addresses),
                listen_port,
                mtu,
                fast_path,
                host_access,
                egress,
                fence,
                pair_stats,
                guard,
                peers,
                ..Relay::new("relay0".parse().expect("a name"))
            }
        },
    )
}

fn guard() -> impl Strategy<Value = Guard> {
    let named = |name: &str| Underlay::Named(vec![name.to_owned()]);
    let interfaces = prop::sample::select(vec![Underlay::Auto, named("eth0"), named("eth1")]);
    let mode = prop::sample::select(vec![GuardMode::Auto, GuardMode::Driver, GuardMode::Generic]);
    (interfaces, mode, 1u32..3).prop_map(|(interfaces, mode, burst)| Guard {
        interfaces,
        mode,
        burst,
        ..Guard::default()
    })
}

/// Peers, each with one of six addresses. Between configurations keys and routes move from one to
/// another.
fn peers() -> impl Strategy<Value = Vec<Peer>> {
    let lists = prop::sample::select(vec!["", "10.3.2.3/32", "10.3.2.0/24", "0.0.0.0/0"]);
    let peer = (any::<bool>(), any::<bool>(), lists);
    let peers = prop::collection::btree_map(0u8..6, peer, 0..6);
    (peers, 0u8..6, 0u8..6).prop_map(|(peers, keys, routes)| {
        let of = |(number, (enabled, has_route, list)): (u8, (bool, bool, &str))| Peer {
            enabled,
            addresses: vec![[10, 3, 2, 3 + number].into()],
            routes: match has_route {
                true => nets(&format!("10.{}.0.0/16", 10 + (number + routes) % 6)),
                false => Vec::new(),
            },
            allowed_ips: nets(list),
            ..Peer::new(
                format!("node-{number}").parse().expect("a name"),
                PublicKey::from_bytes([10 + (number + keys) % 6; 32]),
            )
        };
        peers.into_iter().map(of).collect()
    })
}

fn nets(list: &str) -> Vec<IpNet> {
    list.split_whitespace().map(|net| net.parse().expect("a network")).collect()
}
