//! The scenarios, in order: each starts from the state that the previous one of its group left.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::Fleet;
use crate::machine::Machine;
use crate::peers::Stream;
use crate::scenario::{Scenario, scenario};
use crate::site;
use crate::trace::{files, require_nothing_left, require_same};

/// Time limit for a datagram to reach the machine and be counted.
const PATIENCE: Duration = Duration::from_secs(60);

/// All of them. A group begins with machines on which nothing is installed.
const SCENARIOS: &[&[Scenario]] = &[ALONE, site::SCENARIOS];

/// Those with one of these texts in their names, and those before them in their groups, from which they
/// start; all without a text.
pub fn chosen(texts: &[String]) -> Vec<&'static Scenario> {
    let is_meant = |scenario: &Scenario| {
        texts.is_empty() || texts.iter().any(|text| scenario.name.contains(text.as_str()))
    };
    let of_group = |group: &&'static [Scenario]| {
        let last = group.iter().rposition(is_meant);
        group.iter().take(last.map_or(0, |last| last + 1))
    };
    SCENARIOS.iter().flat_map(of_group).collect()
}

/// Relays that know nothing of each other.
const ALONE: &[Scenario] = &[
    scenario("a fresh install of two relays, over which peers talk", fresh_install),
    scenario("what a relay counts is shown by a user who may do little else", served),
    scenario("a second run changes nothing", second_run),
    scenario("check mode shows the difference and touches nothing", check_mode),
    scenario("adding a peer changes nothing else, and loses no packet", another_peer),
    scenario("a broken configuration stops before it touches the host", broken_configuration),
    scenario("a rule is shown before it applies, and a failing test stops the roll-out", ruled),
    scenario("a change that fails its gate is rolled back", failed_gate),
    scenario("what is lent outlasts a roll-back, and what was revoked stays away", lent),
    scenario("a policy that would drop what flows is tried and not applied", tried),
    scenario("a limit leaves others alone", limit),
    scenario("the guard drops forged messages, in the driver of a network card", forged),
    scenario(
        "the fence comes back after a flush, under traffic, and the guard follows the route",
        follow,
    ),
    scenario("an upgrade swaps the generation and loses no packet and no count", upgrade),
    scenario("a reboot comes back relaying", reboot),
    scenario("a second relay on one host, by the template", second_relay),
    scenario("a purge takes a relay down whose directory somebody removed", purge_of_a_relay_alone),
    scenario("removing the package keeps the configuration, a purge keeps the keys", package_alone),
    scenario("removal leaves nothing", removal),
];

fn fresh_install(fleet: &mut Fleet) -> Result<()> {
    let variables = fleet.variables(&[&fleet.peers[1]]);
    fleet.play(&variables, &[])?.went_well_on(&["one", "two"])?;
    let clients = fleet.clients();
    for machine in [&fleet.one, &fleet.two] {
        let [a, b, _] = &fleet.peers;
        a.connect(machine, &clients)?;
        b.connect(machine, &clients)?;
        a.require_reach(b, machine)?;
        b.require_reach(a, machine)?;
    }
    let key = field(&fleet.two.run("relay stats --json")?, "publicKey")?;
    if key != fleet.vaulted.1.as_str() {
        bail!("public key of two: found {key}, expected that of the key in the vault");
    }
    let modes =
        fleet.one.run("stat -c '%a %n' /etc/relay /etc/relay/private.key /etc/relay/psk/*")?;
    let expected = "700 /etc/relay\n600 /etc/relay/private.key\n600 /etc/relay/psk/node-a\n";
    if modes != expected {
        bail!("found modes {modes:?}, expected {expected:?}");
    }
    Ok(())
}

