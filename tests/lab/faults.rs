//! Each system call of a command fails, or is its last. `up` then makes the relay what its
//! configuration says, and meanwhile nothing is open.

use std::net::{IpAddr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{
    Family, Lab, MeshLab, RelayHost, Site, deadline,
    fault::{Ended, Fault, Point},
    footprint::Footprint,
    mesh::NAMES,
    scenario, skip,
    traffic::{Echo, Streams},
};

/// How many of the calls a command has to come to: it makes others than when they were recorded.
const REACHED: f64 = 0.9;

#[test]
fn a_reload_with_a_fault_in_any_call_loses_and_opens_nothing() {
    scenario(skip::LAB, || {
        let mut bed = Bed::start()?;
        let allowed = Streams::start(&bed.lab, &[("node-a", "node-b")])?;
        let dropped = Streams::start(&bed.lab, &[("node-b", "node-c")])?;
        let changing = Streams::start(&bed.lab, &[("node-a", "node-c")])?;

        // Each kind of fault on one of the ways between the two policies.
        bed.change(false)?;
        let failing = Point::record(bed.lab.relay(), &["reload"], Fault::Fails)?;
        bed.change(true)?;
        let killing = Point::record(bed.lab.relay(), &["reload"], Fault::Kills)?;
        let mut tally = Tally::default();
        for place in 0..failing.len().max(killing.len()) {
            for (fault, points, is_listed) in
                [(Fault::Fails, &failing, false), (Fault::Kills, &killing, true)]
            {
                bed.change(is_listed)?;
                if let Some(point) = points.get(place) {
                    let ended = point.run(bed.lab.relay(), &["reload"], fault)?;
                    tally.add(point, fault, &ended)?;
                    bed.lab.relay().relay(&["status"])?;
                }
                bed.lab
                    .relay()
                    .up()
                    .and_then(|_report| bed.lab.relay().require_sound())
                    .and_then(|()| changing.pass_or_not(is_listed))
                    .with_context(|| format!("after {fault:?} in call {place}"))?;
            }
        }
        tally.require_reached()?;
        require_dropped(dropped)?;
        drop(changing.stop()?);
        allowed.stop_without_loss().map(drop)
    });
}

#[test]
fn a_first_up_with_a_fault_in_any_call_opens_nothing_and_the_next_one_is_whole() {
    scenario(skip::LAB, || {
        let bed = Bed::start()?;
        let relay = bed.lab.relay();
        let (dropped, empty) = bed.take_down()?;
        let mut tally = Tally::default();
        for fault in [Fault::Fails, Fault::Kills] {
            let points = Point::record(relay, &["up"], fault)?;
            relay.down()?;
            for point in points {
                let ended = point.run(relay, &["up"], fault)?;
                tally.add(&point, fault, &ended)?;
                let after = || format!("after {fault:?} in {point}");
                if matches!(&ended, Ended::Failed(outcome) if outcome.code != 0) {
                    // It takes back what it made.
                    require_as(relay, &empty).with_context(after)?;
                }
                relay.up().and_then(|_report| relay.require_sound()).with_context(after)?;
                bed.require_passing().with_context(after)?;
                relay.down()?;
            }
        }
        tally.require_reached()?;
        require_dropped(dropped)
    });
}

#[test]
fn a_down_with_a_fault_in_any_call_opens_nothing_and_the_next_one_is_whole() {
    scenario(skip::LAB, || {
        let bed = Bed::start()?;
        let relay = bed.lab.relay();
        let (dropped, empty) = bed.take_down()?;
        let mut tally = Tally::default();
        for fault in [Fault::Fails, Fault::Kills] {
            relay.up()?;
            for point in Point::record(relay, &["down"], fault)? {
                relay.up()?;
                // Sessions are there when the relay goes.
                bed.require_passing()?;
                let ended = point.run(relay, &["down"], fault)?;
                tally.add(&point, fault, &ended)?;
                let after = || format!("after {fault:?} in {point}");
                relay.down().with_context(after)?;
                require_as(relay, &empty).with_context(after)?;
            }
        }
        tally.require_reached()?;
        require_dropped(dropped)
    });
}

#[test]
fn a_trial_or_a_trace_with_a_fault_in_any_call_leaves_the_policy_as_it_was() {
    scenario(skip::LAB, || {
        let mut bed = Bed::start()?;
        let candidate = bed.lab.directory().join("candidate.toml");
        bed.list(false)?;
        std::fs::write(&candidate, bed.lab.site().text()?)?;
        bed.list(true)?;
        let candidate = candidate.to_str().context("a path in UTF-8")?.to_owned();
        let relay = bed.lab.relay();
        let streams = [("node-a", "node-b"), ("node-a", "node-c")].as_slice();
        let allowed = Streams::start(&bed.lab, streams)?;
        let dropped = Streams::start(&bed.lab, &[("node-b", "node-c")])?;
        let mut tally = Tally::default();
        let verbs: [(&[&str], &[&str]); 3] = [
            (&[], &["try", &candidate]),
            (&["try", &candidate], &["try", "--stop"]),
            (&[], &["trace", "--seconds", "1"]),
        ];
        for (before, arguments) in verbs {
            let prepare = || match before {
                [] => Ok(()),
                before => relay.relay(before)?.success("what goes before").map(drop),
            };
            for fault in [Fault::Fails, Fault::Kills] {
                prepare()?;
                for point in Point::record(relay, arguments, fault)? {
                    relay.relay(&["try", "--stop"])?;
                    prepare()?;
                    let ended = point.run(relay, arguments, fault)?;
                    tally.add(&point, fault, &ended)?;
                    relay
                        .up()
                        .and_then(|_report| relay.require_sound())
                        .with_context(|| format!("{arguments:?}: after {fault:?} in {point}"))?;
                }
                relay.relay(&["try", "--stop"])?;
            }
        }
        tally.require_reached()?;
        require_dropped(dropped)?;
        allowed.stop_without_loss().map(drop)
    });
}

#[test]
fn a_takeover_with_a_fault_in_any_call_opens_nothing_and_the_next_one_is_whole() {
    scenario(skip::LAB, || {
        let mesh = MeshLab::start(Site::one_to_many()?)?;
        let lab = mesh.lab();
        let _agents = mesh.agents()?;
        mesh.await_homes(deadline::PATIENCE, [4, 0, 0])?;
        for peer in lab.peers() {
            lab.widen(peer)?;
        }
        let dropped = Streams::start(lab, &[("node-b", "node-c")])?;
        let a = lab.peer("node-a")?;
        let mut tally = Tally::default();
        let mut home = 0;
        for fault in [Fault::Fails, Fault::Kills] {
            let mut points = None;
            loop {
                let next = 1 - home;
                let relay = mesh.relay(next)?;
                mesh.hold(next)?;
                match points.as_mut() {
                    None => {
                        let recorded = Point::record(relay, &["takeover"], fault)?;
                        points = Some(recorded.into_iter());
                    }
                    Some(points) => {
                        let Some(point) = points.next() else { break };
                        let ended = point.run(relay, &["takeover"], fault)?;
                        tally.add(&point, fault, &ended)?;
                        relay.relay(&["takeover"])?.success("the next takeover")?;
                    }
                }
                home = next;
                let place = format!("all peers at {}", NAMES[home]);
                deadline::until(&place, || {
                    let mut echo = Echo::between(a, lab.peer("node-b")?, Family::V4)?;
                    echo.send(1)?;
                    Ok((echo.answers(1, std::time::Duration::from_secs(1))? == 1).then_some(()))
                })?;
                let mut homes = [0; 3];
                homes[home] = 4;
                mesh.await_homes(deadline::PATIENCE, homes)?;
            }
            mesh.hold(home)?;
        }
        tally.require_reached()?;
        require_dropped(dropped)
    });
}

/// A relay of an administrator, A, and two nodes that would talk to anybody, on a host that forwards.
struct Bed {
    lab: Lab,
}

impl Bed {
    fn start() -> Result<Self> {
        let site = Site::one_to_many()?;
        let present = ["node-a", "node-b", "node-c"].map(str::to_owned);
        let lab = Lab::start_with(site, &present)?;
        for name in ["node-b", "node-c"] {
            lab.widen(lab.peer(name)?)?;
        }
        let host = lab.relay().namespace();
        host.forward()?;
        Ok(Self { lab })
    }

    /// Takes the relay down. Returns a stream that is dropped in any case, and what the kernel has then.
    fn take_down(&self) -> Result<(Streams, Footprint)> {
        let dropped = Streams::start(&self.lab, &[("node-b", "node-c")])?;
        self.lab.relay().down()?;
        Ok((dropped, Footprint::read(self.lab.relay())?))
    }

    /// Node C lists node A, or a guest is there.
    fn list(&mut self, is_listed: bool) -> Result<()> {
        let of_a = self.lab.site().addresses("node-a")?;
        let site = self.lab.site_mut();
        if is_listed {
            site.allow("node-c", &of_a)?;
            site.remove_peer("guest")
        } else {
            site.disallow("node-c", &of_a)?;
            let v6 = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 3, 2, 100);
            site.add_peer("guest", &[IpAddr::from([10, 3, 2, 100]), IpAddr::from(v6)])
        }
    }

    /// The same, written.
    fn change(&mut self, is_listed: bool) -> Result<()> {
        self.list(is_listed)?;
        self.lab.write_config()
    }

    /// Waits until the two that may talk to each other do.
    fn require_passing(&self) -> Result<()> {
        let (from, to) = (self.lab.peer("node-a")?, self.lab.peer("node-b")?);
        deadline::until("an answer", || {
            let mut echo = Echo::between(from, to, Family::V4)?;
            echo.send(1)?;
            Ok((echo.answers(1, std::time::Duration::from_millis(500))? == 1).then_some(()))
        })
    }
}

