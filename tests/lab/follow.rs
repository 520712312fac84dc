//! `relay follow` restores what others remove from a relay; no packet depends on it.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{Lab, Site, deadline, scenario, skip};

use crate::siege::Siege;

/// Time limit of a follower on an emulated machine, and how long it is watched when it must do
/// nothing.
const SECONDS: Duration = Duration::from_secs(20);
const A_WHILE: Duration = Duration::from_secs(3);

/// Time for a name to be looked up again, which is done each 30 seconds.
const LOOKED_UP: Duration = Duration::from_secs(60);

#[test]
fn a_removed_fence_is_restored_for_the_policy_in_force() {
    scenario(skip::LAB, || {
        let siege = Siege::lay()?;
        let host = siege.lab.relay().namespace();
        let mut follower = Follower::start(&siege.lab)?;
        for tampering in [
            "flush ruleset",
            "delete table inet relay_relay0",
            "flush chain inet relay_relay0 forward",
            "insert rule inet relay_relay0 prerouting accept",
        ] {
            host.run("nft", &[tampering])?;
            is_whole(&siege.lab).context(tampering)?;
            siege.is_sound().context(tampering)?;
        }
        follower.printed("fence inet relay_relay0 was gone; it is up again")?;
        follower.printed("fence inet relay_relay0 was changed; it is up again")?;

        // Edits that were not applied have no effect.
        let (before, standing) = (policy(&siege.lab)?, fence(&siege.lab)?);
        let mut edited = siege.lab.site().clone();
        edited.relay_mut()?.insert("egress".to_owned(), "stack".into());
        for text in [edited.text()?.as_str(), "no configuration"] {
            siege.lab.relay().write_config(text)?;
            host.run("nft", &["flush ruleset"])?;
            deadline::within(SECONDS, "the fence", || {
                Ok(fence(&siege.lab).is_ok_and(|fence| fence == standing).then_some(()))
            })?;
        }
        siege.lab.write_config()?;
        ensure!(policy(&siege.lab)? == before, "another policy is in force");

        // After `relay up`, it follows the new configuration.
        siege.lab.relay().write_config(&edited.text()?)?;
        siege.lab.relay().up()?;
        let standing = fence(&siege.lab)?;
        host.run("nft", &["flush ruleset"])?;
        deadline::within(SECONDS, "the fence with replies", || {
            Ok(fence(&siege.lab).is_ok_and(|fence| fence == standing).then_some(()))
        })?;
        siege.lab.write_config()?;
        siege.lab.relay().up()?;

        follower.kill()?;
        siege.is_sound().context("without a follower")?;
        host.run("nft", &["flush ruleset"])?;
        let mut follower = Follower::start(&siege.lab)?;
        is_whole(&siege.lab).context("one that is started later")?;
        siege.is_sound()?;

        // A relay that was taken down stays down.
        let (lab, _flown) = siege.raise()?;
        lab.relay().down()?;
        lab.relay().namespace().run("nft", &["add table inet others"])?;
        deadline::pass(A_WHILE);
        let tables = lab.relay().namespace().run("nft", &["list tables"])?;
        ensure!(tables == "table inet others\n", "{tables}");
        lab.relay().up()?;
        lab.relay().namespace().run("nft", &["flush ruleset"])?;
        is_whole(&lab).context("after down and up")?;
        follower.kill()
    });
}

#[test]
fn a_peer_that_is_not_heard_from_is_looked_up_again() {
    scenario(skip::LAB, || {
        const OWN: &str = "192.0.2.254:7";
        const ELSEWHERE: &str = "192.0.2.253:9";
        let mut site = Site::node_to_node()?;
        let [a, b] = site.first()?;
        site.set(&a, "own_endpoint", OWN)?;
        site.set(&b, "own_endpoint", "nobody.invalid:51820")?;
        let lab = Lab::start_with(site, &[])?;
        let key = |name: &str| Ok::<_, anyhow::Error>(lab.site().private_key(name)?.public_key());
        let (a, b) = (key(&a)?.to_string(), key(&b)?.to_string());
        let endpoint = |key: &str| -> Result<String> {
            lab.relay().wg("relay0", "endpoints")?.remove(key).context("a peer")
        };
        ensure!(endpoint(&a)? == OWN && endpoint(&b)? == "(none)");
        let up = lab.relay().relay(&["up"])?;
        ensure!(up.stderr.contains("nobody.invalid:51820 is not found"), "{}", up.stderr);
        ensure!(up.stdout.contains("no changes"), "{}", up.stdout);

        // Where it roamed to, `up` leaves it.
        let roam = || {
            let set = ["set", "relay0", "peer", &a, "endpoint", ELSEWHERE];
            lab.relay().namespace().run("wg", &set).map(drop)
        };
        roam()?;
        lab.relay().up()?;
        ensure!(endpoint(&a)? == ELSEWHERE);

        let mut follower = Follower::start(&lab)?;
        deadline::within(SECONDS, "its own endpoint", || Ok((endpoint(&a)? == OWN).then_some(())))?;
        follower.printed(&format!("~ peer node-a: endpoint {OWN}"))?;
        follower.kill()
    });
}

