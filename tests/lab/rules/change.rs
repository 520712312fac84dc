use std::{
    io::Read as _,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use relay_tests::{Family, Lab, deadline, scenario, skip, traffic::tcp::Connection};

use super::{STREAM_LEN, WEB, apply, chunk, connect, goes_on_no_more, ruled};
use crate::watch::Watch;

/// TCP sends again after twice the time in which it was not answered, and two changes of the policy
/// take long on a busy host.
const LATE: Duration = deadline::PATIENCE.saturating_mul(4);

/// How often the policy changes under traffic.
const RELOADS: u16 = 5;

#[test]
fn a_change_of_other_rules_costs_a_connection_no_packet() {
    scenario(skip::LAB, || {
        let lab = Lab::start(ruled(&["tcp/8080"])?)?;
        let [a, b] = lab.first()?;
        for family in Family::ALL {
            let mut watch = Watch::start(&lab)?;
            let mut connection = connect(a, b, family, WEB)?;
            let generation = lab.relay().stats()?.generation;
            let chunks = during(&mut connection, || {
                for port in 1..=RELOADS {
                    let mut site = lab.site().clone();
                    site.add_rule("other", b.name(), a.name(), &[&format!("udp/{port}")])?;
                    apply(&lab, &site)?;
                }
                Ok(())
            })?;
            ensure!(chunks > u64::from(RELOADS), "{chunks} chunks show nothing");
            let now = lab.relay().stats()?.generation;
            ensure!(now >= generation + u64::from(RELOADS), "{generation} became {now}");
            connection.exchange(STREAM_LEN)?;
            // All that was sent has arrived, and nothing was dropped.
            watch.passed(a, b)?;
        }
        Ok(())
    });
}

#[test]
fn a_removed_rule_ends_a_connection_with_its_next_packet() {
    scenario(skip::LAB, || {
        let mut site = ruled(&["tcp/8080"])?;
        let [a, b] = site.first()?;
        site.add_rule("other", &a, &b, &["udp/1"])?;
        let lab = Lab::start(site)?;
        let [a, b] = lab.first()?;
        let mut without = lab.site().clone();
        without.remove_rule("opened")?;
        for family in Family::ALL {
            let mut connection = connect(a, b, family, WEB)?;
            ensure!(chunk(&mut connection)?, "the first chunk is lost");
            apply(&lab, &without)?;
            goes_on_no_more(&lab, &mut connection, &[a, b], "no_rule")?;

            // With the rule back, the side that may begin goes on, and the other answers.
            apply(&lab, lab.site())?;
            for end in [&mut connection.server, &mut connection.client] {
                end.set_read_timeout(Some(LATE))?;
                let mut late = [0; 5];
                end.read_exact(&mut late)?;
                ensure!(&late == b"after", "{late:?} came late");
            }
        }
        Ok(())
    });
}

#[test]
fn a_disabled_peer_is_cut_off_with_the_flows_that_it_had() {
    scenario(skip::LAB, || {
        let lab = Lab::start(ruled(&["tcp/8080"])?)?;
        let [a, b] = lab.first()?;
        let mut connection = connect(a, b, Family::V4, WEB)?;
        ensure!(chunk(&mut connection)?, "the first chunk is lost");
        let disable = ["peer", "disable", b.name(), "--apply"];
        let said = lab.relay().relay(&disable)?.success("peer disable")?;
        ensure!(said.contains(&format!("disabled {}: ", b.name())), "{said}");
        let again = lab.relay().relay(&disable)?.success("peer disable")?;
        ensure!(again.contains("already disabled") && again.contains("no changes"), "{again}");

        // WireGuard itself no longer knows the peer that is disabled.
        goes_on_no_more(&lab, &mut connection, &[a], "disabled")
    });
}

/// Downloads while `work` runs; the number of chunks.
fn during(connection: &mut Connection, work: impl FnOnce() -> Result<()>) -> Result<u64> {
    let (stop, chunks) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let download = scope.spawn(|| -> Result<()> {
            while !stop.load(Ordering::Relaxed) {
                ensure!(chunk(connection)?, "a chunk is lost");
                chunks.fetch_add(1, Ordering::Relaxed);
                deadline::pass(Duration::from_millis(5));
            }
            Ok(())
        });
        let done = work();
        stop.store(true, Ordering::Relaxed);
        download.join().map_err(|_panic| anyhow!("the download panicked"))??;
        done
    })?;
    Ok(chunks.into_inner())
}
