//! What the verifier follows of the programs, whatever a policy asks for.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use aya::programs::loaded_programs;
use relay::model::{
    Egress, HostAccess, Limits, Period, Port, Quota, Relay, Rule, Selector, Services, Transport,
};
use relay_tests::{guard::bed::Bed, scenario, skip, tun_host::TunHost};

use crate::{four, mesh::meshed, trial};

/// Half of `BPF_COMPLEXITY_LIMIT_INSNS` (include/linux/bpf.h): versions of the kernel differ in what
/// they follow.
const MOST: u32 = 1_000_000 / 2;

#[test]
fn programs_with_every_feature_are_loaded_in_every_role_traced_and_not() {
    scenario(skip::TUN, || {
        for policy in [four(), meshed()] {
            let policy = rich(policy);
            let bed = Bed::make("verified")?;
            let host = TunHost::up(&bed, &policy)?;
            require_few(&["relay_ingress", "relay_egress"])?;
            trace(&host)?;
            trial::start(&host, &policy)?;
            require_few(&["relay_compare", "relay_trial"])?;
            trace(&host)?;
            host.switch_to(&host.in_force)?;
            let observed = host.observe()?;
            let (in_force, slots) = &host.in_force;
            host.enter(|datapath| datapath.start_learning((in_force, slots), &observed, false))?;
            require_few(&["relay_learn"])?;
            trace(&host)?;
        }
        Ok(())
    });
}

/// Switches to programs that write a line for each packet.
fn trace(host: &TunHost<'_>) -> Result<()> {
    let observed = host.observe()?;
    let (policy, slots) = &host.in_force;
    let _trace = host.enter(|datapath| datapath.trace(policy, slots, &observed, |_| {}))?;
    require_few(&[])
}

/// Programs of these names are loaded, and for none of any name the verifier followed more than
/// [`MOST`] instructions.
fn require_few(names: &[&str]) -> Result<()> {
    let mut followed = BTreeMap::new();
    for program in loaded_programs() {
        let program = program?;
        let name = program.name_as_str().unwrap_or_default().to_owned();
        if name.starts_with("relay_") {
            followed.insert(name, program.verified_instruction_count().context("a count")?);
        }
    }
    println!("{followed:?}");
    ensure!(names.iter().all(|name| followed.contains_key(*name)), "{names:?}: {followed:?}");
    ensure!(followed.values().all(|&count| count <= MOST), "{followed:?}");
    Ok(())
}

/// A policy that asks for all that there is.
fn rich(mut policy: Relay) -> Relay {
    policy.peers[1].limits =
        Limits { quota: Some(Quota { bytes: 1 << 20, period: Period::Week }), ..Limits::default() };
    let rule = Rule {
        from: vec![Selector::Peer(0)],
        to: vec![Selector::Peer(1)],
        services: vec![Services::Ports { transport: Transport::Tcp, first: 22, last: 22 }],
        ..Rule::new("opened".parse().expect("a name"))
    };
    Relay {
        rules: vec![rule],
        host_access: HostAccess::Ports(vec![Port { transport: Transport::Tcp, number: 22 }]),
        egress: Egress::Stack,
        pair_stats: true,
        ..policy
    }
}
