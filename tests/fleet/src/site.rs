//! The two machines as the relays of a site, on one LAN with the peers and an address that moves.
//!
//! ```text
//!  machine one                           machine two
//!  node-a      one, relay                two, relay      node-b      namespaces
//!  .101        192.0.2.11                192.0.2.12      .102
//!    │             │                         │             │
//!    └──── br0 ────┴──── eth1 ═════ eth1 ────┴──── br0 ────┘
//!                  192.0.2.1, which peers dial, is at one of both
//! ```

use anyhow::{Context as _, Result, bail, ensure};
use relay_vm::workspace;
use serde_json::{Value, json};

use crate::Fleet;
use crate::machine::Machine;
use crate::peers::{BRIDGE, LAN};
use crate::scenario::{Scenario, scenario};

const NAMES: [&str; 2] = ["one", "two"];

/// They begin with machines on which nothing is installed.
pub(super) const SCENARIOS: &[Scenario] =
    &[scenario("a site of two relays is set up, after one named the key that it made", set_up)];

fn set_up(fleet: &mut Fleet) -> Result<()> {
    for (machine, last) in [&fleet.one, &fleet.two].into_iter().zip([11, 12]) {
        machine.run(&format!(
            "ip link add {BRIDGE} type bridge\n\
             ip link set eth1 master {BRIDGE} up\n\
             ip address add {LAN}{last}/24 dev {BRIDGE}\n\
             ip link set {BRIDGE} up"
        ))?;
    }
    let [_, (key, _)] = &fleet.transit;
    let secrets = json!({ "relay_private_key": fleet.vaulted.0, "relay_mesh_private_key": key });
    fleet.ansible.put_into_vault("two", &secrets)?;

    // The first one makes its own key, of which the list knows nothing.
    let play = fleet.play(&variables(fleet), &[])?;
    play.stopped_on("one", "which no relay has")?;
    let named = play.text.split_once("holds the key with public key ").context("no key named")?.1;
    let key = named.split(',').next().context("no key named")?.to_owned();
    let found = fleet.one.run(
        "find /etc/relay -type f -printf '%m %p\\n'; relay genkey --public </etc/relay/mesh.key",
    )?;
    ensure!(found == format!("600 /etc/relay/mesh.key\n{key}\n"), "{found}, expected {key}");
    fleet.transit[0].1 = key;

    fleet.play(&variables(fleet), &[])?.went_well_on(&NAMES)?;
    let clients = fleet.clients();
    let [a, b, _] = &fleet.peers;
    for (peer, machine) in [(a, &fleet.one), (b, &fleet.two)] {
        // Of a relay on its own.
        machine.run(&format!("ip -n {0} link del {0} 2>/dev/null || true", peer.name))?;
        peer.join_lan(machine)?;
        peer.connect(machine, &clients)?;
    }
    a.require_reach(b, &fleet.one)?;
    b.require_reach(a, &fleet.two)?;
    require_health(fleet)?;
    require_homes(&fleet.one, 2)?;
    require_example(&fleet.one)
}

/// Of the role, for a site of both machines and the first two peers.
fn variables(fleet: &Fleet) -> Value {
    let mut variables = fleet.variables(&[&fleet.peers[1]]);
    let relay = |place: usize| {
        let host = format!("{LAN}{}", 11 + place);
        json!({ "name": NAMES[place], "public_key": fleet.transit[place].1, "host": host })
    };
    let more = json!({
        "relay_settings": { "address": ["10.3.2.1/24"], "endpoint": format!("{LAN}1:51820") },
        "relay_guard": {},
        "relay_serve": false,
        "relay_private_key": fleet.vaulted.0,
        "relay_mesh_relays": [relay(0), relay(1)],
        "relay_keepalived": {
            "address": format!("{LAN}1"),
            "interface": BRIDGE,
            "network": format!("{LAN}0/24"),
            "gateway": format!("{LAN}254"),
        },
        "relay_gate_retries": 10,
        "relay_gate_delay": 2,
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        variables[key] = value.clone();
    }
    variables
}

/// Waits until each relay finds nothing wrong with the site, and nobody is drained.
fn require_health(fleet: &Fleet) -> Result<()> {
    for machine in [&fleet.one, &fleet.two] {
        machine.run(
            "for i in $(seq 60); do relay status --check 2>/dev/null && break; sleep 1; done\n\
             relay status --check",
        )?;
        let site = site(machine)?;
        let alive = site["relays"].as_array().into_iter().flatten();
        let alive = alive.filter(|relay| relay["alive"] == json!(true)).count();
        let is_well = alive == 1
            && site["agentRunning"] == json!(true)
            && site["drained"] == json!(false)
            && site["problems"] == json!([]);
        ensure!(is_well, "{}: {site}", machine.name);
    }
    Ok(())
}

/// Waits until so many peers are at home at a machine's relay.
fn require_homes(machine: &Machine, peers: u64) -> Result<()> {
    let own = "import json, sys; print(sum(relay[\"peers\"] for relay in \
               json.load(sys.stdin)[\"relays\"] if relay[\"own\"]))";
    machine
        .run(&format!(
            "at_home() {{ relay mesh status --json | python3 -c '{own}'; }}\n\
             for i in $(seq 30); do [ $(at_home) = {peers} ] && break; sleep 1; done\n\
             relay mesh status >&2; [ $(at_home) = {peers} ]"
        ))
        .map(drop)
}

fn site(machine: &Machine) -> Result<Value> {
    serde_json::from_str(&machine.run("relay mesh status --json")?)
        .context("`relay mesh status` wrote no JSON")
}

/// keepalived of the first relay is configured as deploy/keepalived/relay.conf says.
fn require_example(machine: &Machine) -> Result<()> {
    let plain = |text: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.split('#').next());
        lines.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    };
    let path = workspace::root().join("deploy/keepalived/relay.conf");
    let example = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let example = example.replace("eth0", BRIDGE).replace("router_id r1", "router_id one");
    let mut expected = plain(&example);
    // The third relay of the example.
    expected.retain(|line| line != "192.0.2.13");
    let found = plain(&machine.run("cat /etc/keepalived/keepalived.conf")?);
    if found != expected {
        bail!("keepalived.conf is {found:#?}, expected {expected:#?}");
    }
    Ok(())
}
