//! `relay bench`: it relays in every way, and leaves the host as it was.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{Lab, Site, deadline, footprint::Footprint, scenario, schema, skip};
use serde_json::Value;

/// The shortest run there is.
const SHORT: [&str; 9] =
    ["bench", "--pairs", "1", "--sizes", "512", "--time", "200ms", "--rounds", "1"];

const WAYS: [&str; 3] = ["fast_path", "stack", "nftables"];

#[test]
fn packets_arrive_in_every_way_and_nothing_is_left_behind() {
    scenario(skip::LAB, || {
        let lab = Lab::relay_alone(Site::node_to_node()?)?;
        let before = Host::read(&lab)?;
        let chart = lab.directory().join("chart.svg");
        let svg = chart.to_str().context("a path")?;
        let outcome = lab.relay().relay(&[&SHORT[..], &["--json", "--svg", svg]].concat())?;
        let report = schema::parse("bench", &outcome.success("relay bench")?)?;
        ensure!(report["skipped"] == Value::Array(Vec::new()), "{report}");
        let runs = report["runs"].as_array().context("runs")?;
        ensure!(runs.len() == WAYS.len() * 3, "{report}");
        for way in WAYS {
            for load in ["tcp", "udp", "round_trip"] {
                let run = runs.iter().find(|run| run["way"] == way && run["load"] == load);
                let run = run.with_context(|| format!("no {load} by {way}"))?;
                let arrived = match load {
                    "round_trip" => &run["roundTrip"]["samples"],
                    _ => &run["bitsPerSecond"],
                };
                ensure!(arrived.as_u64().is_some_and(|arrived| arrived > 0), "{run}");
                let relayed = run["relayedPacketsPerSecond"].as_u64();
                ensure!(relayed.is_some_and(|relayed| relayed > 0), "{run}");
            }
        }
        let drawn = fs::read_to_string(&chart)?;
        ensure!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"), "{drawn}");
        fs::remove_file(&chart)?;
        before.is_back(&lab)
    });
}

#[test]
fn a_measurement_that_is_killed_leaves_nothing_behind_either() {
    scenario(skip::LAB, || {
        let lab = Lab::relay_alone(Site::node_to_node()?)?;
        let before = Host::read(&lab)?;
        let mut command = lab.relay().command(&SHORT);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut bench = lab.relay().namespace().enter(|| command.spawn())??;
        let mut said = String::new();
        let stderr = bench.stderr.take().context("standard error")?;
        let read = BufReader::new(stderr).read_line(&mut said);
        let during = Footprint::read(lab.relay());
        bench.kill()?;
        bench.wait()?;
        read?;
        ensure!(said.starts_with("this takes about "), "{said:?}");
        ensure!(during? != before.footprint, "nothing was there to be left behind");
        before.is_back(&lab)
    });
}

#[test]
fn a_relay_that_is_up_is_not_disturbed_unless_that_is_asked_for() {
    scenario(skip::LAB, || {
        let lab = Lab::relay_alone(Site::node_to_node()?)?;
        lab.relay().up()?;
        let outcome = lab.relay().relay(&SHORT)?;
        let said = outcome.failure(1)?;
        ensure!(said.contains("a relay is up on this host (relay0)"), "{said}");
        ensure!(said.contains("--beside"), "{said}");

        let before = Host::read(&lab)?;
        let outcome = lab.relay().relay(&[&SHORT[..], &["--beside"]].concat())?;
        let text = outcome.success("relay bench --beside")?;
        for way in ["fast path", "host's stack", "nftables"] {
            ensure!(text.contains(&format!("  {way}  ")), "{text}");
        }
        before.is_back(&lab)?;
        lab.relay().require_sound()
    });
}

/// What a host has.
struct Host {
    footprint: Footprint,
    mounts: String,
    files: Vec<String>,
}

impl Host {
    fn read(lab: &Lab) -> Result<Self> {
        let mut files = Vec::new();
        for directory in ["/run", "/run/relay", "/run/netns", "/var/lib/relay"] {
            // Not each of them is on each host.
            let Ok(entries) = fs::read_dir(directory) else { continue };
            for entry in entries {
                files.push(entry?.path().display().to_string());
            }
        }
        files.sort();
        let footprint = Footprint::read(lab.relay())?;
        Ok(Self { footprint, mounts: fs::read_to_string("/proc/self/mountinfo")?, files })
    }

    /// Waits until the host is as it was: the kernel removes namespaces a moment after their last
    /// process.
    fn is_back(&self, lab: &Lab) -> Result<()> {
        let mut left = String::new();
        deadline::until("the host as it was", || {
            let now = Self::read(lab)?;
            left = now.footprint.difference(&self.footprint);
            let is_back = left.is_empty() && now.mounts == self.mounts && now.files == self.files;
            Ok(is_back.then_some(()))
        })
        .with_context(|| format!("left behind:\n{left}"))
    }
}
