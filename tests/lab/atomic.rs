//! Changes under traffic: packets that both policies allow are not lost, and packets that both drop do
//! not pass, whenever the command is killed.

use std::{
    net::{IpAddr, Ipv6Addr},
    process::Stdio,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{Lab, Ledger, Site, deadline, scenario, skip, traffic::Streams};

/// Number of reloads under a steady flow.
const RELOADS: u32 = 200;

/// Number of kills of `relay up`.
const KILLS: u32 = 50;

/// How much later in the run each kill comes than the previous one, in thousandths of the run: the
/// golden ratio, which spreads the kills evenly over the run.
const STRIDE: u32 = 618;

#[test]
fn two_hundred_reloads_lose_no_packet_of_a_pair_that_stays() {
    scenario(skip::LAB, || {
        let site = Site::one_to_many()?;
        let [a, b, c, d] = site.first()?;
        let mut lab = Lab::start_with(site, &[a.clone(), b.clone()])?;
        let before = lab.relay().ledger()?;
        let streams = Streams::start(&lab, &[(&a, &b), (&b, &a)])?;
        let generation = lab.relay().stats()?.generation;
        let mut reloads = 0;
        let mut guests = 0;
        while reloads < RELOADS {
            match reloads % 5 {
                // Adds a peer that A may talk to.
                0 => {
                    guests += 1;
                    let addresses = guest(guests);
                    lab.site_mut().add_peer(&format!("guest-{guests}"), &addresses)?;
                    lab.site_mut().allow(&a, &addresses)?;
                }
                // Other peers change their lists.
                1 | 3 => {
                    let (one, other) = if reloads % 10 < 5 { (&c, &d) } else { (&d, &c) };
                    let addresses = lab.site().addresses(other)?;
                    if lab.site_mut().disallow(one, &addresses).is_err() {
                        lab.site_mut().allow(one, &addresses)?;
                    }
                }
                // A peer gets another address.
                2 => {
                    let moved = addresses(200 + octet(reloads % 50));
                    let addresses: Vec<_> = moved
                        .iter()
                        .map(|address| toml::Value::from(address.to_string()))
                        .collect();
                    lab.site_mut().set(&format!("guest-{guests}"), "address", addresses)?;
                }
                // Removes a peer.
                _ => {
                    lab.site_mut().remove_peer(&format!("guest-{guests}"))?;
                    lab.site_mut().disallow(&a, &guest(guests))?;
                }
            }
            lab.write_config()?;
            lab.relay().relay(&["reload"])?.success("relay reload")?;
            reloads += 1;
        }
        let sent = streams.stop_without_loss()?;
        let now = lab.relay().stats()?.generation;
        ensure!(now == generation + u64::from(RELOADS), "generation {generation} became {now}");
        counted_exactly(&lab, &before, &[(&a, sent[0]), (&b, sent[1])])
    });
}

#[test]
fn up_killed_at_any_moment_passes_nothing_that_both_policies_drop() {
    scenario(skip::LAB, || {
        let site = Site::one_to_many()?;
        let [a, b, c] = site.first()?;
        let mut lab = Lab::start_with(site, &[a.clone(), b.clone(), c.clone()])?;
        for name in [&b, &c] {
            lab.widen(lab.peer(name)?)?;
        }
        let host = lab.relay().namespace();
        host.forward()?;
        let before = lab.relay().ledger()?;
        let allowed = Streams::start(&lab, &[(&a, &b)])?;
        let dropped = Streams::start(&lab, &[(&b, &c)])?;
        let changing = Streams::start(&lab, &[(&a, &c)])?;

        // Adds and removes the pair of A and C and a peer, so that WireGuard changes too.
        let of_a = lab.site().addresses(&a)?;
        let mut is_listed = true;
        let started = Instant::now();
        lab.site_mut().add_peer("guest", &guest(1))?;
        lab.up()?;
        let whole = started.elapsed();
        let mut cut_short = 0;
        for kill in 0..KILLS {
            if is_listed {
                lab.site_mut().disallow(&c, &of_a)?;
                lab.site_mut().remove_peer("guest")?;
            } else {
                lab.site_mut().allow(&c, &of_a)?;
                lab.site_mut().add_peer("guest", &guest(1))?;
            }
            is_listed = !is_listed;
            lab.write_config()?;
            let mut command = lab.relay().command(&["up"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut up = lab.relay().namespace().enter(|| command.spawn())??;
            deadline::pass(whole * (kill * STRIDE % 1000) / 1000);
            up.kill()?;
            cut_short += u32::from(!up.wait()?.success());

            lab.relay().up().with_context(|| format!("after kill {kill}"))?;
            let checked = lab.relay().relay(&["status", "--check"])?;
            ensure!(checked.code == 0, "after kill {kill}: {checked:?}");
            changing.pass_or_not(is_listed).with_context(|| format!("after kill {kill}"))?;
        }
        ensure!(cut_short >= KILLS / 2, "only {cut_short} of {KILLS} were killed at work");

        ensure!(
            dropped.stop()?.iter().all(|flown| flown.received == 0),
            "packets passed that both policies drop"
        );
        let _of_both = changing.stop()?;
        let sent = allowed.stop_without_loss()?;
        let moved = lab.relay().ledger()?.since(&before)?;
        let received = moved.get(&format!("{b} relayed tx packets"));
        ensure!(received == sent[0], "{} packets went to {b}, counted {received}", sent[0]);
        Ok(())
    });
}

/// Checks that the relay's counters moved by what was sent and received, and by nothing else.
fn counted_exactly(lab: &Lab, before: &Ledger, pairs: &[(&str, u64); 2]) -> Result<()> {
    let moved = lab.relay().ledger()?.since(before)?;
    let [(a, from_a), (b, from_b)] = *pairs;
    for (name, direction, expected) in
        [(a, "rx", from_a), (b, "tx", from_a), (b, "rx", from_b), (a, "tx", from_b)]
    {
        let counted = moved.get(&format!("{name} relayed {direction} packets"));
        ensure!(counted == expected, "{name} {direction}: {expected} were counted as {counted}");
    }
    Ok(())
}

/// Addresses of the peer that is added and removed.
fn guest(number: u32) -> [IpAddr; 2] {
    addresses(100 + octet(number % 100))
}

/// Overlay addresses that end in this byte.
fn addresses(octet: u8) -> [IpAddr; 2] {
    let v6 = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 3, 2, octet.into());
    [IpAddr::from([10, 3, 2, octet]), IpAddr::from(v6)]
}

fn octet(number: u32) -> u8 {
    u8::try_from(number).unwrap_or_default()
}