fn served(fleet: &mut Fleet) -> Result<()> {
    let [a, b, _] = &fleet.peers;
    a.require_reach(b, &fleet.one)?;
    let page = |path: &str| {
        format!(
            "python3 -c 'import urllib.request as u; \
             print(u.urlopen(\"http://127.0.0.1:9586/{path}\", timeout=30).read().decode())'"
        )
    };
    // Higher is worse; the threshold is in tenths.
    fleet.one.run("systemd-analyze security --threshold=20 relay-serve.service")?;
    let user = fleet.one.run("ps -o uid= -p $(systemctl show -P MainPID relay-serve)")?;
    // Those that systemd gives to a unit while it runs.
    if !user.trim().parse().is_ok_and(|user: u32| (61184..=65519).contains(&user)) {
        bail!("relay serve runs as {user:?}, expected a user of its own");
    }
    let served: Value = serde_json::from_str(&fleet.one.run(&page("api/v1/stats"))?)?;
    let printed: Value = serde_json::from_str(&fleet.one.run("relay stats --json")?)?;
    let keys = |stats: &Value| {
        stats["peers"]
            .as_array()
            .map(|peers| peers.iter().map(|peer| peer["publicKey"].clone()).collect::<Vec<_>>())
    };
    if keys(&served).is_none() || keys(&served) != keys(&printed) {
        bail!("served {served}, expected the peers of {printed}");
    }
    for (path, words) in [
        ("metrics", "wireguard_peer_receive_bytes_total{"),
        ("api/v1/status", "\"generation\""),
        ("api/v1/explain?from=node-a&to=node-b", "\"allowed\""),
        ("api/v1/diff", "\"differs\""),
        ("api/v1/flows", "["),
        ("api/v1/graph", "\"peers\""),
        ("", "<html"),
    ] {
        let said = fleet.one.run(&page(path))?;
        if !said.contains(words) {
            bail!("/{path} has no {words}:\n{said}");
        }
    }
    // A unit that stops records what was counted until then, and root reads it.
    a.require_reach(b, &fleet.one)?;
    let counted = relayed(&fleet.one)?;
    fleet.one.run("systemctl restart relay-serve")?;
    let usage = fleet.one.run(
        "relay usage --json || { journalctl --no-pager -n 20 -u relay-serve >&2; \
         ls -la /var/lib/relay/ /var/lib/relay/history/ >&2; exit 1; }",
    )?;
    let usage: Value = serde_json::from_str(&usage)?;
    let recorded = usage["peers"].as_array().into_iter().flatten();
    let recorded: u64 = recorded.filter_map(|peer| peer["relayed"]["rxPackets"].as_u64()).sum();
    // What was counted before the first sample is not in it.
    if recorded == 0 || recorded > counted + 10 {
        bail!("the history has {recorded} packets, expected some of {counted}: {usage}");
    }
    let owner = fleet.one.run("stat -Lc '%u %a' /var/lib/relay/history")?;
    if owner != format!("{} 700\n", user.trim()) {
        bail!("the history's directory is {owner:?}, expected that of user {user:?}");
    }
    Ok(())
}

fn second_run(fleet: &mut Fleet) -> Result<()> {
    let variables = fleet.variables(&[&fleet.peers[1]]);
    let before = trace_of(&fleet.one)?;
    // Verbose output has the arguments of every module, which must not include keys.
    let changed = fleet.play(&variables, &["-vvv"])?.went_well_on(&["one", "two"])?;
    if changed != [0, 0] {
        bail!("found {changed:?} changed tasks, expected none");
    }
    require_same(&before, &trace_of(&fleet.one)?)
}

fn check_mode(fleet: &mut Fleet) -> Result<()> {
    let variables = fleet.variables(&[&fleet.peers[1], &fleet.peers[2]]);
    let before = trace_of(&fleet.one)?;
    let play = fleet.play(&variables, &["--check", "--diff", "--limit", "one"])?;
    play.went_well_on(&["one"])?;
    let line = format!("+public_key = {:?}", fleet.peers[2].public_key);
    if !play.text.contains(&line) {
        bail!("expected {line:?} in the difference, found:\n{}", play.text.trim_end());
    }
    require_same(&before, &trace_of(&fleet.one)?)
}

