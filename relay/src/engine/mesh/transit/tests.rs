use super::*;
use crate::{
    datapath::Mode,
    engine::claim::require_consent_for_transits,
    model::{MeshRelay, PrivateKey},
    net::link::LinkKind,
};

/// When all of this happens.
const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn relay() -> Relay {
    let relay = |(name, byte): (&str, u8)| MeshRelay {
        name: name.parse().expect("a name"),
        public_key: PublicKey::from_bytes([byte; 32]),
        host: format!("192.0.2.{byte}"),
    };
    Relay {
        mesh: Some(Mesh {
            name: None,
            port: 51830,
            private_key_file: "mesh.key".into(),
            relays: [("fra1", 1), ("fra2", 2)].map(relay).into(),
        }),
        ..Relay::new("relay0".parse().expect("a name"))
    }
}

/// Of the first relay.
fn key() -> MeshKey {
    MeshKey { private_key: PrivateKey::generate().expect("a key"), place: 0 }
}

fn link(alias: Option<&str>) -> Link {
    Link {
        index: 7,
        kind: LinkKind::Wireguard,
        mtu: 1420,
        up: true,
        xdp: None,
        alias: alias.map(str::to_owned),
        addresses: Vec::new(),
    }
}

/// The tunnel to the second relay, as it has to be, `age` after its latest handshake.
fn seen(relay: &Relay, key: &MeshKey, age: Option<u64>) -> SeenTransit {
    let mesh = relay.mesh.as_ref().expect("a mesh");
    let [transit] = &transits(relay, Some(key))[..] else { panic!("not one tunnel") };
    let peer = DevicePeer {
        endpoint: Some("192.0.2.2:51830".parse().expect("an address")),
        persistent_keepalive: Some(KEEPALIVE_S),
        allowed_ips: vec![Ipv4Net::default().into(), Ipv6Net::default().into()],
        latest_handshake: age.map(|age| NOW - Duration::from_secs(age)),
        ..DevicePeer::new(transit.relay.public_key)
    };
    SeenTransit {
        interface: transit.interface.clone(),
        link: Link { addresses: vec![own_address(transit)], ..link(Some("relay-transit relay0")) },
        device: Device {
            public_key: Some(key.private_key.public_key()),
            listen_port: transit.listen_port,
            fwmark: 0,
            peers: vec![peer],
        },
        hook: TransitHook {
            mode: Some(Mode::Tcx),
            settings_hash: Some(settings(&link(None), mesh).hash()),
        },
    }
}

fn plan_of(
    relay: &Relay,
    key: Option<&MeshKey>,
    seen: &[SeenTransit],
    endpoints: &BTreeMap<PublicKey, SocketAddr>,
) -> TransitPlan {
    let transits = transits(relay, key);
    let routes: Vec<_> = seen
        .iter()
        .flat_map(|seen| transits.iter().filter(|it| it.interface == seen.interface))
        .map(|transit| Route {
            destination: address_there(transit),
            interface: Some(transit.interface.to_string()),
            protocol: route::PROTOCOL,
        })
        .collect();
    let desired = Desired { relay, key, endpoints };
    TransitPlan::new(&desired, seen, Some(&link(None)), &routes).expect("a plan")
}

fn lines(plan: &TransitPlan) -> Vec<String> {
    plan.tunnels.iter().flat_map(Tunnel::lines).collect()
}

