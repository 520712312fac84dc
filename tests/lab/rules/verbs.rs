use std::fs;

use anyhow::{Result, ensure};
use relay_tests::{Lab, scenario, schema, skip};

use super::{apply, ruled};

#[test]
fn diff_compares_a_file_with_what_is_in_force() {
    scenario(skip::LAB, || {
        let lab = Lab::start(ruled(&["tcp/22"])?)?;
        let before = lab.relay().ledger()?;
        let [a, b] = lab.site().first()?;
        let own = lab.relay().config().display().to_string();
        let new = lab.directory().join("new.toml").display().to_string();
        let mut site = lab.site().clone();
        site.rule_mut("opened")?.insert("ports".to_owned(), vec!["tcp/22", "tcp/80"].into());
        site.add_rule("back", &b, &a, &["udp/53"])?;
        fs::write(&new, site.text()?)?;

        let same = lab.relay().relay(&["diff", &own])?.success("diff")?;
        ensure!(same == "nothing is gained or lost\n", "{same}");
        let edited = lab.relay().relay(&["diff", &new])?;
        ensure!(edited.code == 1 && edited.stderr.is_empty(), "{edited:?}");
        let mut lines: Vec<&str> = edited.stdout.lines().collect();
        lines.sort_unstable();
        let expected = [
            "+ node-a → node-b: tcp/80 (rule opened)",
            "+ node-b → node-a: udp/53 (rule back)",
            "2 directions gain something, 0 directions lose something, 0 directions keep something \
             with another end or rule",
        ];
        ensure!(lines == expected, "{edited:?}");

        lab.relay().write_config(&site.text()?)?;
        let in_place = lab.relay().relay(&["diff", &own])?;
        ensure!(in_place.code == 1 && in_place.stdout == edited.stdout, "{in_place:?}");
        lab.relay().relay(&["reload"])?.success("reload")?;
        for file in [&own, &new] {
            let same = lab.relay().relay(&["diff", file])?.success("diff")?;
            ensure!(same == "nothing is gained or lost\n", "{same}");
        }
        ensure!(
            lab.relay().ledger()?.since(&before)? == Default::default(),
            "packets were counted"
        );
        Ok(())
    });
}

#[test]
fn explain_names_the_rule_in_force_or_the_nearest_one() {
    scenario(skip::LAB, || {
        let lab = Lab::start(ruled(&["tcp/22"])?)?;
        let before = lab.relay().ledger()?;
        let [a, b] = lab.site().first()?;
        let place = format!("rule opened ({}:", lab.relay().config().display());

        let allowed = says(&lab, [&a, &b, "tcp/22"], 0)?;
        for text in [
            "10.3.2.3 → node-b 10.3.2.2, tcp/22: allowed\n",
            "fd00::3:2:3 → node-b fd00::3:2:2, tcp/22: allowed\n",
            &place,
            "lets node-a begin tcp/22 with node-b\n",
            "answers pass; node-b may not begin it with node-a (no_rule)\n",
            "answered by the program in force, generation 1\n",
        ] {
            ensure!(allowed.contains(text), "no `{text}` in\n{allowed}");
        }
        for (question, nearest, remedy, miss) in [
            (
                [&*a, &*b, "tcp/23"],
                "lets node-a begin tcp/22 with node-b, not tcp/23\n",
                "to allow it: add \"tcp/23\" to ports of rule opened, and run `relay up`\n",
                "services",
            ),
            (
                [&b, &a, "tcp/22"],
                "lets node-a begin tcp/22 with node-b, not node-b with node-a\n",
                "to allow it: write both_ways = true for rule opened, and run `relay up`\n",
                "other_way",
            ),
        ] {
            let dropped = says(&lab, question, 1)?;
            for text in ["dropped: no_rule\n", &place, nearest, remedy] {
                ensure!(dropped.contains(text), "no `{text}` in\n{dropped}");
            }
            let [from, to, service] = question;
            let json = lab.relay().relay(&["explain", "--json", from, to, service])?;
            ensure!(json.code == 1, "{json:?}");
            let json = schema::parse("explain", &json.stdout)?;
            let rule = &json["directions"][0]["rule"];
            ensure!(rule["name"] == "opened" && rule["miss"] == miss, "{json}");
        }

        // The file allows what the program in force does not.
        let mut site = lab.site().clone();
        site.rule_mut("opened")?.insert("ports".to_owned(), vec!["tcp/22", "tcp/23"].into());
        lab.relay().write_config(&site.text()?)?;
        let drifted = says(&lab, [&a, &b, "tcp/23"], 1)?;
        let text = "the configuration files give another answer (peer); run `relay up`";
        ensure!(drifted.contains(text), "{drifted}");
        apply(&lab, &site)?;
        let allowed = says(&lab, [&a, &b, "tcp/23"], 0)?;
        ensure!(allowed.contains("lets node-a begin tcp/23 with node-b\n"), "{allowed}");

        let moved = lab.relay().ledger()?.since(&before)?;
        ensure!(moved == Default::default(), "probes were counted:\n{moved}");
        Ok(())
    });
}

/// What `relay explain` says, with this exit code.
fn says(lab: &Lab, [from, to, service]: [&str; 3], code: i32) -> Result<String> {
    let outcome = lab.relay().relay(&["explain", from, to, service])?;
    ensure!(outcome.code == code && outcome.stderr.is_empty(), "{outcome:?}");
    Ok(outcome.stdout)
}