fn another_peer(fleet: &mut Fleet) -> Result<()> {
    let variables = fleet.variables(&[&fleet.peers[1], &fleet.peers[2]]);
    let before = transferred(&fleet.one)?;
    let stream = Stream::start(&fleet.one, &fleet.peers[0], &fleet.peers[1])?;
    let changed = fleet.play(&variables, &[])?.went_well_on(&["one", "two"])?;
    stream.require_whole(&fleet.one)?;
    if changed != [3, 3] {
        bail!(
            "found {changed:?} changed tasks, expected 3: the peers' file, the kernel, and the \
             clients' files"
        );
    }
    // A peer that is removed and added again starts at zero.
    let after = transferred(&fleet.one)?;
    if before.iter().any(|(key, bytes)| after.iter().all(|(k, b)| k != key || b < bytes)) {
        bail!("found transfers {after:?}, expected none lower than in {before:?}");
    }
    let clients = fleet.clients();
    let [a, b, c] = &fleet.peers;
    for machine in [&fleet.one, &fleet.two] {
        c.connect(machine, &clients)?;
        // The administrator's own configuration must list it too.
        machine.run(&format!(
            "ip netns exec node-a wg set node-a peer \"$(relay stats --json | {PUBLIC_KEY})\" \
             allowed-ips {}/32,{}/32; ip -n node-a route replace {}/32 dev node-a",
            b.address(),
            c.address(),
            c.address()
        ))?;
        c.require_reach(a, machine)?;
        b.require_no_reach(c, machine)?;
    }
    Ok(())
}

fn broken_configuration(fleet: &mut Fleet) -> Result<()> {
    let mut variables = fleet.variables(&[&fleet.peers[1], &fleet.peers[2]]);
    variables["relay_peers"]["node-c"]["address"] = json!([fleet.peers[1].address()]);
    let before = [trace_of(&fleet.one)?, trace_of(&fleet.two)?];
    fleet.play(&variables, &[])?.stopped_on("one", "belongs to node-b")?;
    require_same(&before[0], &trace_of(&fleet.one)?)?;

    // A main file that does not match the peers.
    let mut variables = fleet.variables(&[&fleet.peers[1], &fleet.peers[2]]);
    variables["relay_settings"]["address"] = json!(["10.9.9.1/24"]);
    fleet.play(&variables, &[])?.stopped_on("one", "is outside the overlay")?;
    require_same(&before[0], &trace_of(&fleet.one)?)?;
    require_same(&before[1], &trace_of(&fleet.two)?)
}

fn ruled(fleet: &mut Fleet) -> Result<()> {
    let plain = fleet.variables(&[&fleet.peers[1], &fleet.peers[2]]);
    let (b, c) = (fleet.peers[1].name, fleet.peers[2].name);
    let explain = format!("relay explain {c} {b} icmp/echo");
    let mut variables = plain.clone();
    variables["relay_groups"] = json!({ "nodes": [b, c] });
    variables["relay_rules"] =
        json!({ "ping": { "from": [c], "to": ["group:nodes"], "ports": ["icmp/echo"] } });
    variables["relay_tests"] = json!([{ "from": c, "to": b, "allow": ["icmp/echo"] }]);

    // Machine one shows what the rule opens, before it is asked to apply it.
    let play = fleet.play(&variables, &[])?;
    play.went_well_on(&["one", "two"])?;
    let shown = play.text.find(&format!("{c} → {b}: icmp/echo (rule ping)"));
    let applied = play.text.find("Apply the configuration");
    if shown.is_none() || shown > applied {
        bail!("expected what the rule opens before it is applied:\n{}", play.text.trim_end());
    }
    for machine in [&fleet.one, &fleet.two] {
        machine.run(&explain)?;
    }

    let before = [trace_of(&fleet.one)?, trace_of(&fleet.two)?];
    variables["relay_tests"] = json!([{ "from": c, "to": b, "deny": ["icmp/echo"] }]);
    fleet.play(&variables, &[])?.stopped_on("one", "passes by rule ping")?;
    for (machine, before) in [&fleet.one, &fleet.two].into_iter().zip(&before) {
        require_same(before, &trace_of(machine)?)?;
        machine.run(&explain)?;
    }

    fleet.play(&plain, &[])?.went_well_on(&["one", "two"]).map(drop)
}

