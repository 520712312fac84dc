use anyhow::{Context as _, Result, ensure};
use relay_tests::{Family, Lab, deadline, scenario, schema, skip};
use serde_json::Value;

use super::{WEB, chunk, connect, ruled};

#[test]
fn flows_and_rules_are_shown_as_they_run_and_a_diff_tells_what_would_end() {
    scenario(skip::LAB, || {
        let lab = Lab::start(ruled(&["tcp/8080"])?)?;
        let [a, b] = lab.first()?;
        let mut connections = Vec::new();
        for family in Family::ALL {
            let mut connection = connect(a, b, family, WEB)?;
            ensure!(chunk(&mut connection)?, "the chunk is lost");
            connections.push(connection);
        }
        let shown = flows(&lab, &[])?;
        ensure!(shown.len() == 2, "{shown:?}");
        for family in Family::ALL {
            let (from, to) = (a.address(family).to_string(), b.address(family).to_string());
            let flow = shown.iter().find(|flow| flow["from"]["address"] == from);
            let flow = flow.with_context(|| format!("no flow of {from}: {shown:?}"))?;
            let is_it = flow["from"]["peer"] == a.name()
                && flow["to"]["peer"] == b.name()
                && flow["to"]["address"] == to
                && flow["to"]["port"] == WEB
                && flow["service"] == "tcp/8080"
                && flow["rule"] == "opened"
                && flow["state"] == "open"
                && flow["expiresInSeconds"].as_u64() > Some(0);
            ensure!(is_it, "{flow}");
        }
        let metrics = ["stats", "--prometheus", "--all"];
        let metrics = lab.relay().relay(&metrics)?.success("stats")?;
        for line in [
            "wgrelay_flows{interface=\"relay0\",state=\"open\"} 2\n",
            "wgrelay_flow_capacity{interface=\"relay0\"} 131072\n",
            "wgrelay_rule_flows_total{interface=\"relay0\",rule=\"opened\"} 2\n",
        ] {
            ensure!(metrics.contains(line), "no {line} in\n{metrics}");
        }
        let number = |filter: &[&str]| flows(&lab, filter).map(|flows| flows.len());
        let numbers = [
            number(&["--peer", b.name()])?,
            number(&["--peer", &a.address(Family::V6).to_string()])?,
            number(&["--service", "tcp/8000-9000", "--rule", "opened"])?,
            number(&["--service", "udp/8080"])?,
        ];
        ensure!(numbers == [2, 1, 2, 0], "{numbers:?}");
        let unknown = lab.relay().relay(&["flows", "--rule", "open"])?;
        let hint = "\"open\" is no rule of relay0; did you mean opened?";
        ensure!(unknown.failure(2)?.contains(hint), "{unknown:?}");

        deadline::until("the rule counts what its flows count", || {
            let flows = flows(&lab, &[])?;
            let sums = ["packets", "bytes"]
                .map(|count| flows.iter().filter_map(|flow| flow[count].as_u64()).sum::<u64>());
            let rules = lab.relay().relay(&["stats", "--rules", "--json"])?.success("stats")?;
            let rules = schema::parse("rules", &rules)?;
            let rule = &rules["rules"][0];
            ensure!(rule["rule"] == "opened" && rule["flows"] == 2, "{rules}");
            let is_equal = rule["packets"] == sums[0] && rule["bytes"] == sums[1];
            Ok((is_equal && sums[0] > 0).then_some(()))
        })?;

        // The file is edited in place: what is in force is known all the same.
        let file = lab.relay().config().display().to_string();
        let mut without = lab.site().clone();
        without.remove_rule("opened")?;
        without.add_rule("other", b.name(), a.name(), &["udp/1"])?;
        lab.relay().write_config(&without.text()?)?;
        let diff = lab.relay().relay(&["diff", &file, "--flows"])?;
        let lines = [
            format!("- {} \u{2192} {}: tcp/8080 (rule opened)", a.name(), b.name()),
            format!("+ {} \u{2192} {}: udp/1 (rule other)", b.name(), a.name()),
            "2 live flows would end:".to_owned(),
        ];
        let all = lines.iter().all(|line| diff.stdout.contains(line));
        ensure!(diff.code == 1 && all, "{diff:?}");
        let json = lab.relay().relay(&["diff", &file, "--flows", "--json"])?;
        let json = schema::parse("diff", &json.stdout)?;
        ensure!(json["flows"].as_array().map(Vec::len) == Some(2), "{json}");
        // Nothing has changed.
        connections.iter_mut().try_for_each(|connection| {
            ensure!(chunk(connection)?, "a chunk is lost");
            Ok(())
        })?;

        lab.relay().up()?;
        let same = lab.relay().relay(&["diff", &file, "--flows"])?.success("diff")?;
        ensure!(same.contains("nothing is gained or lost"), "{same}");
        // They have ended, though no packet has come since.
        let left = flows(&lab, &[])?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    });
}

fn flows(lab: &Lab, filter: &[&str]) -> Result<Vec<Value>> {
    let arguments = [&["flows", "--json"], filter].concat();
    let text = lab.relay().relay(&arguments)?.success("flows")?;
    let json = schema::parse("flows", &text)?;
    json["flows"].as_array().cloned().context("no array")
}
