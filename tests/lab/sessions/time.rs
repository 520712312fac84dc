//! What takes minutes, on the clock that skips them.

use std::time::Duration;

use anyhow::{Result, ensure};
use relay_tests::{
    Family, Lab, Site, deadline, memory, scenario, skip,
    traffic::{Echo, Streams, Udp},
};

use super::USERSPACE;

/// Time between two datagrams of a stream.
const PACE: Duration = Duration::from_millis(500);

/// Longer than four sessions: WireGuard makes another after 120 s and takes none after 180
/// (WireGuard paper, section 6.1).
const SESSIONS: Duration = Duration::from_secs(600);

/// Until a session is over that nobody has answered in.
const OVER: Duration = Duration::from_secs(400);

/// Datagrams to a peer that does not answer, how many leave at once, and the bytes of each.
const FLOOD: u64 = 20_000;
const SALVO: u64 = 20;
const LEN: usize = 1000;

/// WireGuard keeps 128 packets for a peer until it has a session (MAX_STAGED_PACKETS, messages.h,
/// Linux 6.12); with what a packet takes beside its bytes, and what the kernel does meanwhile.
const KEPT_KIB: u64 = 2048;

#[test]
fn new_session_keys_cost_no_packet_in_either_direction() {
    scenario(skip::TIMED, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        pass_new_sessions(&lab)
    });
}

#[test]
fn nor_do_those_of_a_peer_by_wireguard_go() {
    scenario(&[skip::TIMED, USERSPACE].concat(), || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.first()?;
        let _process = a.connect_by_wireguard_go()?;
        Echo::between(a, b, Family::V4)?.reach()?;
        pass_new_sessions(&lab)
    });
}

/// Two peers talk for so long that WireGuard makes new sessions, and lose nothing.
fn pass_new_sessions(lab: &Lab) -> Result<()> {
    let [a, b] = lab.first()?;
    let (from, to) = (a.name(), b.name());
    let streams = Streams::start_every(PACE, lab, &[(from, to), (to, from)])?;
    let mut handshakes = Vec::new();
    let step = Duration::from_secs(20);
    for _ in 0..SESSIONS.as_secs() / step.as_secs() {
        deadline::pass(step);
        handshakes.push((a.latest_handshake()?, b.latest_handshake()?));
    }
    streams.stop_without_loss()?;
    handshakes.dedup();
    let (of_a, of_b): (Vec<_>, Vec<_>) = handshakes.iter().copied().unzip();
    for mut times in [of_a, of_b] {
        times.dedup();
        ensure!(times.len() >= 4, "{} sessions in {SESSIONS:?}", times.len());
    }
    Ok(())
}

#[test]
fn a_flood_to_a_peer_that_is_gone_takes_little_memory_and_nothing_from_others() {
    scenario(skip::TIMED, || {
        let lab = Lab::start(Site::one_to_many()?)?;
        let [a, gone, c] = lab.first()?;
        gone.nat().namespace().run("ip", &["link", "set", "wan", "down"])?;
        deadline::pass(OVER);
        let (source, target) = (a.address(Family::V4), gone.address(Family::V4));
        let flood = Udp::blind(a.namespace(), source, (target, 9).into())?;
        let mut echo = Echo::between(a, c, Family::V4)?;
        let before = (lab.relay().ledger()?, memory::slab()?);
        let (mut sent, mut answers) = (0, 0);
        for _ in 0..FLOOD / SALVO {
            sent += flood.send(SALVO, LEN)?.packets;
            echo.send(1)?;
            answers += echo.answers(1, deadline::PATIENCE)?;
        }
        ensure!(answers == FLOOD / SALVO, "{answers} answers of another peer");
        let moved = lab.relay().ledger()?.since(&before.0)?;
        let relayed = moved.get(&format!("{} relayed tx packets", gone.name()));
        ensure!(relayed == sent, "of {sent} packets, {relayed} were counted:\n{moved}");
        let now = memory::slab()?;
        println!("flood: {} KiB became {now} KiB", before.1);
        ensure!(now < before.1 + KEPT_KIB, "{} KiB became {now} KiB", before.1);

        // It comes back by itself, and gets the last of what was kept.
        gone.nat().namespace().ip_batch(
            "link set wan up\nroute replace 198.51.100.254/32 dev wan\n\
             route replace default via 198.51.100.254\n",
        )?;
        Echo::between(a, gone, Family::V4)?.reach()
    });
}
