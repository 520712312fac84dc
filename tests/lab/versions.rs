//! Two builds of relay whose ABI versions differ, one after the other on one host.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use relay_common::names::ABI_VERSION;
use relay_tests::{
    Lab, deadline,
    footprint::{self, Footprint},
    scenario, skip,
    stats::UpReport,
    traffic::Streams,
};

use crate::{
    beside::reconnect,
    guard::{guarded, has_xdp},
};

/// Of a later build.
const NEXT: u32 = ABI_VERSION + 1;

#[test]
fn each_build_takes_over_what_the_other_left_and_no_packet_is_lost() {
    scenario(skip::LAB, || {
        let site = guarded(&[])?;
        let [a, b] = site.first()?;
        let others = Others::before()?;
        let mut lab = Lab::start(site)?;
        let first = others.settled(&lab)?;
        let before = lab.relay().ledger()?;
        let streams = Streams::start(&lab, &[(&a, &b), (&b, &a)])?;
        for build in [NEXT, ABI_VERSION] {
            take_over(&mut lab, build)?;
            others.as_before(&lab, &first)?;
        }
        let sent = streams.stop_without_loss()?;
        let moved = lab.relay().ledger()?.since(&before)?;
        for (name, sent) in [(&b, sent[0]), (&a, sent[1])] {
            let counted = moved.get(&format!("{name} relayed tx packets"));
            ensure!(counted == sent, "{sent} packets to {name}, counted {counted}");
        }
        Ok(())
    });
}

#[test]
fn after_either_build_the_key_can_change_and_handshakes_pass() {
    scenario(skip::LAB, || {
        let others = Others::before()?;
        let mut lab = Lab::start(guarded(&[])?)?;
        let first = others.settled(&lab)?;
        for build in [NEXT, ABI_VERSION] {
            // With the key of before, and with another one under the same build.
            take_over(&mut lab, build)?;
            reconnect(&lab, lab.first()?)?;
            new_key(&lab)?;
            others.as_before(&lab, &first)?;
        }
        // Another build and another key at once.
        lab.relay_mut().set_version(NEXT);
        new_key(&lab)?;
        others.as_before(&lab, &first)
    });
}

/// `relay up` by another version, which says what it finds and does.
fn take_over(lab: &mut Lab, build: u32) -> Result<()> {
    let left = versions(lab)?;
    let [dir] = &left[..] else { anyhow::bail!("pins of one version: {left:?}") };
    lab.relay_mut().set_version(build);
    let status = lab.relay().relay(&["status", "--check"])?;
    ensure!(status.code == 1, "{status:?}");
    for said in [
        "ingress: program relay_ingress is of another version of relay",
        "egress: program relay_egress is of another version of relay",
        "found pins of another version of relay",
        "~ guard on eth0: this version",
    ] {
        ensure!(status.stderr.contains(said), "no {said:?} in {status:?}");
    }
    let UpReport { changes, warnings, .. } = lab.relay().up()?;
    let taken = format!("~ pins in {}: taken over; counters continue", dir.display());
    ensure!(changes.contains(&taken), "{changes:?}");
    ensure!(!changes.iter().any(|line| line.contains("stale")), "{changes:?}");
    ensure!(warnings.is_empty(), "{warnings:?}");
    ensure!(!dir.exists() && versions(lab)?.len() == 1, "{} is left", dir.display());
    ensure!(!lab.relay().up()?.changed);
    lab.relay().require_sound()
}

/// Gives the relay another key, and reconnects the peers with it.
fn new_key(lab: &Lab) -> Result<()> {
    let before = lab.relay().stats()?.public_key;
    fs::remove_file(lab.directory().join("private.key"))?;
    lab.relay().up()?;
    ensure!(lab.relay().stats()?.public_key != before && has_xdp(lab)?);
    lab.relay().require_sound()?;
    reconnect(lab, lab.first()?)
}

/// The directories of pins, one for each version.
fn versions(lab: &Lab) -> Result<Vec<PathBuf>> {
    let home = lab.relay().bpffs().join("relay").join(lab.interface()?);
    let entries = fs::read_dir(&home).with_context(|| home.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// What other scenarios have loaded.
struct Others(BTreeSet<(&'static str, u32, String)>);

/// How many programs, maps, links and pins of each name there are.
#[derive(Debug, PartialEq, Eq)]
struct Left(BTreeMap<String, usize>);

impl Others {
    fn before() -> Result<Self> {
        Ok(Self(footprint::loaded()?))
    }

    /// Once there are the three programs of one relay alone.
    fn settled(&self, lab: &Lab) -> Result<Left> {
        deadline::until("the programs of one relay", || {
            let found = self.besides(lab)?;
            let programs = found.0.iter().filter(|(name, _)| name.starts_with("programs "));
            Ok((programs.map(|(_, count)| count).sum::<usize>() == 3).then_some(found))
        })
    }

    /// Counts what this scenario has loaded.
    fn besides(&self, lab: &Lab) -> Result<Left> {
        let mut counts = BTreeMap::new();
        for (what, _id, name) in footprint::loaded()?.difference(&self.0) {
            *counts.entry(format!("{what} {name}")).or_default() += 1;
        }
        for pin in Footprint::read(lab.relay())?.lines("pins") {
            let name = Path::new(pin).file_name().and_then(|name| name.to_str());
            let name = name.filter(|name| !is_version(name)).unwrap_or_default();
            *counts.entry(format!("pins {name}")).or_default() += 1;
        }
        Ok(Left(counts))
    }

    /// Checks that there are as many again. The kernel frees programs and maps after a grace period.
    fn as_before(&self, lab: &Lab, expected: &Left) -> Result<()> {
        let mut now = String::new();
        deadline::within(deadline::SETTLING, "as many programs, maps, links and pins", || {
            let found = self.besides(lab)?;
            now = format!("{found:?}");
            Ok((found == *expected).then_some(()))
        })
        .with_context(|| format!("expected {expected:?}, found {now}"))
    }
}

/// Whether a directory is of one version, as `v1-4026531840`.
fn is_version(name: &str) -> bool {
    name.strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}
