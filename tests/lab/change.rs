//! `relay up` on a running relay.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read as _, Write as _},
    net::IpAddr,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{
    Family, Lab, Peer, Site, deadline,
    footprint::Footprint,
    scenario, skip,
    traffic::{Echo, Flow, tcp::Connection},
};

use crate::watch::Watch;

#[test]
fn a_second_up_changes_nothing_and_reports_that() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let before = Unchanged::read(&lab)?;
        let report = lab.relay().up()?;
        ensure!(!report.changed && report.changes.is_empty(), "{report:?}");
        ensure!(report.schema_version == 1, "{report:?}");
        before.holds(&lab)?;

        let interface = lab.interface()?;
        let text = lab.relay().relay(&["up"])?.success("relay up")?;
        let last = text.trim_end().lines().last().unwrap_or_default();
        ensure!(last == format!("{interface}: no changes"), "relay up says {text:?}");
        before.holds(&lab)
    });
}

#[test]
fn a_change_touches_nothing_else_and_costs_no_session_and_no_packet() {
    scenario(skip::LAB, || {
        let mut lab = Lab::start(Site::one_to_many()?)?;
        for peer in lab.peers() {
            lab.widen(peer)?;
        }
        let names: Vec<String> = lab.site().names()?;
        let (a, b, c, d) = (&names[0], &names[1], &names[2], &names[3]);
        Watch::start(&lab)?
            .drops(lab.peer(b)?, lab.peer(c)?, Family::V4, "not_in_either_list")
            .context("before the pair is listed")?;
        let generation = lab.relay().stats()?.generation;
        let handshakes = Handshakes::read(&lab)?;
        let flow = Flow::start(lab.peer(a)?, lab.peer(d)?, Family::V4)?;

        // A pair.
        for (one, other) in [(b, c), (c, b)] {
            let addresses = lab.site().addresses(other)?;
            lab.site_mut().allow(one, &addresses)?;
        }
        let report = lab.up()?;
        ensure!(report.changed, "{report:?}");
        names_none_of(&report.changes, &[a, d])?;
        ensure!(lab.relay().stats()?.generation > generation, "no new generation");
        for family in Family::ALL {
            answers(lab.peer(b)?, lab.peer(c)?, family)?;
        }
        handshakes.hold(&lab, &[a, b, c, d])?;

        // A new peer.
        let e = "node-e".to_owned();
        let addresses = [IpAddr::from([10, 3, 2, 6]), "fd00::3:2:6".parse()?];
        lab.site_mut().add_peer(&e, &addresses)?;
        lab.site_mut().allow(a, &addresses)?;
        let administrator = lab.site().addresses(a)?;
        lab.site_mut().allow(&e, &administrator)?;
        let report = lab.up()?;
        ensure!(report.changed, "{report:?}");
        ensure!(report.changes.iter().any(|change| change.contains(&e)), "{report:?}");
        names_none_of(&report.changes, &[b, c, d])?;
        lab.join(&e)?;
        lab.connect([lab.peer(&e)?])?;
        for family in Family::ALL {
            answers(lab.peer(a)?, lab.peer(&e)?, family)?;
        }
        handshakes.hold(&lab, &[a, b, c, d])?;

        // Removes a peer.
        let gone = lab.site().addresses(c)?;
        for name in [a, b] {
            lab.site_mut().disallow(name, &gone)?;
        }
        lab.site_mut().remove_peer(c)?;
        let report = lab.up()?;
        // The configuration no longer names it, so only its key is known.
        let key = lab.site().private_key(c)?.public_key().to_string();
        let named = |change: &String| change.contains(c.as_str()) || change.contains(&key);
        ensure!(report.changes.iter().any(named), "{report:?}");
        names_none_of(&report.changes, &[d, &e])?;
        handshakes.hold(&lab, &[a, b, d])?;
        let left = lab.relay().wg(&lab.interface()?, "latest-handshakes")?;
        ensure!(!left.contains_key(&key), "{c} is still a peer");

        let (sent, answered) = flow.stop()?;
        ensure!(sent > 10, "a flow of only {sent} packets shows nothing");
        ensure!(sent == answered, "of {sent} pings {answered} were answered");
        let report = lab.relay().up()?;
        ensure!(!report.changed, "{report:?}");
        Ok(())
    });
}