/// How many commands came to their fault.
#[derive(Default)]
struct Tally {
    reached: u32,
    all: u32,
}

impl Tally {
    /// Checks that a command that fails says so.
    fn add(&mut self, point: &Point, fault: Fault, ended: &Ended) -> Result<()> {
        self.all += 1;
        println!("faults: {fault:?} in {point}");
        match ended {
            Ended::Whole => {
                println!("faults: it did not come to that");
                return Ok(());
            }
            Ended::Killed => ensure!(fault == Fault::Kills, "killed by itself: {point}"),
            Ended::Failed(outcome) => {
                ensure!(fault == Fault::Fails, "{fault:?} in {point}: {outcome:?}");
                let is_said = outcome.code == 0 || !outcome.stderr.trim().is_empty();
                // 101 is a panic.
                ensure!(is_said && outcome.code != 101, "{point}: {outcome:?}");
            }
        }
        self.reached += 1;
        Ok(())
    }

    fn require_reached(&self) -> Result<()> {
        let Self { reached, all } = *self;
        println!("faults: {reached} of {all}");
        ensure!(f64::from(reached) >= f64::from(all) * REACHED, "{reached} of {all} faults");
        Ok(())
    }
}

/// Waits until the kernel is as it was: it frees programs and maps after a grace period.
fn require_as(relay: &RelayHost, before: &Footprint) -> Result<()> {
    let mut left = String::new();
    deadline::within(deadline::SETTLING, "the kernel to be as it was", || {
        let now = Footprint::read(relay)?;
        left = now.difference(before);
        Ok((now == *before).then_some(()))
    })
    .with_context(|| left)
}

fn require_dropped(streams: Streams) -> Result<()> {
    let flown = streams.stop()?;
    ensure!(flown.iter().all(|one| one.received == 0), "packets passed: {flown:?}");
    ensure!(flown.iter().all(|one| one.sent > 100), "nobody sent: {flown:?}");
    Ok(())
}
