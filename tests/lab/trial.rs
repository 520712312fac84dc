//! `relay try`: a candidate beside the policy in force, on real traffic.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{Family, Lab, Site, deadline, scenario, schema, skip, traffic::Echo};
use serde_json::Value;

#[test]
fn a_trial_tells_what_a_candidate_would_drop_and_changes_nothing() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.first()?;
        let before = lab.relay().stats()?;
        let candidate = without(&lab, a.name(), b.name())?;
        lab.relay().relay(&["try", &candidate])?.success("relay try")?;
        let during = lab.relay().stats()?;
        ensure!(during.policy_hash == before.policy_hash && during.generation > before.generation);
        lab.relay().require_sound()?;
        ensure!(!lab.relay().up()?.changed, "up ended the trial");
        let nothing = lab.relay().relay(&["try", "--check"])?;
        nothing.success("relay try --check")?;

        for family in Family::ALL {
            let mut echo = Echo::between(a, b, family)?;
            echo.send(3)?;
            ensure!(echo.answers(3, deadline::PATIENCE)? == 3, "{family:?} is not answered");
        }
        let found = report(&lab)?;
        let found = found["differences"].as_array().context("differences")?;
        ensure!(found.len() == 2, "{found:#?}");
        for (from, to, reason) in [
            (a.name(), b.name(), "not_in_destination_list"),
            (b.name(), a.name(), "not_in_source_list"),
        ] {
            let is_it = |one: &&Value| one["from"] == *from && one["to"] == *to;
            let one = found.iter().find(is_it).context("the pair")?;
            ensure!(one["change"] == "drops" && one["candidate"] == *reason, "{one:#}");
            ensure!(one["inForce"] == "peer" && one["service"] == "icmp/echo", "{one:#}");
            ensure!(one["packets"] == 6, "{one:#}");
        }
        let check = lab.relay().relay(&["try", "--check"])?;
        ensure!(check.code == 1 && check.stdout.contains("it would drop"), "{check:?}");

        lab.relay().relay(&["try", "--stop"])?.success("relay try --stop")?;
        let after = lab.relay().stats()?;
        ensure!(after.policy_hash == before.policy_hash, "{before:?} became {after:?}");
        let none = lab.relay().relay(&["try", "--report"])?;
        ensure!(none.failure(1)?.contains("no candidate is tried"), "{none:?}");
        is_gone(&lab)?;
        lab.relay().require_sound()
    });
}

#[test]
fn another_policy_ends_a_trial_and_says_so() {
    scenario(skip::LAB, || {
        let mut lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.site().first()?;
        let candidate = without(&lab, &a, &b)?;
        lab.relay().relay(&["try", &candidate])?.success("relay try")?;
        let listed = lab.site().addresses(&a)?;
        lab.site_mut().disallow(&b, &listed)?;
        let report = lab.up()?;
        let said = "- trial: ends with the policy";
        ensure!(report.changes.iter().any(|change| change == said), "{report:?}");
        is_gone(&lab)?;
        lab.relay().require_sound()
    });
}

#[test]
fn up_takes_off_what_is_left_of_a_trial() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.first()?;
        let candidate = without(&lab, a.name(), b.name())?;
        lab.relay().relay(&["try", &candidate])?.success("relay try")?;
        let pin = lab.relay().pins(&lab.interface()?)?.join("trial_link");
        if !pin.exists() {
            // Before kernel 6.6 it is a filter.
            return Ok(());
        }
        // Its program goes with the link.
        fs::remove_file(&pin)?;
        let status = lab.relay().relay(&["status", "--check"])?;
        ensure!(status.code == 1 && status.stderr.contains("only in part"), "{status:?}");
        let failed = lab.relay().relay(&["try", "--report"])?;
        ensure!(failed.failure(1)?.contains("`relay up`"), "{failed:?}");
        lab.relay().up()?;
        is_gone(&lab)?;
        lab.relay().require_sound()
    });
}

#[test]
fn a_candidate_for_another_interface_is_an_error_and_starts_nothing() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let mut site = lab.site().clone();
        site.relay_mut()?.insert("interface".to_owned(), "other0".into());
        let candidate = write(&lab, &site)?;
        let failed = lab.relay().relay(&["try", &candidate])?;
        ensure!(failed.failure(2)?.contains("found interface other0"), "{failed:?}");
        is_gone(&lab)
    });
}

/// The configuration of the lab in which `b` no longer lists `a`, as a file.
fn without(lab: &Lab, a: &str, b: &str) -> Result<String> {
    let mut site = lab.site().clone();
    let listed = site.addresses(a)?;
    site.disallow(b, &listed)?;
    write(lab, &site)
}

/// A directory of its own, so that it has no fragments.
fn write(lab: &Lab, site: &Site) -> Result<String> {
    let directory: PathBuf = lab.directory().join("candidate");
    fs::create_dir_all(&directory)?;
    let file = directory.join("relay.toml");
    fs::write(&file, site.text()?)?;
    Ok(file.to_str().context("a path in UTF-8")?.to_owned())
}

fn report(lab: &Lab) -> Result<Value> {
    let text = lab.relay().relay(&["try", "--report", "--json"])?.success("relay try --report")?;
    schema::parse("try", &text)
}

/// Checks that nothing of a trial is attached or pinned.
fn is_gone(lab: &Lab) -> Result<()> {
    let interface = lab.interface()?;
    let pins = lab.relay().pins(&interface)?;
    for name in ["trial_link", "tried", "differences"] {
        ensure!(!pins.join(name).exists(), "{name} is left");
    }
    let filters = lab
        .relay()
        .namespace()
        .run("tc", &["filter", "show", "dev", &interface, "ingress"])
        .unwrap_or_default();
    ensure!(!filters.contains("relay_trial"), "{filters}");
    Ok(())
}
