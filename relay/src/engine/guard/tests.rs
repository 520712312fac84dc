use super::{Guarding, Rekeyed, change::settings};
use crate::{
    datapath::{DatapathError, GuardHook, Obstacle, XdpMode},
    model::{Guard, GuardMode, PublicKey, Relay},
    net::underlay::Chosen,
};

#[test]
fn it_is_attached_where_desired_and_detached_elsewhere() {
    let hooks = vec![GuardHook::absent("eth0"), attached("eth1", XdpMode::Driver)];
    assert_eq!(
        lines(&relay(GuardMode::Auto), &["eth0"], hooks.clone(), false),
        ["+ guard on eth0 (mode auto)", "- guard on eth1",]
    );
    let off = Relay { guard: None, ..relay(GuardMode::Auto) };
    assert_eq!(lines(&off, &[], hooks[1..].to_vec(), false), ["- guard on eth1"]);
}

#[test]
fn a_guard_with_these_settings_and_this_mode_stays_as_it_is() {
    for mode in [GuardMode::Auto, GuardMode::Generic] {
        let hooks = vec![attached("eth0", XdpMode::Generic)];
        assert_eq!(lines(&relay(mode), &["eth0"], hooks, true), [""; 0]);
    }
    let hooks = vec![attached("eth0", XdpMode::Generic)];
    assert_eq!(
        lines(&relay(GuardMode::Driver), &["eth0"], hooks, false),
        ["~ guard on eth0: mode generic → driver"]
    );
}

#[test]
fn a_switch_names_its_reason() {
    let other = with(attached("eth0", XdpMode::Driver), |hook| hook.settings_hash = Some([0; 16]));
    let lost = with(attached("eth0", XdpMode::Driver), |hook| hook.is_counted = false);
    let older = with(attached("eth0", XdpMode::Driver), |hook| hook.settings_hash = None);
    let gone = with(GuardHook::absent("eth0"), |hook| hook.is_orphaned = true);
    let line = |hook: &GuardHook, is_new| {
        lines(&relay(GuardMode::Auto), &["eth0"], vec![hook.clone()], is_new).concat()
    };
    assert_eq!(line(&other, true), "~ guard on eth0: new key");
    assert_eq!(line(&other, false), "~ guard on eth0: new settings");
    assert_eq!(line(&older, false), "~ guard on eth0: this version");
    assert_eq!(line(&lost, false), "~ guard on eth0: pin counts again");
    assert_eq!(line(&gone, false), "+ guard on eth0, which was made again (mode auto)");
}

#[test]
fn a_foreign_program_is_named_and_stays() {
    let program = || {
        Some(Obstacle {
            found: "XDP program xdp_filter (id 7)".to_owned(),
            remedy: "remove it with `bpftool link detach id 9`".to_owned(),
        })
    };
    let taken = |name: &str| with(GuardHook::absent(name), |hook| hook.obstacle = program());
    assert_eq!(lines(&relay(GuardMode::Auto), &["eth0"], vec![taken("eth0")], false), [""; 0]);
    let guarding = guarding(&["eth0"], vec![taken("eth0"), taken("eth1")]);
    assert_eq!(
        guarding.obstacles(),
        ["interface eth0: found XDP program xdp_filter (id 7), expected no XDP program; relay \
         leaves it in place: remove it with `bpftool link detach id 9`, or remove eth0 from \
         guard.interfaces"]
    );
}

#[test]
fn an_obstacle_is_reported_and_hinders_nothing_else() {
    let hooks = vec![GuardHook::absent("eth0")];
    let mut guarding = guarding(&["eth0"], hooks);
    let there = "lo".to_owned();
    guarding.chosen.unusable =
        vec![crate::net::NetError::NoUnderlay { interface: "eth7".to_owned(), there }];
    assert_eq!(guarding.obstacles().len(), 1);
    assert!(guarding.obstacles()[0].contains("no interface eth7"));
    let plan = guarding.plan(&relay(GuardMode::Auto), key(false));
    assert_eq!(plan.lines().collect::<Vec<_>>(), ["+ guard on eth0 (mode auto)"]);

    let unread = DatapathError::NoBpffs("/nowhere".into());
    let guarding = Guarding { chosen: Chosen::default(), hooks: Err(unread) };
    assert!(guarding.obstacles()[0].contains("/nowhere"));
    assert_eq!(guarding.plan(&relay(GuardMode::Auto), key(false)).lines().count(), 0);
}

fn lines(relay: &Relay, wanted: &[&str], hooks: Vec<GuardHook>, is_new: bool) -> Vec<String> {
    guarding(wanted, hooks).plan(relay, key(is_new)).lines().collect()
}

fn guarding(wanted: &[&str], hooks: Vec<GuardHook>) -> Guarding {
    let interfaces = wanted.iter().map(|name| (*name).to_owned()).collect();
    Guarding { chosen: Chosen { interfaces, ..Chosen::default() }, hooks: Ok(hooks) }
}

/// With the settings of [`relay`].
fn attached(interface: &str, mode: XdpMode) -> GuardHook {
    let relay = relay(GuardMode::Auto);
    let guard = relay.guard.as_ref().expect("a guard");
    let hash = settings(guard, &relay, &key(false).public_key).hash();
    with(GuardHook::absent(interface), |hook| {
        hook.mode = Some(mode);
        hook.settings_hash = Some(hash);
        hook.is_counted = true;
    })
}

fn with(mut hook: GuardHook, change: impl FnOnce(&mut GuardHook)) -> GuardHook {
    change(&mut hook);
    hook
}

fn key(is_new: bool) -> Rekeyed {
    Rekeyed { public_key: PublicKey::from_bytes([2; 32]), is_new }
}

fn relay(mode: GuardMode) -> Relay {
    Relay {
        guard: Some(Guard { mode, ..Guard::default() }),
        ..Relay::new("relay0".parse().expect("a name"))
    }
}
