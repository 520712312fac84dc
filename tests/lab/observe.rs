use anyhow::{Context as _, Result, ensure};
use relay_tests::{Family, Lab, Peer, Site, deadline, scenario, schema, skip, traffic::Udp};
use serde_json::Value;

#[test]
fn observe_shows_dropped_packets_and_pairs_are_counted_on_request() {
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
        let counted = pairs["pairs"].as_array().context("a list of pairs")?.len();
        let all = ["stats", "--openmetrics", "--all", "--compat", "--most-pairs", "0"];
        let metrics = lab.relay().relay(&all)?.success("stats")?;
        for line in [
            "wgrelay_pair_series_limit{interface=\"relay0\"} 0".to_owned(),
            format!("wgrelay_pair_series_omitted{{interface=\"relay0\"}} {counted}"),
            format!("wgrelay_peer_up{{interface=\"relay0\",peer=\"{a}\"}} 1"),
            "# EOF".to_owned(),
        ] {
            ensure!(metrics.lines().filter(|there| *there == line).count() == 1, "{metrics}");
        }
        ensure!(metrics.contains(&format!(",friendly_name=\"{b}\"}} ")), "{metrics}");
        ensure!(!metrics.contains("wgrelay_pair_packets_total{"), "{metrics}");
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
    Udp::between(from, to, family)?.send(2, 100).map(drop)
}

fn events(lab: &Lab, options: &[&str]) -> Result<Vec<Value>> {
    let arguments = [&["observe", "--output", "json"], options].concat();
    let text = lab.relay().relay(&arguments)?.success("observe")?;
    text.lines().map(|line| schema::parse("observe", line)).collect()
}