fn failed_gate(fleet: &mut Fleet) -> Result<()> {
    // The configuration is valid, but the gate's ping cannot succeed.
    let mut variables = fleet.variables(&[&fleet.peers[1]]);
    let [a, _, c] = &fleet.peers;
    let gate = ["ip", "netns", "exec", c.name, "ping", "-c1", "-w3", &a.address()].map(json_text);
    variables["relay_gate_command"] = Value::Array(gate.to_vec());
    let before = [files(&fleet.one)?, files(&fleet.two)?];
    let hash = policy(&fleet.one)?;
    fleet.play(&variables, &[])?.stopped_on("one", "The change was rolled back")?;
    require_same(&before[0], &files(&fleet.one)?)?;
    require_same(&before[1], &files(&fleet.two)?)?;
    if policy(&fleet.one)? != hash {
        bail!("the previous policy is not in force");
    }
    fleet.one.run("relay status --check")?;
    let [a, b, c] = &fleet.peers;
    c.require_reach(a, &fleet.one)?;
    b.require_reach(a, &fleet.one)
}

fn lent(fleet: &mut Fleet) -> Result<()> {
    let (b, c) = (fleet.peers[1].name, fleet.peers[2].name);
    let name = format!("lent-{c}-{b}");
    let lend = |service: &str| format!("relay lend {c} {b} {service} --for 1h");
    let revoke = format!("relay lend --revoke {name}");
    fleet.one.run(&lend("tcp/22"))?;
    // A run that was cut off has left its backup.
    fleet.one.run("cp --archive /etc/relay /var/lib/relay/previous")?;
    fleet.one.run(&revoke)?;
    fleet.one.run(&lend("tcp/23"))?;

    let mut variables = fleet.variables(&[&fleet.peers[1], &fleet.peers[2]]);
    variables["relay_rules"] =
        json!({ "ping": { "from": [c], "to": [b], "ports": ["icmp/echo"] } });
    variables["relay_gate_command"] = json!(["false"]);
    variables["relay_gate_retries"] = json!(1);
    fleet.play(&variables, &[])?.stopped_on("one", "The change was rolled back")?;
    fleet.one.run("relay status --check")?;
    fleet.one.run(&format!("! relay explain {c} {b} icmp/echo"))?;
    fleet.one.run(&format!("relay explain {c} {b} tcp/23"))?;
    fleet.one.run(&format!("! relay explain {c} {b} tcp/22"))?;

    // Its peer does not go before it.
    let mut variables = fleet.variables(&[&fleet.peers[1], &fleet.peers[2]]);
    variables["relay_peers"].as_object_mut().context("no peers")?.remove(c);
    let before = trace_of(&fleet.one)?;
    fleet.play(&variables, &[])?.stopped_on("one", &format!("{name}.toml"))?;
    require_same(&before, &trace_of(&fleet.one)?)?;
    fleet.one.run(&revoke).map(drop)
}

