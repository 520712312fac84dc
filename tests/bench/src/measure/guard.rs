//! The cost of the guard's program on single frames.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use relay_common::guard::Outcome;

use super::spoofer::Nothing;
use relay_tests::guard::{GuardRun, Outer, frame::TAG, key, message, settings, to_relay};

/// The cost of a run on one kind of frame.
#[derive(Debug, Clone)]
pub struct Alone {
    /// Name of the kind.
    pub frame: &'static str,
    /// Average per run.
    pub ns: u64,
    /// Average per run of a program that passes everything.
    pub nothing_ns: u64,
}

/// Number of runs of a frame.
const REPEAT: u32 = 10_000;

/// Number of wrong MAC1s after which the guard samples messages of their source.
pub(super) const ENOUGH_WRONG: u32 = 30_000;

/// Number of sources with one frame each.
const SOURCES: u32 = 2_000;

/// Measures the program alone.
pub fn alone() -> Result<Vec<Alone>> {
    let source = |text: &str| text.parse::<SocketAddr>().context("a source");
    let (v4, v6) = (source("198.51.100.2:4500")?, source("[2001:db8:1::2]:4500")?);
    let data = message::data(1436, 1);
    let initiation = message::initiation(&key(), 1);
    let forged = message::forged(&key());
    let with_mac2 = message::with_mac2(initiation.clone());
    let frame = |outer: Outer| outer.frame();
    let mut nothing = Nothing::new()?;
    let mut rows = Vec::new();
    for (name, frame, outcome) in [
        ("other traffic, IPv4", frame(to_relay(v4, &data).with_protocol(6)), None),
        ("other traffic, IPv6", frame(to_relay(v6, &data).with_protocol(6)), None),
        ("data, IPv4", frame(to_relay(v4, &data)), Some(Outcome::Data)),
        ("data, IPv6", frame(to_relay(v6, &data)), Some(Outcome::Data)),
        ("data, IPv4, tagged", frame(to_relay(v4, &data).tagged(&[TAG])), Some(Outcome::Data)),
        (
            "data that tells of its flow, IPv4",
            frame(to_relay(v4, &message::data(1436, 64))),
            Some(Outcome::Data),
        ),
        ("malformed, IPv4", frame(to_relay(v4, &[0; 148])), Some(Outcome::Malformed)),
        ("initiation, MAC1 right", frame(to_relay(v4, &initiation)), Some(Outcome::Initiation)),
        (
            "initiation, MAC1 right, with MAC2",
            frame(to_relay(v4, &with_mac2)),
            Some(Outcome::InitiationWithMac2),
        ),
        ("initiation, MAC1 wrong", frame(to_relay(v4, &forged)), Some(Outcome::BadMac1)),
        (
            "response, MAC1 right",
            frame(to_relay(v4, &message::response(&key(), 1))),
            Some(Outcome::Response),
        ),
    ] {
        let mut guard = GuardRun::new(&settings(u32::MAX));
        rows.push(repeated(&mut guard, &mut nothing, name, &frame, outcome)?);
    }
    rows.push(unverified(&mut nothing, &to_relay(v4, &forged).frame())?);
    rows.push(from_new_sources(&mut nothing)?);
    Ok(rows)
}

/// Many runs of one frame.
fn repeated(
    guard: &mut GuardRun,
    nothing: &mut Nothing,
    name: &'static str,
    frame: &[u8],
    expected: Option<Outcome>,
) -> Result<Alone> {
    let (_, counted) = guard.run(frame);
    ensure!(counted == expected, "{name}: counted as {counted:?}, expected {expected:?}");
    let (_, each) = guard.loaded().run(frame, REPEAT)?;
    let empty = nothing.run(frame, REPEAT)?;
    Ok(Alone { frame: name, ns: nanoseconds(each)?, nothing_ns: nanoseconds(empty)? })
}

/// A forged initiation of a source whose messages the guard samples.
fn unverified(nothing: &mut Nothing, frame: &[u8]) -> Result<Alone> {
    let mut guard = GuardRun::new(&settings(200));
    guard.run_often(frame, ENOUGH_WRONG);
    let (_, each) = guard.loaded().run(frame, REPEAT)?;
    let counts = guard.loaded().counts()?;
    ensure!(counts[Outcome::Unverified.index() as usize] > 0, "counted as {counts:?}");
    let empty = nothing.run(frame, REPEAT)?;
    let frame = "initiation, MAC1 wrong, too many before it";
    Ok(Alone { frame, ns: nanoseconds(each)?, nothing_ns: nanoseconds(empty)? })
}

/// Median of single runs on frames of unknown sources.
fn from_new_sources(nothing: &mut Nothing) -> Result<Alone> {
    let mut guard = GuardRun::new(&settings(200));
    let mut runs = [Vec::new(), Vec::new()];
    let forged = message::forged(&key());
    for number in 1..=SOURCES {
        let [_, b, c, d] = number.to_be_bytes();
        let frame = to_relay(SocketAddr::from(([10, b, c, d], 4500)), &forged).frame();
        runs[0].push(guard.loaded().run(&frame, 1)?.1);
        runs[1].push(nothing.run(&frame, 1)?);
    }
    let counts = guard.loaded().counts()?;
    ensure!(
        counts[Outcome::BadMac1.index() as usize] == u64::from(SOURCES),
        "counted as {counts:?}"
    );
    let [ns, nothing_ns] = runs.map(|mut runs| {
        runs.sort_unstable();
        nanoseconds(runs[runs.len() / 2])
    });
    let frame = "initiation, MAC1 wrong, from a new source";
    Ok(Alone { frame, ns: ns?, nothing_ns: nothing_ns? })
}

fn nanoseconds(duration: Duration) -> Result<u64> {
    Ok(u64::try_from(duration.as_nanos())?)
}
