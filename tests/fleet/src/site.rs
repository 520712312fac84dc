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

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use relay_vm::workspace;
use serde_json::{Value, json};

use crate::Fleet;
use crate::machine::Machine;
use crate::peers::{BRIDGE, LAN};
use crate::scenario::{Scenario, scenario};
use crate::trace::{files, require_nothing_left, require_same};
use crate::traffic::{Silences, Traffic};

const NAMES: [&str; 2] = ["one", "two"];

/// The longest time without an answer that may be seen while peers are handed over.
const DRAINED: Duration = Duration::from_secs(1);

/// Seconds between the clocks of the machines, where they are apart: more than the peer takes from one
/// relay to the other.
const CLOCKS_APART: u8 = 60;

/// What goes to the ports of the transit, for `ip rule`. 17 is UDP, which has no name without netbase.
const TRANSIT: &str = "pref 100 ipproto 17 dport 51830-51839";

/// They begin with machines on which nothing is installed, and leave them so.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("a site of two relays is set up, after one named the key that it made", set_up),
    scenario("relays of a site agree on a peer that came to both with clocks apart", clocks_apart),
    scenario("both relays of a site are upgraded under traffic, one after the other", upgrade),
    scenario("a second run over a site changes nothing", second_run),
    scenario("a relay of a site that fails its gate leaves the other serving", failed_gate),
    scenario("a relay of a site is not touched if nobody takes its peers", failed_drain),
    scenario("removal of a site leaves nothing", removal),
];

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
    // Those of a relay on its own have the same keys: the site would take them for these.
    for machine in [&fleet.one, &fleet.two] {
        for peer in &fleet.peers {
            machine.run(&format!("ip -n {0} link del {0} 2>/dev/null || true", peer.name))?;
        }
    }
    let [a, b, _] = &fleet.peers;
    for (peer, machine) in [(a, &fleet.one), (b, &fleet.two)] {
        peer.join_lan(machine)?;
        peer.connect(machine, &clients)?;
    }
    a.require_reach(b, &fleet.one)?;
    b.require_reach(a, &fleet.two)?;
    require_health(fleet)?;
    require_homes(&fleet.one, 2)?;
    require_example(&fleet.one)
}

fn upgrade(fleet: &mut Fleet) -> Result<()> {
    let mut variables = variables(fleet);
    variables["relay_deb"] = json!(fleet.packages.second);
    let before = [programs(&fleet.one)?, programs(&fleet.two)?];
    let (play, silences) = under_traffic(fleet, |fleet| fleet.play(&variables, &[]))?;
    play.went_well_on(&NAMES)?;
    let steps = ["relay : Drain the relay", "relay : End the drain"];
    let drained: Vec<_> =
        play.changes().into_iter().filter(|(task, _)| steps.contains(task)).collect();
    let [drain, end] = steps;
    let expected = [(drain, "one"), (end, "one"), (drain, "two"), (end, "two")];
    ensure!(drained == expected, "found {drained:?}, expected {expected:?}");
    for (machine, before) in [&fleet.one, &fleet.two].into_iter().zip(&before) {
        require_version(machine, 2)?;
        ensure!(programs(machine)? != *before, "{} has its old programs", machine.name);
    }
    require_health(fleet)?;
    require_homes(&fleet.one, 2)?;
    println!("fleet: two hand-overs: {silences:?}");
    require_short(fleet, &silences)
}

fn second_run(fleet: &mut Fleet) -> Result<()> {
    let mut variables = variables(fleet);
    variables["relay_deb"] = json!(fleet.packages.second);
    let (play, silences) = under_traffic(fleet, |fleet| fleet.play(&variables, &[]))?;
    let changed = play.went_well_on(&NAMES)?;
    ensure!(changed == [0, 0], "found {changed:?} changed tasks, expected none");
    println!("fleet: without a hand-over: {silences:?}");
    ensure!(silences.lost == 0, "{silences:?}");
    Ok(())
}