fn tried(fleet: &mut Fleet) -> Result<()> {
    let plain = fleet.variables(&[&fleet.peers[1], &fleet.peers[2]]);
    let mut variables = plain.clone();
    variables["relay_peers"][fleet.peers[1].name]["enabled"] = json!(false);
    variables["relay_try_minutes"] = json!(1);
    let before = files(&fleet.one)?;
    let hash = policy(&fleet.one)?;
    let stream = Stream::start(&fleet.one, &fleet.peers[0], &fleet.peers[1])?;
    fleet.play(&variables, &[])?.stopped_on("one", "would drop what flows now")?;
    stream.require_whole(&fleet.one)?;
    require_same(&before, &files(&fleet.one)?)?;
    if policy(&fleet.one)? != hash {
        bail!("the previous policy is not in force");
    }
    fleet.one.run("relay status --check && ! relay try --report")?;

    // What is dropped is intended.
    variables["relay_try_drops"] = json!(true);
    let stream = Stream::start(&fleet.one, &fleet.peers[0], &fleet.peers[1])?;
    let play = fleet.play(&variables, &["--limit", "one"])?;
    play.went_well_on(&["one"])?;
    if !play.text.contains("it would drop:") {
        bail!("expected what the policy would drop, found:\n{}", play.text.trim_end());
    }
    stream.require_whole(&fleet.one)?;
    let [a, b, _] = &fleet.peers;
    b.require_no_reach(a, &fleet.one)?;
    fleet.play(&plain, &["--limit", "one"])?.went_well_on(&["one"])?;
    let [a, b, _] = &fleet.peers;
    b.require_reach(a, &fleet.one)
}

fn limit(fleet: &mut Fleet) -> Result<()> {
    let variables = fleet.variables(&[&fleet.peers[1]]);
    let before = [trace_of(&fleet.one)?, trace_of(&fleet.two)?];
    fleet.play(&variables, &["--limit", "two"])?.went_well_on(&["two"])?;
    require_same(&before[0], &trace_of(&fleet.one)?)?;
    if trace_of(&fleet.two)? == before[1] {
        bail!("two did not change");
    }
    let [a, _, c] = &fleet.peers;
    c.require_no_reach(a, &fleet.two)?;
    c.require_reach(a, &fleet.one)
}

fn forged(fleet: &mut Fleet) -> Result<()> {
    let machine = &fleet.one;
    machine.run("relay status | grep -qx '  guard: eth0 by driver'")?;
    let counts = || -> Result<Value> {
        let stats: Value = serde_json::from_str(&machine.run("relay stats --json")?)?;
        Ok(stats["guard"]["messages"].clone())
    };
    let before = counts()?;
    // Well-formed with a MAC1 of zeros, malformed, and data of an unknown session.
    for (outcome, kind, len) in [("bad_mac1", 1, 148), ("malformed", 1, 147), ("data", 4, 48)] {
        let mut message = vec![0; len];
        message[0] = kind;
        machine.send_to_relay(&message)?;
        let started = Instant::now();
        while counts()?[outcome] == before[outcome] {
            if started.elapsed() > PATIENCE {
                bail!("{} did not count a message as {outcome}", machine.name);
            }
        }
    }
    let now = counts()?;
    let moved = |outcome: &str| now[outcome].as_u64() != before[outcome].as_u64();
    if moved("initiation") || moved("response") {
        bail!("found {now}, expected no accepted handshakes since {before}");
    }
    Ok(())
}

fn follow(fleet: &mut Fleet) -> Result<()> {
    let machine = &fleet.one;
    machine.run("systemctl is-active relay-follow")?;
    let stream = Stream::start(machine, &fleet.peers[0], &fleet.peers[1])?;
    for flush in ["nft flush ruleset", "nft delete table inet relay_relay0"] {
        machine.run(flush)?;
        sound_again(machine)?;
    }
    stream.require_whole(machine)?;
    // The guard follows the default route, there and back.
    let route = machine.run("ip route show default | head -1")?;
    machine.run(
        "ip link add dummy7 type dummy && ip address add 198.51.100.1/24 dev dummy7\n\
         ip link set dummy7 up && ip route replace default dev dummy7 metric 0",
    )?;
    guarded_again(machine, "dummy7")?;
    machine.run(&format!("ip link del dummy7; ip route replace {}", route.trim()))?;
    guarded_again(machine, "eth0")?;
    sound_again(machine)?;
    // A kill does no harm, and systemd restarts it.
    machine.run(
        "systemctl kill --signal=KILL relay-follow && relay status --check\n\
         for i in $(seq 60); do systemctl is-active --quiet relay-follow && break; sleep 1; done\n\
         systemctl is-active relay-follow",
    )?;
    machine.run("systemctl reload relay").map(drop)
}