#[test]
fn a_missing_tunnel_is_made_with_all_that_belongs_to_it() {
    let (relay, key) = (relay(), key());
    let wanted = silent(&relay, Some(&key), &[], NOW);
    assert_eq!(wanted.iter().map(|it| &*it.endpoint).collect::<Vec<_>>(), ["192.0.2.2:51830"]);
    let endpoints = [(wanted[0].key, "192.0.2.2:51830".parse().expect("an address"))].into();
    let lines = lines(&plan_of(&relay, Some(&key), &[], &endpoints)).join("\n");
    let lines = lines.replace(&key.private_key.public_key().to_string(), "KEY");
    insta::assert_snapshot!(lines, @r"
    + transit to fra2: interface relay0-fra2 (wireguard, mtu 1420)
    ~ transit to fra2: interface relay0-fra2: up
    + transit to fra2: listen port 51831
    + transit to fra2: private key (public key KEY)
    + transit to fra2: peer fra2 (0.0.0.0/0, ::/0)
    ~ transit to fra2: peer fra2: endpoint 192.0.2.2:51830
    ~ transit to fra2: peer fra2: keepalive 5 seconds
    + transit to fra2: program on relay0-fra2
    + transit to fra2: address fd01:101:101::1/128 on relay0-fra2
    + transit to fra2: route fd01:101:101::2/128 on relay0-fra2
    ");
}

#[test]
fn a_tunnel_as_desired_is_not_changed() {
    let (relay, key) = (relay(), key());
    let seen = [seen(&relay, &key, Some(60))];
    assert!(silent(&relay, Some(&key), &seen, NOW).is_empty());
    let plan = plan_of(&relay, Some(&key), &seen, &BTreeMap::new());
    assert_eq!((lines(&plan), plan.gone), (vec![], vec![]));
}

#[test]
fn a_tunnel_that_leads_nowhere_follows_its_host() {
    let (relay, key) = (relay(), key());
    for age in [None, Some(181)] {
        let seen = [seen(&relay, &key, age)];
        let [wanted] = &silent(&relay, Some(&key), &seen, NOW)[..] else { panic!("not one") };
        let found = |address: &str| {
            let endpoints = [(wanted.key, address.parse().expect("an address"))].into();
            lines(&plan_of(&relay, Some(&key), &seen, &endpoints))
        };
        assert_eq!(found("192.0.2.2:51830"), [""; 0]);
        let expected = ["~ transit to fra2: peer fra2: endpoint 192.0.2.9:51830"];
        assert_eq!(found("192.0.2.9:51830"), expected);
    }
}

#[test]
fn tunnels_of_relays_that_left_go_and_those_of_others_stay() {
    let (relay, key) = (relay(), key());
    let ours = seen(&relay, &key, None);
    let theirs = SeenTransit { link: link(None), ..seen(&relay, &key, None) };
    let alone = Relay { mesh: None, ..relay };
    let gone = |seen| plan_of(&alone, None, &[seen], &BTreeMap::new()).gone;
    assert_eq!(gone(ours), ["relay0-fra2".parse().expect("a name")]);
    assert_eq!(gone(theirs), []);
}

#[test]
fn a_relay_with_another_place_in_the_list_makes_its_tunnels_again() {
    let (mut relay, key) = (relay(), key());
    let seen = seen(&relay, &key, Some(60));
    let mesh = relay.mesh.as_mut().expect("a mesh");
    let first = MeshRelay { name: "fra0".parse().expect("a name"), ..mesh.relays[0].clone() };
    mesh.relays = vec![first, mesh.relays[0].clone(), mesh.relays[1].clone()];
    let key = MeshKey { place: 1, ..key };
    let address = own_address(&transits(&relay, Some(&key))[0]);
    assert!(!seen.link.addresses.contains(&address));
    // The kernel's route of the address that this relay had before.
    let route = Route {
        destination: seen.link.addresses[0],
        interface: Some("relay0-fra2".to_owned()),
        protocol: 2,
    };
    let endpoints = BTreeMap::new();
    let desired = Desired { relay: &relay, key: Some(&key), endpoints: &endpoints };
    let plan = TransitPlan::new(&desired, &[seen], Some(&link(None)), &[route]).expect("a plan");
    assert_eq!(plan.gone, ["relay0-fra2".parse().expect("a name")]);
    let lines = lines(&plan).join("\n");
    for created in ["interface relay0-fra0 (", "interface relay0-fra2 ("] {
        assert!(lines.contains(created), "{lines}");
    }
}

#[test]
fn an_interface_of_somebody_else_is_not_taken_over() {
    let (relay, key) = (relay(), key());
    let consent = |seen| require_consent_for_transits(&relay, Some(&key), &[seen]);
    let other = |alias| {
        let mut seen = seen(&relay, &key, None);
        seen.link.alias = alias;
        seen.device.public_key = Some(PublicKey::from_bytes([9; 32]));
        seen
    };
    let error = consent(other(None)).expect_err("somebody else's").to_string();
    assert!(error.contains("relay0-fra2 exists: found public key"), "{error}");
    consent(other(Some("relay-transit relay0".to_owned()))).expect("relay's");
    let blank = SeenTransit { device: Device::default(), ..other(None) };
    consent(blank).expect("nobody's");
    let keyed = SeenTransit { link: link(None), ..seen(&relay, &key, None) };
    consent(keyed).expect("with the key of the configuration");
}