fn failed_gate(fleet: &mut Fleet) -> Result<()> {
    let mut variables = variables(fleet);
    variables["relay_gate_command"] = json!(["false"]);
    variables["relay_gate_retries"] = json!(1);
    let before = [trace_of(&fleet.one)?, trace_of(&fleet.two)?];
    let (play, silences) = under_traffic(fleet, |fleet| fleet.play(&variables, &[]))?;
    play.stopped_on("one", "Run the gate command")?;
    require_same(&before[1], &trace_of(&fleet.two)?)?;
    require_version(&fleet.one, 1)?;
    require_health(fleet)?;
    require_homes(&fleet.two, 2)?;
    println!("fleet: one hand-over: {silences:?}");
    require_short(fleet, &silences)
}

fn failed_drain(fleet: &mut Fleet) -> Result<()> {
    let before = trace_of(&fleet.two)?;
    fleet.one.run("systemctl stop keepalived")?;
    let play = fleet.play(&variables(fleet), &["--limit", "two"])?;
    play.stopped_on("two", "are still at home here")?;
    require_same(&before, &trace_of(&fleet.two)?)?;
    fleet.one.run("systemctl start keepalived")?;
    require_health(fleet)?;
    let [a, b, _] = &fleet.peers;
    a.require_reach(b, &fleet.one)?;
    require_homes(&fleet.two, 2)
}

/// The relays begin without seeing each other, and the peer comes to both: two claims of one version, of
/// which the later handshake prevails, by clocks that are apart. So the relay that the peer left has it,
/// until the peer speaks again.
fn clocks_apart(fleet: &mut Fleet) -> Result<()> {
    let [a, b, _] = &fleet.peers;
    let (one, two) = (&fleet.one, &fleet.two);
    // Nobody answers, since node-a is away. A session that the relay does not know is given up after 15
    // seconds.
    let speak = format!("ip netns exec {} ping -n -q -c 20 -w 20 {} || true", b.name, a.address());
    let dial = |host: u8| {
        format!(
            "f=/root/{0}.conf; n='ip netns exec {0}'; $n wg-quick down $f\n\
             sed -i 's/^Endpoint = .*/Endpoint = {LAN}{host}:51820/' $f; $n wg-quick up $f\n",
            b.name
        ) + &speak
    };
    one.run(&format!("ip netns exec {0} wg-quick down /root/{0}.conf", a.name))?;
    two.run(&format!("date --set '-{CLOCKS_APART} seconds'"))?;
    for machine in [one, two] {
        machine.run(&format!("ip rule add {TRANSIT} blackhole; systemctl restart relay"))?;
    }
    two.run(&dial(11))?;
    two.run(&dial(12))?;
    require_view(fleet, one, [1, 0]).context("apart")?;
    require_view(fleet, two, [0, 1]).context("apart")?;
    for machine in [one, two] {
        machine.run(&format!("ip rule delete {TRANSIT}"))?;
    }
    for machine in [one, two] {
        require_view(fleet, machine, [1, 0]).context("when they meet")?;
    }
    two.run(&speak)?;
    for machine in [one, two] {
        require_view(fleet, machine, [0, 1]).context("after the peer spoke")?;
    }

    // An agent that begins at an earlier time than the one before it is heard.
    two.run("date --set '-1 hour'; systemctl restart relay-mesh")?;
    two.run(&dial(11))?;
    for machine in [one, two] {
        require_view(fleet, machine, [1, 0]).context("after the agent began again")?;
    }
    two.run(&dial(12))?;
    require_view(fleet, one, [0, 1]).context("after a move to the agent that began again")?;
    let said = two.run("journalctl --unit relay-mesh --grep 'the clock was set back' --lines 1")?;
    ensure!(said.contains("begins again"), "the agent of two did not begin again: {said}");

    two.run(&format!("date --set '+{CLOCKS_APART} seconds'; date --set '+1 hour'"))?;
    two.run(&dial(1))?;
    one.run(&format!("ip netns exec {0} wg-quick up /root/{0}.conf", a.name))?;
    require_health(fleet)?;
    a.require_reach(b, one)
}