fn sound_again(machine: &Machine) -> Result<()> {
    let look = "for i in $(seq 30); do relay status --check && break; sleep 1; done 2>/dev/null\n\
                relay status --check";
    machine.run(look).map(drop)
}

fn guarded_again(machine: &Machine, interface: &str) -> Result<()> {
    let look = format!("relay status | grep -q '  guard: .*{interface} by'");
    let wait = format!("for i in $(seq 30); do {look} && break; sleep 1; done; {look}");
    machine.run(&wait).map(drop)
}

fn upgrade(fleet: &mut Fleet) -> Result<()> {
    let mut variables = fleet.variables(&[&fleet.peers[1], &fleet.peers[2]]);
    // By URL, as from a mirror.
    fleet.one.put(&fleet.packages.second, "/srv/relay.deb")?;
    fleet.one.run(
        "systemd-run --quiet --unit mirror python3 -m http.server --bind 127.0.0.1 \
         --directory /srv 8000",
    )?;
    let sum = fleet.one.run("sha256sum /srv/relay.deb | cut -d ' ' -f 1")?;
    variables["relay_deb"] = json!("http://127.0.0.1:8000/relay.deb");
    variables["relay_deb_checksum"] = json!(format!("sha256:{}", sum.trim()));
    let (generation, counted) = (policy(&fleet.one)?, relayed(&fleet.one)?);
    let guard_before = guard(&fleet.one)?;
    let files_before = files(&fleet.one)?;
    let stream = Stream::start(&fleet.one, &fleet.peers[0], &fleet.peers[1])?;
    fleet.play(&variables, &["--limit", "one"])?.went_well_on(&["one"])?;
    let answered = stream.require_whole(&fleet.one)?;
    if policy(&fleet.one)? == generation {
        bail!("the upgrade did not replace the programs in force");
    }
    if guard(&fleet.one)? == guard_before {
        bail!("the upgrade did not replace the guard in force");
    }
    let now = relayed(&fleet.one)?;
    if now < counted + 2 * answered {
        bail!("found {now} relayed packets, expected at least {counted} and twice {answered}");
    }
    require_same(&files_before, &files(&fleet.one)?)?;
    fleet.one.run("dpkg -s relay | grep -q 'Version: .*-2$' && relay status --check")?;
    fleet.one.run("systemctl stop mirror && rm /srv/relay.deb").map(drop)
}

fn reboot(fleet: &mut Fleet) -> Result<()> {
    // What is used of a quota outlives it, too.
    fleet.one.run(
        "cp --archive /etc/relay/relay.toml /root/plain.toml\n\
         sed -i '/^\\[defaults\\]/a quota = \"1 GB/month\"' /etc/relay/relay.toml\n\
         systemctl reload relay && systemctl is-active relay-quota.timer",
    )?;
    let [a, b, _] = &fleet.peers;
    a.require_reach(b, &fleet.one)?;
    // As the timer does.
    fleet.one.run("systemctl start relay-quota.service")?;
    let used = quotas(&fleet.one)?;
    if used.values().all(|used| *used == 0) {
        bail!("found {used:?}, expected that something is used of the quotas");
    }
    let before = files(&fleet.one)?;
    fleet.one.reboot()?;
    require_same(&before, &files(&fleet.one)?)?;
    fleet.one.run("systemctl is-active relay && relay status --check")?;
    guard(&fleet.one)?;
    let kept = quotas(&fleet.one)?;
    if kept.iter().any(|(peer, kept)| used.get(peer).is_none_or(|used| kept < used)) {
        bail!("found {kept:?} of the quotas after the reboot, expected at least {used:?}");
    }
    fleet.one.run("mv /root/plain.toml /etc/relay/relay.toml && systemctl reload relay")?;
    // The peers' namespaces went with the reboot.
    let clients = fleet.clients();
    let [a, b, _] = &fleet.peers;
    for peer in [a, b] {
        peer.plug_in(&fleet.one)?;
        peer.connect(&fleet.one, &clients)?;
    }
    a.require_reach(b, &fleet.one)?;
    b.require_reach(a, &fleet.one)?;
    fleet
        .one
        .run("systemctl daemon-reload && systemctl is-active relay && relay status | grep up")?;
    a.require_reach(b, &fleet.one)
}

