//! `relay bench`: peers and relays in network namespaces of this process, and traffic between them.
//!
//! ```text
//!   namespace        namespace of a way                    namespace
//!   wg0 ─ eth0 ═══ u0      relay0      u1 ═══ eth0 ─ wg0
//!   sender                                                 receiver
//! ```
//!
//! No namespace has a name, files and pins are in a mount namespace of their own, and no descriptor
//! is handed on. So the kernel removes all of it with this process, however that ends.

mod bed;
mod error;
mod namespace;
mod streams;

use std::{fs, path::Path, thread, time::Duration};

use bed::Bed;
pub use error::BenchError;

use super::{ErrorContext as _, Result, claim, host::kernel, require_capabilities, require_kernel};
use crate::{
    bench::{Host, Measured, Processors, Report, Run, Skipped, Wanted, Way},
    net,
};

/// How long the host is watched before the first run.
const IDLE: Duration = Duration::from_secs(1);

/// Checks that nothing is relayed on this host, which a measurement would slow down, and which would
/// falsify it.
///
/// # Errors
/// A relay is up in this network namespace; the process lacks a capability.
pub async fn require_no_relay(bpffs: &Path) -> Result<()> {
    require_capabilities("bench")?;
    let up = claim::all(&net::connect()?, bpffs).await?;
    match up.is_empty() {
        true => Ok(()),
        false => Err(BenchError::Beside { interfaces: up }.into()),
    }
}

/// Relays and peers that wait to be measured.
pub struct Bench {
    wanted: Wanted,
    beds: Vec<Bed>,
    skipped: Vec<Skipped>,
}

impl Bench {
    /// Makes them.
    ///
    /// # Errors
    /// The host lacks something.
    pub fn make(wanted: Wanted) -> Result<Self> {
        require_capabilities("bench")?;
        require_kernel()?;
        let (mut beds, mut skipped) = (Vec::new(), Vec::new());
        for way in Way::ALL {
            match Bed::make(way, wanted.pairs_max()) {
                Ok(bed) => beds.push(bed),
                // It is only compared with, and what the others need, too, is there.
                Err(error) if way == Way::Nftables => {
                    skipped.push(Skipped { way, why: error.chain() });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Self { wanted, beds, skipped })
    }

    /// Makes all runs. `on_run` is told each before it begins, with its number from 1, and how many
    /// there are.
    ///
    /// # Errors
    /// Peers do not reach each other, or a stream breaks.
    pub fn measure(self, mut on_run: impl FnMut(usize, usize, &Run)) -> Result<Report> {
        let Self { wanted, beds, skipped } = self;
        let before = processors()?;
        thread::sleep(IDLE);
        let idle = processors()?.millicores_since(&before);
        let ways: Vec<Way> = beds.iter().map(Bed::way).collect();
        let runs = wanted.runs(&ways);
        let mut measured: Vec<Vec<Measured>> = vec![Vec::new(); runs.len()];
        let all = runs.len() * usize::from(wanted.rounds);
        let mut number = 0;
        for _round in 0..wanted.rounds {
            for (run, rounds) in runs.iter().zip(&mut measured) {
                number += 1;
                on_run(number, all, run);
                let Some(bed) = beds.iter().find(|bed| bed.way() == run.way) else { continue };
                let taken =
                    streams::measure(bed, run, wanted.time).with_context(|| run.to_string())?;
                rounds.push(Measured::of(*run, taken));
            }
        }
        let measured = measured.into_iter().filter_map(Measured::median).collect();
        let host = Host::new(kernel().0, model(), before.count, idle);
        Ok(Report::new(host, wanted.rounds, skipped, measured))
    }
}

/// What the processors have done.
fn processors() -> Result<Processors> {
    const STAT: &str = "/proc/stat";
    let text = fs::read_to_string(STAT).with_context(|| format!("read {STAT}"))?;
    Ok(Processors::parse(&text).ok_or(BenchError::NoStatistics { path: STAT })?)
}

/// The model of the first processor.
fn model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