#[test]
fn a_removed_pair_stops_at_once_with_its_connections() {
    scenario(skip::LAB, || {
        let mut lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.site().first()?;
        for family in Family::ALL {
            let listed = [lab.peer(&a)?.address(family)];
            let mut connection = Connection::between(lab.peer(&a)?, lab.peer(&b)?, family)?;
            connection.client.write_all(b"before")?;
            connection.server.read_exact(&mut [0; 6])?;

            lab.site_mut().disallow(&b, &listed)?;
            lab.up()?;
            let before = lab.relay().ledger()?;
            connection.client.write_all(b"after")?;
            let reason = format!("{a} dropped not_in_destination_list");
            deadline::until("three dropped packets of the connection", || {
                Ok((lab.relay().ledger()?.since(&before)?.get(&reason) >= 3).then_some(()))
            })?;
            connection.server.set_nonblocking(true)?;
            match connection.server.read(&mut [0; 16]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => anyhow::bail!("the connection went on: {other:?}"),
            }
            connection.server.set_nonblocking(false)?;

            // Only the policy interrupted it: with the pair back, TCP retransmits.
            lab.site_mut().allow(&b, &listed)?;
            lab.up()?;
            let mut late = [0; 5];
            connection.server.read_exact(&mut late)?;
            ensure!(&late == b"after", "{late:?} came late");
        }
        Ok(())
    });
}

#[test]
fn a_dry_run_shows_the_plan_and_does_nothing() {
    scenario(skip::LAB, || {
        let lab = Lab::relay_alone(Site::one_to_many()?)?;
        let before = Footprint::read(lab.relay())?;
        let plan = lab.relay().relay(&["up", "--dry-run"])?.success("relay up --dry-run")?;
        let interface = lab.interface()?;
        ensure!(plan.contains(&format!("+ interface {interface}")), "the plan is {plan}");
        let after = Footprint::read(lab.relay())?;
        ensure!(after == before, "a dry run left\n{}", after.difference(&before));
        ensure!(!lab.directory().join("private.key").exists(), "a dry run made the key");
        Ok(())
    });
}

/// Pings without a check of counters, which a parallel flow moves.
fn answers(from: &Peer, to: &Peer, family: Family) -> Result<()> {
    let mut echo = Echo::between(from, to, family)?;
    echo.send(3)?;
    let answers = echo.answers(3, Duration::from_secs(10))?;
    ensure!(answers == 3, "{} -> {}: {answers} of 3 answers", from.name(), to.name());
    Ok(())
}

fn names_none_of(changes: &[String], names: &[&String]) -> Result<()> {
    for name in names {
        let named = changes.iter().find(|change| change.contains(name.as_str()));
        ensure!(named.is_none(), "{named:?} is about {name}, which did not change");
    }
    Ok(())
}

/// The time of each peer's latest handshake with the relay.
struct Handshakes(BTreeMap<String, String>);

impl Handshakes {
    fn read(lab: &Lab) -> Result<Self> {
        Ok(Self(lab.relay().wg(&lab.interface()?, "latest-handshakes")?))
    }

    /// Checks that none of these peers had another handshake.
    fn hold(&self, lab: &Lab, names: &[&String]) -> Result<()> {
        let now = Self::read(lab)?;
        for name in names {
            let key = lab.site().private_key(name)?.public_key().to_string();
            let (then, now) = (self.0.get(&key), now.0.get(&key));
            ensure!(then.is_some() && then == now, "{name} shook hands at {then:?} and {now:?}");
        }
        Ok(())
    }
}

/// What a second `up` must not change.
struct Unchanged {
    footprint: Footprint,
    handshakes: Handshakes,
    generation: u64,
    policy_hash: String,
}

impl Unchanged {
    fn read(lab: &Lab) -> Result<Self> {
        let stats = lab.relay().stats()?;
        Ok(Self {
            footprint: Footprint::read(lab.relay())?,
            handshakes: Handshakes::read(lab)?,
            generation: stats.generation,
            policy_hash: stats.policy_hash,
        })
    }

    fn holds(&self, lab: &Lab) -> Result<()> {
        let now = Self::read(lab)?;
        ensure!(
            now.footprint == self.footprint,
            "the kernel's state changed:\n{}",
            now.footprint.difference(&self.footprint)
        );
        ensure!(now.handshakes.0 == self.handshakes.0, "sessions were lost");
        ensure!(now.generation == self.generation, "generation {}", now.generation);
        ensure!(now.policy_hash == self.policy_hash, "policy {}", now.policy_hash);
        Ok(())
    }
}
