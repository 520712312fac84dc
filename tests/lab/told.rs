//! What relay reports: `explain`, `observe`, traffic of pairs.

use anyhow::{Context as _, Result, ensure};
use relay_tests::{Family, Lab, Peer, Site, deadline, scenario, schema, skip, traffic::Udp};
use serde_json::Value;

#[test]
fn explain_is_answered_by_the_program_in_force_and_tells_of_drift() {
    scenario(skip::LAB, || {
        let site = Site::one_to_many()?;
        let [a, b, c] = site.first()?;
        let mut lab = Lab::start_with(site, std::slice::from_ref(&a))?;
        let before = lab.relay().ledger()?;

        let allowed = lab.relay().relay(&["explain", &a, &b])?.success("explain")?;
        ensure!(allowed.contains("10.3.2.2 → node-b 10.3.2.3: allowed\n"), "{allowed}");
        ensure!(allowed.contains("fd00::3:2:3 → node-a fd00::3:2:2: allowed\n"), "{allowed}");
        ensure!(allowed.contains("generation 1\n"), "{allowed}");
        // Of the two only a is there.
        let absent = format!("{b} has never connected: packets to it are lost until it does");
        ensure!(allowed.matches(&absent).count() == 2, "once a family: {allowed}");
        ensure!(!allowed.contains(&format!("{a} has never connected")), "{allowed}");

        let dropped = lab.relay().relay(&["explain", &b, &c])?;
        ensure!(dropped.code == 1 && dropped.stderr.is_empty(), "{dropped:?}");
        ensure!(dropped.stdout.contains("dropped: not_in_either_list"), "{dropped:?}");
        let config = lab.relay().config().display().to_string();
        let remedy = "to allow it: add \"10.3.2.4/32\" to allowed_ips of node-b";
        ensure!(dropped.stdout.contains(&format!("{remedy} ({config}:")), "{dropped:?}");

        let unknown = lab.relay().relay(&["explain", &b, "node-x"])?;
        ensure!(unknown.code == 2 && unknown.stderr.contains("node-x"), "{unknown:?}");
        let outside = lab.relay().relay(&["explain", &b, "192.0.2.1", "--json"])?;
        let outside = schema::parse("explain", &outside.stdout)?;
        // An address of the relay's host answers pings.
        ensure!(outside["directions"][0]["way"] == "host", "{outside}");

        // The relay's own address, which the client's file lacks.
        let own = lab.relay().relay(&["explain", "10.3.2.1", &b])?.success("explain")?;
        ensure!(
            own.contains("10.3.2.1 → node-b 10.3.2.3: allowed, from the relay itself"),
            "{own}"
        );
        ensure!(own.contains("client exchanges nothing with 10.3.2.1"), "{own}");
        let ping = lab.relay().relay(&["explain", &b, "10.3.2.1"])?.success("explain")?;
        ensure!(ping.contains("TCP and UDP to the relay are dropped"), "{ping}");
        let inwards = lab.relay().relay(&["explain", "198.51.100.77", &b])?;
        ensure!(
            inwards.code == 1 && inwards.stdout.contains("dropped: forwarded_in"),
            "{inwards:?}"
        );

        // The file allows more than the policy in force.
        let addresses = lab.site().addresses(&c)?;
        lab.site_mut().allow(&b, &addresses)?;
        lab.write_config()?;
        let drifted = lab.relay().relay(&["explain", &b, &c])?;
        ensure!(
            drifted.stdout.contains("the configuration on disk gives another answer"),
            "{drifted:?}"
        );
        let alone = lab.relay().relay(&["explain", "--config-only", &b, &c])?;
        ensure!(alone.code == 1 && alone.stdout.contains("not_in_destination_list"), "{alone:?}");

        let moved = lab.relay().ledger()?.since(&before)?;
        ensure!(moved == Default::default(), "questions were counted:\n{moved}");
        Ok(())
    });
}

#[test]
fn observe_shows_dropped_packets_by_name_and_counts_pairs_where_asked() {
    scenario(skip::LAB, || {
        let mut site = Site::one_to_many()?;
        let [a, b, c] = site.first()?;
        site.relay_mut()?.insert("pair_stats".to_owned(), true.into());
        let lab = Lab::start_with(site, &[a.clone(), b.clone(), c.clone()])?;
        let [pa, pb, pc] = lab.first()?;
        lab.widen(pb)?;
        for family in Family::ALL {
            send(pb, pc, family)?;
            send(pb, pa, family)?;
        }
        deadline::until("the dropped packets", || {
            Ok((events(&lab, &[])?.len() >= 4).then_some(()))
        })?;
        let found = events(&lab, &["--from", &b, "--to", &c])?;
        ensure!(found.len() == 4, "{found:?}");
        for event in &found {
            ensure!(event["from"] == b.as_str() && event["to"] == c.as_str(), "{event}");
            ensure!(event["reason"] == "not_in_either_list", "{event}");
            ensure!(event["protocol"] == "UDP" && event["sourcePort"].is_u64(), "{event}");
        }
        ensure!(events(&lab, &["--from", &a])?.is_empty());
        ensure!(events(&lab, &["--last", "1"])?.len() == 1);
        ensure!(events(&lab, &["--reason", "hairpin"])?.is_empty());
        let text = lab.relay().relay(&["observe", "--last", "1"])?.success("observe")?;
        ensure!(text.contains(" → node-c [fd00::3:2:4]:") && text.contains(" UDP "), "{text}");

        // Packets are counted for their pair only.
        let pairs = lab.relay().relay(&["stats", "--pairs", "--json"])?.success("stats")?;
        let pairs = schema::parse("pairs", &pairs)?;
        let of = |from: &str, to: &str| -> Result<Option<u64>> {
            let list = pairs["pairs"].as_array().context("a list of pairs")?;
            let pair = list.iter().find(|pair| pair["from"] == from && pair["to"] == to);
            Ok(pair.and_then(|pair| pair["packets"].as_u64()))
        };
        ensure!(of(&b, &a)? == Some(4) && of(&b, &c)?.is_none(), "{pairs}");

        let metrics = ["stats", "--pairs", "--prometheus"];
        let metrics = lab.relay().relay(&metrics)?.success("stats")?;
        let packets = format!("{{interface=\"relay0\",source=\"{b}\",destination=\"{a}\"}} 4\n");
        ensure!(metrics.contains(&format!("wgrelay_pair_packets_total{packets}")), "{metrics}");
        let graph = ["graph", "--live", "--format", "dot"];
        let graph = lab.relay().relay(&graph)?.success("graph")?;
        ensure!(
            graph.contains("penwidth=6.0"),
            "the only pair that talked is the busiest: {graph}"
        );

        // They outlive a switch of generations.
        lab.relay().relay(&["reload"])?.success("reload")?;
        ensure!(events(&lab, &[])?.len() == 4);
        Ok(())
    });
}

fn send(from: &Peer, to: &Peer, family: Family) -> Result<()> {
    let (source, target) = (from.address(family), to.address(family));
    Udp::open(from.namespace(), source, to.namespace(), target)?.send(2, 100).map(drop)
}

fn events(lab: &Lab, options: &[&str]) -> Result<Vec<Value>> {
    let arguments = [&["observe", "--output", "json"], options].concat();
    let text = lab.relay().relay(&arguments)?.success("observe")?;
    text.lines().map(|line| schema::parse("observe", line)).collect()
}