#[test]
fn a_peer_whose_name_gets_another_address_is_followed() {
    scenario(skip::LAB, || {
        let mut site = Site::node_to_node()?;
        let [a, _] = site.first()?;
        site.set(&a, "own_endpoint", "site.invalid:7")?;
        let lab = Lab::start_with(site, &[])?;
        let key = lab.site().private_key(&a)?.public_key().to_string();
        let is_at = |endpoint: &str| -> Result<()> {
            deadline::within(LOOKED_UP, endpoint, || {
                let endpoints = lab.relay().wg("relay0", "endpoints")?;
                Ok((endpoints.get(&key).context("a peer")? == endpoint).then_some(()))
            })
        };
        is_at("(none)")?;

        let hosts = lab.directory().join("hosts");
        fs::write(&hosts, "")?;
        let command = with_hosts(&lab.relay().command(&["follow"]), &hosts);
        let mut follower = Follower::run(&lab, command)?;
        for address in ["192.0.2.254", "192.0.2.253", "2001:db8::7"] {
            fs::write(&hosts, format!("{address} site.invalid\n"))?;
            let endpoint = SocketAddr::new(address.parse()?, 7).to_string();
            is_at(&endpoint)?;
            follower.printed(&format!("~ peer {a}: endpoint {endpoint}"))?;
        }
        follower.kill()
    });
}

#[test]
fn the_guard_follows_the_default_route_and_waits_for_named_interfaces() {
    scenario(skip::LAB, || {
        let mut site = Site::node_to_node()?;
        site.guard_mut()?.insert("initiations_per_second".to_owned(), 50.into());
        let mut lab = Lab::start(site)?;
        let host = lab.relay().namespace();
        let mut follower = Follower::start(&lab)?;
        let ip = |line: &str| host.ip_batch(line);
        ip("link add eth1 type dummy\naddress add 198.51.100.1/24 dev eth1\nlink set eth1 up\n")?;
        for (route, interface) in [
            ("route replace default dev eth1\n", "eth1"),
            ("route replace default via 192.0.2.254 dev eth0\n", "eth0"),
        ] {
            ip(route)?;
            guard_is_on(&lab, &[interface]).context(route)?;
        }
        ip("route del default\n")?;
        guard_is_on(&lab, &[])?;
        ip("route replace default via 192.0.2.254 dev eth0\n")?;
        guard_is_on(&lab, &["eth0"]).context("where none was")?;
        follower.printed("+ guard on eth1 (mode auto)")?;
        follower.printed("- guard on eth0")?;

        // Edited and not applied: no effect.
        let named = toml::Value::from(vec!["eth0", "eth7"]);
        lab.site_mut().guard_mut()?.insert("interfaces".to_owned(), named);
        let mut without = lab.site().clone();
        without.guard_mut()?.insert("enabled".to_owned(), false.into());
        lab.relay().write_config(&without.text()?)?;
        let host = lab.relay().namespace();
        let ip = |line: &str| host.ip_batch(line);
        ip("link set eth1 mtu 1400\n")?;
        deadline::pass(A_WHILE);
        guard_is_on(&lab, &["eth0"]).context("edited, not applied")?;

        ip("link add eth7 type dummy\n")?;
        lab.write_config()?;
        lab.relay().up()?;
        ip("link del eth7\n")?;
        guard_is_on(&lab, &["eth0"])?;
        ip("link add eth7 type dummy\n")?;
        guard_is_on(&lab, &["eth0", "eth7"]).context("appears later")?;

        follower.kill()?;
        guard_is_on(&lab, &["eth0", "eth7"]).context("without a follower")
    });
}

/// `relay follow` on the relay's host.
struct Follower {
    child: Child,
    log: PathBuf,
}

impl Follower {
    fn start(lab: &Lab) -> Result<Self> {
        Self::run(lab, lab.relay().command(&["follow"]))
    }

    fn run(lab: &Lab, mut command: Command) -> Result<Self> {
        let log = lab.directory().join("follow.log");
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = lab.relay().namespace().enter(|| command.spawn())??;
        let follower = Self { child, log };
        follower.printed("relay0: following fence and guard")?;
        Ok(follower)
    }

    /// Waits until it has printed this line.
    fn printed(&self, line: &str) -> Result<()> {
        deadline::within(SECONDS, line, || {
            let log = fs::read_to_string(&self.log)?;
            Ok(log.lines().any(|said| said == line).then_some(()))
        })
        .with_context(|| fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// As `kill -9` does.
    fn kill(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "{ended:?}: {}", fs::read_to_string(&self.log)?);
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // Fails if it was killed before.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The same command, for which this file is /etc/hosts.
fn with_hosts(command: &Command, hosts: &Path) -> Command {
    const INSIDE: &str = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "sh", "-c", INSIDE]).arg(hosts);
    inside.arg(command.get_program()).args(command.get_args());
    inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    inside
}

/// Waits until `relay status --check` finds no problem.
fn is_whole(lab: &Lab) -> Result<()> {
    deadline::within(SECONDS, "everything as configured", || {
        Ok((lab.relay().relay(&["status", "--check"])?.code == 0).then_some(()))
    })
}

/// Waits until the guard is on these interfaces and no others.
fn guard_is_on(lab: &Lab, expected: &[&str]) -> Result<()> {
    let mut found = Vec::new();
    deadline::within(SECONDS, "the guard", || {
        let interfaces = lab.relay().stats()?.guard.interfaces;
        let mut there: Vec<_> = interfaces
            .into_iter()
            .filter(|one| one.attached != "none")
            .map(|one| one.interface)
            .collect();
        there.sort();
        found = there;
        Ok((found == expected).then_some(()))
    })
    .with_context(|| format!("found {found:?}, expected {expected:?}"))
}

/// The fence as printed by `nft`, without counts.
fn fence(lab: &Lab) -> Result<String> {
    let listing = lab.relay().namespace().run("nft", &["-s", "list table inet relay_relay0"])?;
    ensure!(!listing.is_empty(), "no fence");
    Ok(listing)
}

/// Number and hash of the policy in force.
fn policy(lab: &Lab) -> Result<String> {
    let stats = lab.relay().stats()?;
    Ok(format!("{} {}", stats.generation, stats.policy_hash))
}