fn second_relay(fleet: &mut Fleet) -> Result<()> {
    let before = trace_of(&fleet.two)?;
    fleet.two.run(&format!(
        "umask 077\n\
         cat >/etc/relay/second.toml <<'END'\n\
         [relay]\ninterface = \"relay1\"\nlisten_port = 51821\naddress = [\"10.4.0.1/24\"]\n\
         private_key_file = \"/etc/relay/second.key\"\n\
         [[peer]]\nname = \"node-b\"\npublic_key = \"{}\"\naddress = [\"10.4.0.2\"]\n\
         END\n\
         systemd-analyze verify relay.service relay@second.service \
         relay-follow.service relay-follow@second.service\n\
         systemctl start relay@second\n\
         timeout 60 sh -c 'until systemctl is-active relay-follow@second; do sleep 1; done'\n\
         relay --config /etc/relay/second.toml status --check\n\
         wg show relay1 listen-port | grep -qx 51821\n\
         systemctl stop relay@second\n\
         if systemctl is-active relay-follow@second; then exit 1; fi\n\
         if ip link show relay1 2>/dev/null; then exit 1; fi\n\
         rm /etc/relay/second.toml /etc/relay/second.key",
        fleet.peers[1].public_key
    ))?;
    require_same(&before, &trace_of(&fleet.two)?)
}

fn purge_of_a_relay_alone(fleet: &mut Fleet) -> Result<()> {
    let said = fleet.two.run(
        "relay status --check && cp -a /etc/relay /root/kept && rm -r /etc/relay\n\
         dpkg --purge relay 2>&1",
    )?;
    for words in ["is left", "kept, because"] {
        if said.contains(words) {
            bail!("expected a purge that leaves nothing, found:\n{}", said.trim_end());
        }
    }
    let left = fleet.two.run(
        "ls -d /etc/relay /run/relay /var/lib/relay 2>/dev/null || true\n\
         find /sys/fs/bpf -mindepth 1\n\
         ip -o link show type wireguard\n\
         nft list tables | grep relay || true",
    )?;
    if !left.trim().is_empty() {
        bail!("two still has:\n{}", left.trim_end());
    }
    fleet.two.run(
        "cp -a /root/kept /etc/relay && rm -r /root/kept\n\
         dpkg --install /var/cache/relay.deb && systemctl is-enabled relay && relay status --check",
    )?;
    Ok(())
}

fn package_alone(fleet: &mut Fleet) -> Result<()> {
    let before = files(&fleet.two)?;
    // A relay brought up by hand goes down too.
    fleet.two.run(
        "systemctl stop relay && relay up && dpkg --remove relay\n\
         ! ip link show relay0 2>/dev/null",
    )?;
    require_same(&before, &files(&fleet.two)?)?;
    // It relays again when reinstalled, as its configuration is still there.
    fleet.two.run(
        "dpkg --install /var/cache/relay.deb && systemctl is-enabled relay && relay status --check",
    )?;
    let said = fleet.two.run("dpkg --purge relay 2>&1")?;
    for words in ["/etc/relay/private.key", "rm -r /etc/relay"] {
        if !said.contains(words) {
            bail!("expected the purge to print {words}, found:\n{}", said.trim_end());
        }
    }
    let left = fleet.two.run("find /etc/relay -type f | sort")?;
    if left != "/etc/relay/private.key\n/etc/relay/psk/node-a\n" {
        bail!("expected only the keys to remain, found:\n{left}");
    }
    Ok(())
}

