//! What the passing of time does. The machine's clock skips the time in which all processes wait,
//! so an hour takes seconds. Timers of TCP, WireGuard and NAT fire as they would, and the boot
//! clock, by which flows expire and rules end, is the same clock. The load on the host has no part
//! in it.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::Shutdown,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{
    Family, Lab, Ledger, Peer, deadline,
    inner::Inner,
    scenario, skip,
    traffic::{Query, Raw, tcp::Connection},
};
use socket2::{SockRef, TcpKeepalive};
use toml::value::Datetime;

use super::{STREAM_LEN, WEB, apply, chunk, connect, dropped, ruled};
use crate::watch::Watch;

const DNS: u16 = 53;

const HOUR: Duration = Duration::from_secs(3600);

/// Longer than a flow of UDP lasts, or one of TCP whose beginner has sent a FIN: two minutes.
const TOO_LONG: Duration = Duration::from_secs(150);

/// When the client's TCP asks whether the server is there.
const KEEPALIVE: Duration = Duration::from_secs(300);

/// Longer than a fragment waits for the first one.
const FRAGMENTS_WAIT: Duration = Duration::from_secs(40);

/// Seconds until a rule ends, in which it is applied and some chunks pass.
const SOON: u64 = 60;

/// Seconds that the last chunk may differ from the end of the rule: one between chunks, and one
/// that is the unit of both clocks.
const MARGIN: u64 = 2;

#[test]
fn a_connection_that_was_idle_for_an_hour_goes_on() {
    scenario(skip::TIMED, || {
        let lab = Lab::start(ruled(&["tcp/8080"])?)?;
        let [a, b] = lab.first()?;
        let mut watch = Watch::start(&lab)?;
        let mut connections = Vec::new();
        for family in Family::ALL {
            let mut connection = connect(a, b, family, WEB)?;
            answer(&mut connection, b"before")?;
            connections.push(connection);
        }
        deadline::pass(HOUR);
        for mut connection in connections {
            // First the side that may only answer.
            answer(&mut connection, b"after!")?;
            connection.exchange(STREAM_LEN)?;
        }
        // All that was sent has arrived, and nothing was dropped.
        watch.passed(a, b)?;
        Ok(())
    });
}

/// The client has sent its FIN, so the entry of the flow expires soon, and no packet of the client
/// is due until its keepalive.
#[test]
fn an_expired_connection_is_healed_by_the_side_that_may_begin() {
    scenario(skip::TIMED, || {
        let lab = Lab::start(ruled(&["tcp/8080"])?)?;
        let [a, b] = lab.first()?;
        for family in Family::ALL {
            let mut connection = connect(a, b, family, WEB)?;
            let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
            SockRef::from(&connection.client).set_tcp_keepalive(&keepalive)?;
            answer(&mut connection, b"before")?;
            connection.client.shutdown(Shutdown::Write)?;
            ensure!(connection.server.read(&mut [0; 1])? == 0, "bytes after the end");
            deadline::pass(TOO_LONG);

            let before = lab.relay().ledger()?;
            connection.server.write_all(b"after!")?;
            deadline::until("three dropped packets of the server", || {
                Ok((dropped(&lab, &before, &[b], "no_rule")? >= 3).then_some(()))
            })?;
            connection.client.set_nonblocking(true)?;
            let read = connection.client.read(&mut [0; 6]);
            let is_empty = read.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            ensure!(is_empty, "an expired flow answers: {read:?}");
            connection.client.set_nonblocking(false)?;

            connection.client.set_read_timeout(Some(2 * KEEPALIVE))?;
            let mut late = [0; 6];
            connection.client.read_exact(&mut late).context("after the keepalive")?;
            ensure!(&late == b"after!", "{late:?} came late");
            let before = lab.relay().ledger()?;
            answer(&mut connection, b"on and")?;
            let dropped = dropped(&lab, &before, &[a, b], "no_rule")?;
            ensure!(dropped == 0, "{dropped} packets of a healed flow are dropped");
        }
        Ok(())
    });
}

#[test]
fn answers_that_come_too_late_are_dropped_until_the_client_asks_again() {
    scenario(skip::TIMED, || {
        let lab = Lab::start(ruled(&["udp/53"])?)?;
        let [a, b] = lab.first()?;
        let mut watch = Watch::start(&lab)?;
        for family in Family::ALL {
            let query = Query::open(a, b, family, DNS)?;
            query.ask(40, 400)?;
            watch.passed(a, b)?;
            deadline::pass(TOO_LONG);
            query.answer_unasked()?;
            watch.moved(b)?;
            watch.settle(&Ledger::default().dropped(b.name(), "no_rule", 1))?;
            query.ask(40, 400)?;
            watch.passed(a, b)?;
        }
        Ok(())
    });
}

