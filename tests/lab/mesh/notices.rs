//! What keepalived tells the agent, without keepalived.

use std::{fs::File, io::Write as _, time::Duration};

use anyhow::{Context as _, ensure};
use relay_tests::{Family, MeshLab, Site, deadline, scenario, skip, traffic::Echo};
use rustix::fs::{CWD, Mode, mkfifoat};

use super::KNOWN;

/// How long an answer may take, until another request is sent.
const ANSWER: Duration = Duration::from_millis(200);

#[test]
fn the_agent_takes_peers_over_as_soon_as_its_host_has_their_address() {
    scenario(skip::LAB, || {
        let mesh = MeshLab::start(Site::one_to_many()?)?;
        let _agents = mesh.agents()?;
        mesh.await_homes(KNOWN, [4, 0, 0])?;
        // It does not come by itself.
        let [a, b, _, away] = mesh.lab().first()?;
        away.namespace().run("ip", &["link", "set", away.name(), "down"])?;

        let path = mesh.lab().directory().join("r2/run/relay0.vrrp");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR)?;
        let mut notices = File::options().read(true).write(true).open(&path)?;
        mesh.hold(1)?;
        let mut homes = Vec::new();
        deadline::until("r2 to be the home of all peers", || {
            // What comes before the agent has opened it is not meant for it.
            writeln!(notices, "INSTANCE \"lan\" MASTER 150\nINSTANCE \"relay0\" MASTER 150")?;
            homes = mesh.status(1)?.relays.iter().map(|relay| relay.peers).collect();
            Ok((homes == [0, 4, 0]).then_some(()))
        })
        .with_context(|| format!("{homes:?}"))?;
        mesh.await_homes(KNOWN, [0, 4, 0])?;
        let mut echo = Echo::between(a, b, Family::V4)?;
        deadline::until("the first two to reach each other", || {
            echo.send(1)?;
            Ok((echo.answers(1, ANSWER)? > 0).then_some(()))
        })?;
        ensure!(mesh.holder()? == Some(1), "the address moved");
        Ok(())
    });
}
