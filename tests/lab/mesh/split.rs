//! Relays that live and do not see each other.

use anyhow::{Context as _, Result, ensure};
use relay_tests::{Family, MeshLab, Site, deadline, scenario, skip, traffic::Stream};

use super::{KNOWN, await_health, spread};

#[test]
fn a_split_lets_nothing_through_that_is_denied_and_heals() {
    scenario(skip::TIMED, || {
        let (mesh, _agents) = spread(Site::one_to_many()?)?;
        let [a, b, c, d] = mesh.lab().first()?;
        for node in [b, c, d] {
            mesh.lab().widen(node)?;
        }
        let denied = [(b, c), (c, b), (b, d), (d, b), (c, d), (d, c)]
            .into_iter()
            .map(|(from, to)| Stream::start(from, to, Family::V4))
            .collect::<Result<Vec<_>>>()?;
        let allowed = [(a, b), (b, a), (a, c), (c, a)]
            .into_iter()
            .map(|(from, to)| Stream::start(from, to, Family::V4))
            .collect::<Result<Vec<_>>>()?;
        // B goes to the first relay, which the second does not hear.
        mesh.split(0, 1)?;
        mesh.move_to(b, 0)?;
        flow(&mesh, &allowed).context("while two are split")?;
        deadline::until("the first relay to have it", || {
            Ok((believes(&mesh, 0)? == [3, 0, 1]).then_some(()))
        })?;
        mesh.heal()?;
        mesh.await_homes(KNOWN, [3, 0, 1])?;
        flow(&mesh, &allowed).context("after that")?;

        // Nobody sees anybody, and each has all the peers that call it.
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            mesh.split(one, other)?;
        }
        for (peer, place) in [(a, 1), (b, 2), (c, 0), (d, 1)] {
            mesh.move_to(peer, place)?;
        }
        mesh.heal()?;
        mesh.await_homes(KNOWN, [1, 2, 1])?;
        flow(&mesh, &allowed).context("after all were split")?;
        await_health(&mesh)?;
        for stream in denied {
            let flown = stream.stop()?;
            ensure!(flown.sent > 100 && flown.received == 0, "what is denied passed: {flown:?}");
        }
        Ok(())
    });
}

/// Waits until all of them flow.
fn flow(mesh: &MeshLab, streams: &[Stream]) -> Result<()> {
    for (place, stream) in streams.iter().enumerate() {
        let before = stream.received();
        let flows = deadline::until("flowing", || Ok((stream.received() > before).then_some(())));
        if flows.is_err() {
            let known = (0..3).map(|place| believes(mesh, place)).collect::<Result<Vec<_>>>()?;
            return flows.with_context(|| format!("stream {place}; peers at relays: {known:?}"));
        }
    }
    Ok(())
}

/// How many peers a relay believes to be at home at each.
fn believes(mesh: &MeshLab, place: usize) -> Result<Vec<usize>> {
    Ok(mesh.status(place)?.relays.iter().map(|relay| relay.peers).collect())
}
