use std::{
    io::{ErrorKind, Read as _, Write as _},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use relay_tests::{Family, Lab, Site, deadline, scenario, skip, traffic::tcp::Connection};
use toml::value::Datetime;

use super::{STREAM_LEN, connect, dropped, ruled};
use crate::watch::Watch;

const WEB: u16 = 8080;

const CHUNK: [u8; 1000] = [0x5a; 1000];

/// How often the policy changes under traffic.
const RELOADS: u16 = 5;

/// Seconds until a rule ends, enough for a slow machine to apply it.
const SOON: u64 = 12;

/// Seconds by which a slow machine may deliver the last chunk early or see it late.
const MARGIN: u64 = 2;

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
            let before = lab.relay().ledger()?;
            connection.server.write_all(b"after")?;
            connection.client.write_all(b"after")?;
            for peer in [a, b] {
                deadline::until("three dropped packets of each side", || {
                    Ok((dropped(&lab, &before, &[peer], "no_rule")? >= 3).then_some(()))
                })?;
            }
            for end in [&mut connection.client, &mut connection.server] {
                end.set_nonblocking(true)?;
                let read = end.read(&mut [0; 16]);
                let is_empty =
                    read.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
                ensure!(is_empty, "the connection went on: {read:?}");
                end.set_nonblocking(false)?;
            }

            // With the rule back, the side that may begin goes on, and the other answers.
            apply(&lab, lab.site())?;
            for end in [&mut connection.server, &mut connection.client] {
                let mut late = [0; 5];
                end.read_exact(&mut late)?;
                ensure!(&late == b"after", "{late:?} came late");
            }
        }
        Ok(())
    });
}

#[test]
fn a_rule_that_ends_by_itself_ends_a_download() {
    scenario(skip::LAB, || {
        let lab = Lab::start(ruled(&["tcp/8080"])?)?;
        let [a, b] = lab.first()?;
        for family in Family::ALL {
            apply(&lab, lab.site())?;
            let mut connection = connect(a, b, family, WEB)?;
            ensure!(chunk(&mut connection)?, "the first chunk is lost");
            let mut site = lab.site().clone();
            let end = seconds()? + SOON;
            site.rule_mut("opened")?.insert("until".to_owned(), datetime(&lab, end)?.into());
            apply(&lab, &site)?;
            let before = lab.relay().ledger()?;

            // No process of relay runs meanwhile.
            connection.client.set_read_timeout(Some(Duration::from_secs(3)))?;
            let mut last = 0;
            while chunk(&mut connection)? {
                last = seconds()?;
                deadline::pass(Duration::from_millis(20));
            }
            let is_at_the_end = (end - MARGIN..=end + MARGIN).contains(&last);
            ensure!(is_at_the_end, "the last chunk came at {last}, the rule ends at {end}");
            let ended = dropped(&lab, &before, &[a, b], "rule_ended")?;
            ensure!(ended > 0, "moved:\n{}", lab.relay().ledger()?.since(&before)?);

            let before = lab.relay().ledger()?;
            connection.client.write_all(b"after")?;
            deadline::until("a dropped packet of the side that may begin", || {
                Ok((dropped(&lab, &before, &[a], "rule_ended")? > 0).then_some(()))
            })?;
        }
        Ok(())
    });
}

/// Writes this configuration and runs `relay up`.
fn apply(lab: &Lab, site: &Site) -> Result<()> {
    lab.relay().write_config(&site.text()?)?;
    lab.relay().up().map(drop)
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

/// Downloads a chunk; `false` if it does not arrive in the time of the socket.
fn chunk(connection: &mut Connection) -> Result<bool> {
    connection.server.write_all(&CHUNK).context("send a chunk")?;
    let mut received = [0; CHUNK.len()];
    match connection.client.read_exact(&mut received) {
        Ok(()) => {
            ensure!(received == CHUNK, "other bytes arrived than were sent");
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error).context("receive a chunk"),
    }
}

/// Seconds since 1970.
fn seconds() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// Seconds since 1970 as TOML writes them.
fn datetime(lab: &Lab, seconds: u64) -> Result<Datetime> {
    let arguments = ["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"];
    let text = lab.relay().namespace().run("date", &arguments)?;
    text.trim().parse().with_context(|| format!("date says {text:?}"))
}
