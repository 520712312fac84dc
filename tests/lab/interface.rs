//! What an administrator does to the interface itself: nothing passes that the policy drops, and what
//! is allowed goes on, or `relay status` says why it does not.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use relay_tests::{Namespace, scenario, skip};

use crate::siege::Siege;

/// Another name for it.
const RENAMED: &str = "renamed0";

#[test]
fn down_and_up_again_it_recovers_and_up_restores_what_the_kernel_took() {
    scenario(skip::LAB, || {
        let siege = Siege::lay()?;
        let before = siege.lab.relay().ledger()?;
        let host = siege.lab.relay().namespace();
        host.run("ip", &["link", "set", "relay0", "down"])?;
        siege.holds()?;
        siege.status_says(&["relay0"])?;
        host.run("ip", &["link", "set", "relay0", "up"])?;
        // The kernel took the sessions, the IPv6 addresses and the routes.
        siege.flows().context("before `relay up`")?;
        siege.holds()?;
        siege.status_says(&["fd00::3:2:1"])?;
        siege.is_repaired()?;

        // Down, until `relay up` is run.
        host.run("ip", &["link", "set", "relay0", "down"])?;
        siege.is_repaired()?;
        siege.counted_on(&before)?;
        siege.raise()?;
        Ok(())
    });
}

#[test]
fn by_another_name_it_relays_by_the_same_policy() {
    scenario(skip::LAB, || {
        let siege = Siege::lay()?;
        let host = siege.lab.relay().namespace();
        rename(host, "relay0", RENAMED)?;
        siege.flows().context("renamed")?;
        siege.holds()?;
        siege.status_says(&["relay0"])?;
        let outcome = siege.lab.relay().relay(&["up"])?;
        ensure!(outcome.code != 0 && outcome.stderr.contains("relay0"), "up: {outcome:?}");
        siege.holds().context("after `relay up`")?;
        rename(host, RENAMED, "relay0")?;
        siege.lab.relay().up()?;
        siege.is_sound()?;
        siege.raise()?;
        Ok(())
    });
}

#[test]
fn moved_to_another_namespace_it_relays_nothing_and_up_says_so() {
    scenario(skip::LAB, || {
        let siege = Siege::lay()?;
        let host = siege.lab.relay().namespace();
        let elsewhere = Namespace::create("elsewhere")?;
        elsewhere.forward()?;
        host.run("ip", &["link", "set", "relay0", "netns", elsewhere.name()])?;
        elsewhere.run("ip", &["link", "set", "relay0", "up"])?;
        siege.holds()?;
        siege.status_says(&["relay0"])?;
        let outcome = siege.lab.relay().relay(&["up"])?;
        let said = outcome.failure(1)?;
        ensure!(said.contains("interface relay0: found its programs on interface"), "{said}");
        ensure!(said.contains("another network namespace"), "{said}");
        siege.holds().context("after `relay up`")?;
        elsewhere.run("ip", &["link", "delete", "relay0"])?;
        siege.lab.relay().up()?;
        siege.is_sound()?;
        siege.raise()?;
        Ok(())
    });
}

/// Older kernels rename no interface that is up.
fn rename(host: &Namespace, from: &str, to: &str) -> Result<()> {
    let words = ["link", "set", from, "name", to];
    if host.output(Command::new("ip").args(words))?.status.success() {
        return Ok(());
    }
    host.ip_batch(&format!("link set {from} down\nlink set {from} name {to}\nlink set {to} up\n"))
}