fn removal(fleet: &mut Fleet) -> Result<()> {
    let mut variables = fleet.variables(&[&fleet.peers[1]]);
    variables["relay_state"] = json!("absent");
    let before = trace_of(&fleet.one)?;
    fleet.play(&variables, &["--check", "--diff", "--limit", "one"])?.went_well_on(&["one"])?;
    require_same(&before, &trace_of(&fleet.one)?)?;
    fleet.play(&variables, &[])?.went_well_on(&["one", "two"])?;
    for machine in [&fleet.one, &fleet.two] {
        require_nothing_left(machine)?;
    }
    let changed = fleet.play(&variables, &["--limit", "one"])?.went_well_on(&["one"])?;
    if changed != [0] {
        bail!("found {changed:?} changed tasks in a second removal, expected none");
    }
    Ok(())
}

fn json_text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// Extracts the relay's public key from `relay stats --json`.
const PUBLIC_KEY: &str =
    "python3 -c 'import json, sys; print(json.load(sys.stdin)[\"publicKey\"])'";

/// The files, and the generation and guard in force.
fn trace_of(machine: &Machine) -> Result<String> {
    let stats = machine.run("relay stats --json")?;
    let stats: Value = serde_json::from_str(&stats).context("`relay stats` wrote no JSON")?;
    Ok(format!(
        "{}generation {}\nguard {}\n",
        files(machine)?,
        stats["generation"],
        guard(machine)?
    ))
}

/// The kernel's id of the guard's program on eth0.
fn guard(machine: &Machine) -> Result<String> {
    machine.run("ip link show eth0 | grep -o 'prog/xdp id [0-9]*'")
}

/// The hash of the policy in force.
fn policy(machine: &Machine) -> Result<String> {
    field(&machine.run("relay stats --json")?, "policyHash")
}

fn field(text: &str, name: &str) -> Result<String> {
    let value: Value = serde_json::from_str(text).context("`relay stats` wrote no JSON")?;
    let field = value[name].as_str().with_context(|| format!("`relay stats` has no {name}"))?;
    Ok(field.to_owned())
}

/// What each peer has used of its quota, bytes.
fn quotas(machine: &Machine) -> Result<BTreeMap<String, u64>> {
    let value: Value = serde_json::from_str(&machine.run("relay quota --json")?)?;
    let quotas = value["quotas"].as_array().context("`relay quota` has no quotas")?;
    let used =
        |quota: &Value| Some((quota["peer"].as_str()?.to_owned(), quota["usedBytes"].as_u64()?));
    quotas.iter().map(|quota| used(quota).context("a quota without a peer or bytes")).collect()
}

/// The number of relayed packets.
fn relayed(machine: &Machine) -> Result<u64> {
    let value: Value = serde_json::from_str(&machine.run("relay stats --json")?)?;
    let packets = &value["totals"]["relayed"]["rxPackets"];
    packets.as_u64().context("`relay stats` has no totals.relayed.rxPackets")
}

/// Bytes received from each public key.
fn transferred(machine: &Machine) -> Result<Vec<(String, u64)>> {
    let text = machine.run("wg show relay0 transfer")?;
    Ok(text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_scenario_comes_with_those_before_it_in_its_group() {
        let chosen = |text: &str| -> Vec<_> {
            super::chosen(&[text.to_owned()]).iter().map(|scenario| scenario.name).collect()
        };
        let [first, second, ..] = ALONE else { panic!("there are scenarios") };
        assert_eq!(chosen(second.name), [first.name, second.name]);
        assert_eq!(chosen(ALONE[0].name), [ALONE[0].name]);
        assert_eq!(chosen("a site").len(), site::SCENARIOS.len());
        assert!(chosen("no such scenario").is_empty());
        assert_eq!(super::chosen(&[]).len(), ALONE.len() + site::SCENARIOS.len());
    }
}
