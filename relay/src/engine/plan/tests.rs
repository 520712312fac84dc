mod convergence;

use super::{
    super::{guard::Guarding, step::Undo},
    *,
};
use crate::{
    datapath::{GuardHook, Taken},
    model::{Guard, PublicKey, Relay},
    net::underlay::Chosen,
    wireguard::{Change, DesiredPeer},
};

#[test]
fn what_is_lost_goes_before_the_policy_and_what_is_gained_comes_after() {
    let steps = differences().in_order();
    assert_eq!(
        lines(&steps),
        [
            "+ fence inet relay_relay0",
            "+ interface relay0 (wireguard, mtu 1420)",
            "+ private key file /etc/relay/private.key",
            "- peer AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=",
            "~ counters: pinned again",
            "+ policy generation 1",
            "+ peer node-b (10.3.2.3/32)",
            "+ guard on eth0 (mode auto)",
            "+ address 10.3.2.1/24 on relay0",
            "~ interface relay0: up",
            "+ route 10.4.0.0/16 on relay0",
        ]
    );
}

#[test]
fn a_policy_says_that_it_ends_a_trial_and_why_it_is_loaded_again() {
    let policy = |unpaired: bool, tried: bool| {
        let mut policy = differences().policy.expect("a policy");
        if let Step::Policy { is_unpaired, ends_trial, .. } = &mut policy {
            (*is_unpaired, *ends_trial) = (unpaired, tried);
        }
        policy.lines()
    };
    assert_eq!(policy(false, true), ["+ policy generation 1", "- trial: ends with the policy"]);
    assert_eq!(policy(true, false), ["+ policy generation 1: it compares with no candidate"]);
}

#[test]
fn a_fence_that_is_not_desired_goes_last() {
    let steps = Differences { fence: None, takes_down_fence: true, ..differences() }.in_order();
    assert_eq!(lines(&steps).last().map(String::as_str), Some("- fence inet relay_relay0"));
}

#[test]
fn routes_follow_addresses_even_without_a_change_of_their_own() {
    let differences = Differences { routes: (Vec::new(), nets("10.4.0.0/16")), ..differences() };
    let steps = differences.in_order();
    assert!(matches!(steps.last(), Some(Step::Routes { changes, .. }) if changes.is_empty()));
}

#[test]
fn nothing_that_differs_is_no_step() {
    assert!(lines(&nothing().in_order()).is_empty());
    assert!(nothing().in_order().is_empty());
}

#[test]
fn drift_is_what_an_edit_of_the_policy_does_not_explain() {
    let steps = differences().in_order();
    let drift: Vec<_> = steps.iter().filter(|step| step.is_drift()).flat_map(Step::lines).collect();
    assert!(
        !drift.iter().any(|line| line.contains("policy") || line.contains("fence")),
        "{drift:?}"
    );
    assert_eq!(drift.len(), 7, "{drift:?}");
}

#[test]
fn the_interface_is_taken_back_before_policy_and_fence() {
    let steps = differences().in_order();
    let mut undo: Vec<_> = steps.iter().filter_map(Step::undo).collect();
    undo.sort_unstable();
    assert_eq!(undo, [Undo::DeleteInterface, Undo::RemovePins, Undo::TakeDownFence]);
}

fn lines(steps: &[Step]) -> Vec<String> {
    steps.iter().flat_map(Step::lines).collect()
}

/// All that can differ of a relay that is not up.
fn differences() -> Differences {
    let relay = relay();
    let interface = relay.interface.clone();
    let slots = Slots::assign(&relay, &Taken::default()).expect("slots");
    let sources = Sources { relay: &relay, host_addresses: &[], slots: slots.as_slice() };
    let compiled = Box::new(policy::compile(&sources, &[]).expect("a policy"));
    let gone = PublicKey::from_bytes([3; 32]);
    let peer = DesiredPeer {
        name: "node-b".parse().expect("a name"),
        public_key: PublicKey::from_bytes([2; 32]),
        preshared_key: None,
        allowed_ips: nets("10.3.2.3/32"),
        keepalive: None,
    };
    let create = LinkChange::Create {
        interface: interface.clone(),
        mtu: 1420,
        alias: "relay /etc/relay/relay.toml".to_owned(),
    };
    Differences {
        fence: Some(desired::fence(&relay)),
        link: vec![create, LinkChange::Up { interface: interface.clone() }],
        key_file: Some((relay.private_key_file.clone(), PrivateKey::generate().expect("a key"))),
        wireguard: wireguard::Plan {
            narrow: vec![Change::RemovePeer { public_key: gone }],
            widen: vec![Change::AddPeer(peer)],
        },
        repairs: vec![Repair::Counters],
        policy: Some(Step::Policy {
            compiled,
            slots,
            number: 1,
            has_pins: false,
            retimed: None,
            is_unpaired: false,
            ends_trial: false,
        }),
        guard: guard(&relay, vec![GuardHook::absent("eth0")]),
        addresses: (address::plan(&interface, &nets("10.3.2.1/24"), &[]), nets("10.3.2.1/24")),
        routes: (
            vec![RouteChange::Add {
                destination: "10.4.0.0/16".parse().expect("a prefix"),
                interface,
            }],
            nets("10.4.0.0/16"),
        ),
        ..nothing()
    }
}

fn nothing() -> Differences {
    Differences {
        transits: TransitPlan::default(),
        mesh: None,
        table: "relay_relay0".to_owned(),
        fence: None,
        takes_down_fence: false,
        link: Vec::new(),
        key_file: None,
        wireguard: wireguard::Plan::default(),
        repairs: Vec::new(),
        policy: None,
        guard: guard(&relay(), Vec::new()),
        addresses: (Vec::new(), Vec::new()),
        routes: (Vec::new(), Vec::new()),
    }
}

fn guard(relay: &Relay, hooks: Vec<GuardHook>) -> GuardPlan {
    let chosen = Chosen { interfaces: vec!["eth0".to_owned()], ..Chosen::default() };
    let key = Rekeyed { public_key: PublicKey::from_bytes([1; 32]), is_new: true };
    Guarding { chosen, hooks: Ok(hooks) }.plan(relay, key)
}

fn nets(net: &str) -> Vec<IpNet> {
    vec![net.parse().expect("a prefix")]
}

fn relay() -> Relay {
    Relay {
        addresses: nets("10.3.2.1/24"),
        guard: Some(Guard::default()),
        ..Relay::new("relay0".parse().expect("a name"))
    }
}