#[test]
fn a_rule_that_ends_by_itself_ends_a_download() {
    scenario(skip::TIMED, || {
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
                deadline::pass(Duration::from_millis(500));
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

#[test]
fn what_is_lent_ends_by_itself_and_goes_with_the_next_change() {
    scenario(skip::TIMED, || {
        // Another port, so that both clients have a route.
        let lab = Lab::start(ruled(&["udp/53"])?)?;
        let [a, b] = lab.first()?;
        let time = format!("{SOON}s");
        let lend = ["lend", a.name(), b.name(), "tcp/8080", "--for", &time];
        lab.relay().relay(&lend)?.success("lend")?;
        let end = seconds()? + SOON;
        let name = format!("lent-{}-{}", a.name(), b.name());
        let fragment = lab.relay().config().with_extension("d").join(format!("{name}.toml"));
        ensure!(fragment.exists(), "no {}", fragment.display());
        let status = lab.relay().relay(&["status"])?.success("status")?;
        ensure!(status.contains(&format!("rule that ends next: {name} in ")), "{status}");

        let mut connection = connect(a, b, Family::V6, WEB)?;
        ensure!(chunk(&mut connection)?, "the first chunk is lost");
        let before = lab.relay().ledger()?;
        // No process of relay runs meanwhile.
        connection.client.set_read_timeout(Some(Duration::from_secs(3)))?;
        let mut last = 0;
        while chunk(&mut connection)? {
            last = seconds()?;
            deadline::pass(Duration::from_millis(500));
        }
        // The command itself took some of the time.
        ensure!(last <= end + MARGIN, "the last chunk came at {last}, the rule ends by {end}");
        let ended = dropped(&lab, &before, &[a, b], "rule_ended")?;
        ensure!(ended > 0, "moved:\n{}", lab.relay().ledger()?.since(&before)?);

        let list = lab.relay().relay(&["lend", "--list"])?.success("lend --list")?;
        ensure!(list.contains(&name) && list.contains(" ago"), "{list}");
        lab.relay().relay(&["reload", "--dry-run"])?.success("reload --dry-run")?;
        ensure!(fragment.exists(), "a dry run removed it");
        let next = lab.relay().relay(&["reload"])?;
        let said = format!("{name} ended at ");
        ensure!(next.code == 0 && next.stderr.contains(&said), "{next:?}");
        ensure!(!fragment.exists(), "{} is still there", fragment.display());
        lab.relay().require_sound()
    });
}

#[test]
fn a_fragment_whose_first_one_does_not_come_in_time_is_counted_as_dropped() {
    scenario(skip::TIMED, || {
        let lab = Lab::start(ruled(&["udp/53"])?)?;
        let [a, b] = lab.first()?;
        let mut watch = Watch::start(&lab)?;
        let mut datagrams = Vec::new();
        for family in Family::ALL {
            datagrams.push(send_a_later_fragment(a, b, family)?);
        }
        // They wait, and count as nothing.
        deadline::pass(FRAGMENTS_WAIT / 2);
        ensure!(watch.moved(a)?.sent.packets == 2, "the fragments have not left");
        watch.settle(&Ledger::default())?;
        deadline::pass(FRAGMENTS_WAIT);
        watch.settle(&Ledger::default().dropped(a.name(), "no_first_fragment", 2))?;
        // The first ones come too late, and pass alone.
        for (raw, whole) in datagrams {
            raw.send(&whole.fragment(0..48, 7))?;
        }
        let sent = watch.moved(a)?.sent;
        watch.settle(&Ledger::default().relayed(a.name(), b.name(), sent))?;
        Ok(())
    });
}

#[test]
fn a_new_peer_does_not_inherit_fragments_with_the_slot_of_another() {
    scenario(skip::TIMED, || {
        let lab = Lab::start(ruled(&["udp/53"])?)?;
        let [a, b] = lab.first()?;
        let mut watch = Watch::start(&lab)?;
        send_a_later_fragment(a, b, Family::V4)?;
        deadline::pass(FRAGMENTS_WAIT);
        watch.settle(&Ledger::default().dropped(a.name(), "no_first_fragment", 1))?;

        let mut site = lab.site().clone();
        site.remove_rule("opened")?;
        site.remove_peer(a.name())?;
        apply(&lab, &site)?;
        site.add_peer("newcomer", &Family::ALL.map(|family| a.address(family)))?;
        apply(&lab, &site)?;
        let dropped = lab.relay().ledger()?.get("newcomer dropped no_first_fragment");
        ensure!(dropped == 0, "{dropped} packets of a peer that has sent none are dropped");
        Ok(())
    });
}

/// Sends the second of two fragments of a datagram to the DNS port.
fn send_a_later_fragment(from: &Peer, to: &Peer, family: Family) -> Result<(Raw, Inner)> {
    let ends = [from.address(family), to.address(family)];
    let whole = Inner::datagram(ends, [40_000, DNS], 56);
    let raw = Raw::open(from.namespace(), ends[1])?;
    raw.send(&whole.fragment(48..64, 7))?;
    Ok((raw, whole))
}

/// Sends from the server to the client.
fn answer(connection: &mut Connection, bytes: &[u8; 6]) -> Result<()> {
    connection.server.write_all(bytes).context("send")?;
    let mut received = [0; 6];
    connection.client.read_exact(&mut received).context("receive")?;
    ensure!(&received == bytes, "{received:?} arrived instead of {bytes:?}");
    Ok(())
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