fn removal(fleet: &mut Fleet) -> Result<()> {
    let mut variables = variables(fleet);
    variables["relay_state"] = json!("absent");
    fleet.play(&variables, &[])?.went_well_on(&NAMES)?;
    for machine in [&fleet.one, &fleet.two] {
        require_nothing_left(machine)?;
        let left = machine.run(&format!(
            "ip -o address show dev {BRIDGE} to {LAN}1\n\
             ls /etc/keepalived/keepalived.conf 2>/dev/null || true\n\
             systemctl is-active keepalived || true"
        ))?;
        ensure!(left == "inactive\n", "{} still has:\n{left}", machine.name);
    }
    Ok(())
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

/// What happens while both peers talk, and what they noticed of it.
fn under_traffic<T>(
    fleet: &mut Fleet,
    happens: impl FnOnce(&mut Fleet) -> Result<T>,
) -> Result<(T, Silences)> {
    let [a, b, _] = &fleet.peers;
    let traffic = Traffic::start([&fleet.one, &fleet.two], [a, b])?;
    let result = happens(fleet)?;
    Ok((result, traffic.stop([&fleet.one, &fleet.two])?))
}

/// Nothing was silent for long, or else what the machines say of that time.
fn require_short(fleet: &Fleet, silences: &Silences) -> Result<()> {
    let longest = silences.longest();
    if longest.lasted < DRAINED {
        return Ok(());
    }
    let begin = longest.end.saturating_sub(longest.lasted + DRAINED);
    let script = format!(
        "journalctl --output short-unix --since @{} --until @{}",
        begin.as_secs(),
        longest.end.as_secs() + 1
    );
    let mut said = String::new();
    for machine in [&fleet.one, &fleet.two] {
        said += &format!("{}:\n{}", machine.name, machine.run(&script)?);
    }
    bail!("{silences:?}, expected less than {DRAINED:?}\n{said}")
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

/// Waits until as many peers are at home at each relay, as this machine's sees it.
fn require_view(fleet: &Fleet, machine: &Machine, peers: [u64; 2]) -> Result<()> {
    let view = "import json, sys; print([relay[\"peers\"] for relay in \
                json.load(sys.stdin)[\"relays\"]])";
    machine
        .run(&format!(
            "view() {{ relay mesh status --json | python3 -c '{view}'; }}\n\
             for i in $(seq 60); do [ \"$(view)\" = '{peers:?}' ] && break; sleep 1; done\n\
             relay mesh status >&2; [ \"$(view)\" = '{peers:?}' ]"
        ))
        .map(drop)
        .with_context(|| said(fleet))
}

/// What the machines say of themselves and their tunnels.
fn said(fleet: &Fleet) -> String {
    let script = "date; relay mesh status; wg show all endpoints; wg show all latest-handshakes; \
                  ip netns exec node-b wg show 2>/dev/null | grep -v key || true; \
                  journalctl --unit relay-mesh --unit keepalived --unit relay --lines 60 \
                  --output short-precise --no-hostname";
    let of = |machine: &Machine| match machine.run(script) {
        Ok(said) => format!("{}:\n{said}", machine.name),
        Err(error) => format!("{}: {error:#}\n", machine.name),
    };
    [&fleet.one, &fleet.two].map(of).concat()
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

fn require_version(machine: &Machine, revision: u8) -> Result<()> {
    let version = machine.run("dpkg-query --show --showformat '${Version}' relay")?;
    ensure!(version.ends_with(&format!("-{revision}")), "{} has {version}", machine.name);
    Ok(())
}

/// The hash of the policy in force, which is also that of the programs.
fn programs(machine: &Machine) -> Result<Value> {
    let stats: Value = serde_json::from_str(&machine.run("relay stats --json")?)?;
    Ok(stats["policyHash"].clone())
}

/// The files, the package and the policy in force.
fn trace_of(machine: &Machine) -> Result<String> {
    let package =
        machine.run("dpkg-query --show relay; sha256sum /etc/keepalived/keepalived.conf")?;
    Ok(format!("{}{package}{}\n", files(machine)?, programs(machine)?))
}
