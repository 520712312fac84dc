//! Invalid input and hosts that lack something: one clear message, and no partial changes.

use std::{
    fs::{self, Permissions},
    net::UdpSocket,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{
    Lab, RelayHost, Site, footprint::Footprint, relay_host::Outcome, scenario, skip,
};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

/// Exit code for errors in usage or configuration.
const CONFIG: i32 = 2;

/// Exit code if the host lacks something.
const LACKING: i32 = 3;

/// An unprivileged user.
const NOBODY: u32 = 65534;

#[test]
fn a_broken_config_changes_nothing_whether_the_relay_is_up_or_not() {
    scenario(skip::LAB, || {
        let site = Site::one_to_many()?;
        let [a, b] = site.first()?;
        let lab = Lab::start_with(site, &[a, b])?;
        let good = lab.site().text()?;
        let interface = lab.interface()?;
        let handshakes = lab.relay().wg(&interface, "latest-handshakes")?;
        let generation = lab.relay().stats()?.generation;
        let before = Footprint::read(lab.relay())?;
        let two_faults =
            good.replace("10.3.2.4\"", "10.3.2.400\"").replace("\nendpoint = ", "\nendpiont = ");
        for broken in
            [two_faults.as_str(), "", "[relay\n", &good.replace("10.3.2.4\"", "10.3.2.3\"")]
        {
            lab.relay().write_config(broken)?;
            for verb in [&["up"][..], &["check"]] {
                let outcome = lab.relay().relay(verb)?;
                ensure!(outcome.code == CONFIG, "relay {verb:?} on {broken:?}: {outcome:?}");
                ensure!(outcome.stderr.contains("relay.toml"), "{outcome:?} names no file");
            }
            let after = Footprint::read(lab.relay())?;
            ensure!(after == before, "changed:\n{}", after.difference(&before));
        }
        let after = lab.relay().wg(&interface, "latest-handshakes")?;
        ensure!(after == handshakes, "sessions were lost");
        lab.relay().write_config(&good)?;
        ensure!(lab.relay().stats()?.generation == generation, "there is a new generation");

        drop(lab);
        let bare = Lab::relay_alone(Site::one_to_many()?)?;
        let before = Footprint::read(bare.relay())?;
        bare.relay().write_config(&two_faults)?;
        let outcome = bare.relay().relay(&["up"])?;
        ensure!(outcome.code == CONFIG, "{outcome:?}");
        unchanged(&bare, &before)
    });
}

#[test]
fn up_without_root_reports_that_and_changes_nothing() {
    scenario(skip::LAB, || {
        fails_naming("root", |host| {
            // The configuration is readable; only privileges are missing.
            let directory = host.config().parent().context("a directory")?;
            fs::set_permissions(directory, Permissions::from_mode(0o755))?;
            let mut command = host.command(&["up"]);
            command.uid(NOBODY).gid(NOBODY);
            run(host, &mut command)
        })
    });
}

#[test]
fn up_without_cap_net_admin_reports_that_and_changes_nothing() {
    scenario(skip::LAB, || {
        fails_naming("CAP_NET_ADMIN", |host| run_without(host, &[CapabilitySet::NET_ADMIN]))
    });
}

#[test]
fn up_without_cap_bpf_reports_that_and_changes_nothing() {
    scenario(skip::LAB, || {
        fails_naming("CAP_BPF", |host| {
            // CAP_SYS_ADMIN would include it.
            run_without(host, &[CapabilitySet::BPF, CapabilitySet::SYS_ADMIN])
        })
    });
}

#[test]
fn up_without_cap_perfmon_reports_that_and_changes_nothing() {
    scenario(skip::LAB, || {
        fails_naming("CAP_PERFMON", |host| {
            // CAP_SYS_ADMIN would include it.
            run_without(host, &[CapabilitySet::PERFMON, CapabilitySet::SYS_ADMIN])
        })
    });
}

#[test]
fn up_without_a_bpffs_reports_that_and_changes_nothing() {
    scenario(skip::LAB, || {
        fails_naming("bpffs", |host| {
            let plain = host.config().with_file_name("plain");
            fs::create_dir(&plain)?;
            let mut command = host.command(&["up"]);
            command.env("RELAY_BPFFS", &plain).arg("--bpffs").arg(&plain);
            let outcome = run(host, &mut command)?;
            ensure!(fs::read_dir(&plain)?.next().is_none(), "something was written to {plain:?}");
            Ok(outcome)
        })
    });
}

#[test]
fn an_interface_of_the_name_that_is_not_wireguard_is_unchanged() {
    scenario(skip::LAB, || {
        fails_naming("relay0", |host| {
            host.namespace().run("ip", &["link", "add", "relay0", "type", "veth"])?;
            let before = Footprint::read(host)?;
            let outcome = host.relay(&["up"])?;
            let after = Footprint::read(host)?;
            ensure!(after == before, "up left\n{}", after.difference(&before));
            let down = host.relay(&["down"])?;
            let after = Footprint::read(host)?;
            ensure!(after == before, "down ({down:?}) left\n{}", after.difference(&before));
            host.namespace().run("ip", &["link", "del", "relay0"])?;
            Ok(outcome)
        })
    });
}

#[test]
fn a_port_in_use_is_reported_and_nothing_is_left_behind() {
    scenario(skip::LAB, || {
        fails_naming("51820", |host| {
            let socket = host.namespace().enter(|| UdpSocket::bind("0.0.0.0:51820"))??;
            let outcome = host.relay(&["up"])?;
            drop(socket);
            Ok(outcome)
        })
    });
}

/// Checks that `up` exits with 3, prints one line that names `what`, and changes nothing.
fn fails_naming(what: &str, up: impl FnOnce(&RelayHost) -> Result<Outcome>) -> Result<()> {
    let lab = Lab::relay_alone(Site::one_to_many()?)?;
    let before = Footprint::read(lab.relay())?;
    let outcome = up(lab.relay())?;
    let said = outcome.failure(LACKING)?;
    ensure!(said.contains(what), "{said:?} does not name {what}");
    unchanged(&lab, &before)
}

/// Checks that there is nothing in the kernel, and no key file.
fn unchanged(lab: &Lab, before: &Footprint) -> Result<()> {
    let after = Footprint::read(lab.relay())?;
    ensure!(after == *before, "left behind:\n{}", after.difference(before));
    ensure!(!lab.directory().join("private.key").exists(), "a key was left behind");
    Ok(())
}

fn run(host: &RelayHost, command: &mut Command) -> Result<Outcome> {
    Outcome::of(&host.namespace().output(command)?)
}

/// `relay up` as root without these capabilities.
fn run_without(host: &RelayHost, capabilities: &[CapabilitySet]) -> Result<Outcome> {
    let mut command = host.command(&["up"]);
    // Root gets only capabilities of the thread's bounding set on execve(2).
    let output = host.namespace().enter(|| -> Result<_> {
        for capability in capabilities {
            remove_capability_from_bounding_set(*capability)?;
        }
        Ok(command.output()?)
    })??;
    Outcome::of(&output)
}
