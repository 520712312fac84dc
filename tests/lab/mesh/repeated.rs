//! A host goes fifty times. Each run checks the limits of `failover`; the times are printed.

use anyhow::{Context as _, Result};
use relay_tests::{scenario, skip};

use super::failover::Running;

const RUNS: usize = 50;

#[test]
fn peers_are_back_within_three_seconds_every_time() {
    scenario(skip::TIMED, || {
        let running = Running::start()?;
        let silences = (0..RUNS)
            .map(|run| running.host_goes_and_comes().with_context(|| format!("run {run}")))
            .collect::<Result<Vec<_>>>()?;
        let all = |what: &str, mut all: Vec<u128>| {
            all.sort_unstable();
            let at = |percent: usize| all[(RUNS * percent).div_ceil(100) - 1];
            println!(
                "mesh: {what}, ms without an answer in {RUNS} runs: 50 % {}, 90 % {}, 99 % {}",
                at(50),
                at(90),
                at(99)
            );
        };
        let pings = silences.iter().map(|it| it.pings.max(it.stream).as_millis()).collect();
        all("pings and datagrams", pings);
        all("TCP", silences.iter().map(|it| it.transfer.as_millis()).collect());
        Ok(())
    });
}
