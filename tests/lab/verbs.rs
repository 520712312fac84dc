//! Commands on a running relay, with real clients: peers are added, rotated and removed.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use relay_tests::{Family, Lab, Site, deadline, scenario, schema, skip, traffic::Echo};

const GUEST: &str = "guest";

#[test]
fn a_peer_added_by_command_connects_with_the_file_it_was_given_and_again_with_new_keys() {
    scenario(skip::LAB, || {
        let site = Site::one_to_many()?;
        let [a] = site.first()?;
        let mut lab = Lab::start_with(site, std::slice::from_ref(&a))?;
        let state = lab.directory().join("state").display().to_string();
        let relay = |lab: &Lab, arguments: &[&str]| {
            lab.relay().relay(&[arguments, &["--state", &state]].concat())
        };
        let first = lab.relay().wg("relay0", "latest-handshakes")?;

        let [a_v4, a_v6] =
            Family::ALL.map(|family| lab.peer(&a).map(|a| a.address(family).to_string()));
        let (a_v4, a_v6) = (a_v4?, a_v6?);
        let add =
            ["peer", "add", GUEST, "--generate", "--allow", &a_v4, "--allow", &a_v6, "--apply"];
        let file = relay(&lab, &add)?.success("peer add")?;
        // A change lists its own differences, and counts the others.
        let key = "1rAoTG+RAoOxgCXxI+44FU1fe3GQ3PXU8VkiOqNQJGI=";
        let quiet = relay(&lab, &["peer", "add", "quiet", "--public-key", key, "--apply"])?;
        ensure!(
            quiet.code == 0
                && quiet.stderr.contains("`relay status` shows")
                && !quiet.stderr.contains("warning: "),
            "{quiet:?}"
        );
        relay(&lab, &["peer", "remove", "quiet", "--apply"])?.success("peer remove")?;
        // A's own list lacks the peer, and explain says so.
        let dropped = lab.relay().relay(&["explain", GUEST, &a])?;
        ensure!(
            dropped.code == 1 && dropped.stdout.contains("not_in_destination_list"),
            "{dropped:?}"
        );
        let addresses = [lab.model()?.peers.last().context("a peer")?.addresses.clone()].concat();
        lab.site_mut().allow(&a, &addresses)?;
        lab.up()?;

        lab.join(GUEST)?;
        let connects = |lab: &Lab, file: &str| -> Result<()> {
            let (a, guest) = (lab.peer(&a)?, lab.peer(GUEST)?);
            lab.widen(a)?;
            guest.connect(file)?;
            lab.await_handshake(guest)?;
            for family in Family::ALL {
                let (from, to) = (guest.address(family), a.address(family));
                let mut echo = Echo::open(guest.namespace(), from, to)?;
                echo.send(1)?;
                ensure!(echo.answers(1, deadline::PATIENCE)? == 1, "{to} does not answer {from}");
            }
            Ok(())
        };
        connects(&lab, &file)?;

        // A disabled peer is cut off and keeps its counts; enabled, it is back.
        let before = lab.relay().stats()?;
        let before = before.peer(GUEST).context("the guest")?.relayed.rx_packets;
        ensure!(before > 0, "nothing was counted");
        relay(&lab, &["peer", "disable", GUEST, "--apply"])?.success("peer disable")?;
        let (guest, other) = (lab.peer(GUEST)?, lab.peer(&a)?);
        let mut echo = Echo::between(guest, other, Family::V4)?;
        echo.send(3)?;
        ensure!(echo.answers(1, Duration::from_secs(2))? == 0, "a disabled peer reaches {a}");
        let stats = lab.relay().stats()?;
        let off = stats.peer(GUEST).context("the guest")?;
        ensure!(!off.enabled && off.relayed.rx_packets == before, "{off:?}");
        let key = &off.public_key;
        ensure!(!lab.relay().wg("relay0", "endpoints")?.contains_key(key), "WireGuard has {key}");
        lab.relay().require_sound()?;
        relay(&lab, &["peer", "enable", GUEST, "--apply"])?.success("peer enable")?;
        lab.peer(GUEST)?.namespace().run("ip", &["link", "del", GUEST])?;
        connects(&lab, &file)?;
        let stats = lab.relay().stats()?;
        let on = stats.peer(GUEST).context("the guest")?;
        ensure!(on.enabled && on.relayed.rx_packets > before, "{on:?}");

        let rotated = relay(&lab, &["peer", "rotate", GUEST, "--apply"])?.success("peer rotate")?;
        ensure!(rotated != file, "the file holds the same keys");
        lab.peer(GUEST)?.namespace().run("ip", &["link", "del", GUEST])?;
        connects(&lab, &rotated)?;

        let stats = lab.relay().stats()?;
        ensure!(stats.peers.iter().any(|peer| peer.name == GUEST), "{stats:?}");
        relay(&lab, &["peer", "remove", GUEST, "--apply"])?.success("peer remove")?;
        let stats = lab.relay().stats()?;
        ensure!(stats.peers.iter().all(|peer| peer.name != GUEST), "{stats:?}");
        // Other peers keep their sessions.
        let last = lab.relay().wg("relay0", "latest-handshakes")?;
        let key = lab.site().private_key(&a)?.public_key().to_string();
        ensure!(last.get(&key) == first.get(&key), "{first:?} became {last:?}");
        Ok(())
    });
}

#[test]
fn stats_metrics_and_graph_agree_with_wg() {
    scenario(skip::LAB, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.first()?;
        let mut echo = Echo::between(a, b, Family::V4)?;
        echo.send(3)?;
        ensure!(echo.answers(3, deadline::PATIENCE)? == 3, "no answer");

        let dump = lab.relay().relay(&["stats", "--dump"])?.success("stats --dump")?;
        let wg = lab.relay().namespace().run("wg", &["show", "relay0", "dump"])?;
        // Public key and what wg shows of each peer, without secret and transfer.
        let columns = |line: &str| -> Vec<String> {
            let fields: Vec<&str> = line.split('\t').collect();
            [0, 2, 3, 7].iter().filter_map(|&at| fields.get(at)).map(|f| (*f).to_owned()).collect()
        };
        for line in wg.lines().skip(1) {
            let wanted = columns(line);
            let found = dump.lines().skip(1).map(columns).find(|found| found[0] == wanted[0]);
            let found = found.with_context(|| format!("no {} in\n{dump}", wanted[0]))?;
            let sorted = |list: &str| {
                let mut list: Vec<_> = list.split(',').map(str::to_owned).collect();
                list.sort();
                list
            };
            ensure!(sorted(&found[2]) == sorted(&wanted[2]), "{found:?}, wg says {wanted:?}");
            ensure!(
                (&found[1], &found[3]) == (&wanted[1], &wanted[3]),
                "{found:?}, wg says {wanted:?}"
            );
        }
        let private = wg.split('\t').next().context("a private key")?;
        ensure!(!dump.contains(private), "the private key is shown");

        let metrics = lab.relay().relay(&["stats", "--prometheus"])?.success("--prometheus")?;
        for name in [a.name(), b.name()] {
            let up = format!("wgrelay_peer_up{{interface=\"relay0\",peer=\"{name}\"}} 1\n");
            ensure!(metrics.contains(&up), "no {up} in\n{metrics}");
        }
        let graph = lab.relay().relay(&["graph", "--live", "--format", "svg"])?.success("graph")?;
        ensure!(graph.starts_with("<svg") || graph.starts_with("<?xml"), "{graph}");
        let doctor = lab.relay().relay(&["doctor", "--json"])?;
        schema::parse("doctor", &doctor.stdout)?;
        Ok(())
    });
}
