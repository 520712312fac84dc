use anyhow::ensure;
use relay_tests::{Lab, Site, scenario, schema, skip};

#[test]
fn explain_asks_the_program_in_force_and_reports_drift() {
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
            drifted.stdout.contains("the configuration files give another answer"),
            "{drifted:?}"
        );
        let alone = lab.relay().relay(&["explain", "--config-only", &b, &c])?;
        ensure!(alone.code == 1 && alone.stdout.contains("not_in_destination_list"), "{alone:?}");

        let moved = lab.relay().ledger()?.since(&before)?;
        ensure!(moved == Default::default(), "probes were counted:\n{moved}");
        Ok(())
    });
}
