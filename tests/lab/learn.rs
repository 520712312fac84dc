//! `relay learn`: what peers use of each other, on real traffic.

use std::{fs, net::SocketAddr};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{
    Family, Lab, Peer, Site, deadline, scenario, schema, skip,
    traffic::{Echo, tcp::Connection},
};
use serde_json::Value;

#[test]
fn what_is_used_is_learnt_across_reloads_until_it_is_off_and_forgotten() {
    scenario(skip::LAB, || {
        let mut lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.site().first()?;
        let before = lab.relay().stats()?;
        ensure!(status(&lab)?["state"] == "none");
        learn(&lab, &["on"])?;
        let during = lab.relay().stats()?;
        ensure!(during.policy_hash == before.policy_hash && during.generation > before.generation);
        ensure!(learn(&lab, &["on"])?.contains("on already"));
        lab.relay().require_sound()?;
        ensure!(!lab.relay().up()?.changed, "up ended the learning");
        ensure!(lab.relay().relay(&["status"])?.stdout.contains("`relay learn off` ends it"));

        // Both families are one use.
        for family in Family::ALL {
            echo(&lab, &a, &b, family)?;
            connect(lab.peer(&b)?, lab.peer(&a)?, family, 8080)?;
        }
        let learnt = status(&lab)?;
        ensure!(learnt["state"] == "on" && learnt["services"] == 2, "{learnt}");
        ensure!(learnt["lostPackets"] == 0 && learnt["pairsWithMore"] == 0, "{learnt}");

        // Another policy goes on.
        lab.site_mut().add_rule("more", &a, &b, &["tcp/1"])?;
        ensure!(lab.up()?.changed);
        connect(lab.peer(&a)?, lab.peer(&b)?, Family::V4, 8081)?;
        let after = status(&lab)?;
        ensure!(after["services"] == 3 && after["since"] == learnt["since"], "{after}");

        // A trace changes nothing of it.
        lab.relay().relay(&["trace", "--seconds", "1"])?.success("relay trace")?;
        connect(lab.peer(&a)?, lab.peer(&b)?, Family::V6, 8082)?;
        ensure!(status(&lab)?["services"] == 4);
        let config = lab.relay().config().display().to_string();
        let tried = lab.relay().relay(&["try", &config])?;
        ensure!(tried.failure(1)?.contains("`relay learn off` first"), "{tried:?}");

        learn(&lab, &["off"])?;
        ensure!(learn(&lab, &["off"])?.contains("off already"));
        connect(lab.peer(&a)?, lab.peer(&b)?, Family::V4, 8083)?;
        let kept = status(&lab)?;
        ensure!(kept["state"] == "off" && kept["services"] == 4, "{kept}");
        lab.relay().require_sound()?;

        lab.relay().relay(&["try", &config])?.success("relay try")?;
        let tried = lab.relay().relay(&["learn", "on"])?;
        ensure!(tried.failure(1)?.contains("`relay try --stop` first"), "{tried:?}");
        lab.relay().relay(&["try", "--stop"])?.success("relay try --stop")?;

        learn(&lab, &["on"])?;
        ensure!(status(&lab)?["services"] == 4);
        learn(&lab, &["on", "--fresh"])?;
        let fresh = status(&lab)?;
        ensure!(fresh["state"] == "on" && fresh["services"] == 0, "{fresh}");
        lab.relay().down()?;
        lab.up()?;
        ensure!(status(&lab)?["state"] == "none");
        lab.relay().require_sound()
    });
}

#[test]
fn rules_that_are_suggested_carry_what_was_used_without_lists() {
    scenario(skip::LAB, || {
        let mut lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.site().first()?;
        let early = lab.relay().relay(&["suggest"])?;
        ensure!(early.failure(1)?.contains("run `relay learn on`"), "{early:?}");
        let off = lab.relay().relay(&["unused"])?;
        ensure!(off.stderr.contains("learning is off"), "{off:?}");

        lab.site_mut().add_rule("idle", &a, &b, &["tcp/1"])?;
        lab.up()?;
        learn(&lab, &["on"])?;
        let use_all = |lab: &Lab| -> Result<()> {
            for family in Family::ALL {
                echo(lab, &a, &b, family)?;
                connect(lab.peer(&b)?, lab.peer(&a)?, family, 8080)?;
            }
            Ok(())
        };
        use_all(&lab)?;
        let found = json(&lab, "suggest")?;
        let rules = found["rules"].as_array().context("rules")?;
        ensure!(rules.len() == 2 && found["tests"].as_array().is_some_and(|it| it.len() == 2));
        for (from, to, port) in [(&a, &b, "icmp/echo"), (&b, &a, "tcp/8080")] {
            let is_it = |one: &Value| {
                one["from"][0] == **from && one["to"][0] == **to && one["ports"][0] == *port
            };
            ensure!(rules.iter().any(is_it), "{found:#}");
        }
        let unused = json(&lab, "unused")?;
        let names = |of: &Value| of.as_array().map(Vec::len);
        ensure!(names(&unused["entries"]) == Some(0), "{unused:#}");
        ensure!(unused["rules"][0]["rule"] == "idle", "{unused:#}");

        let fragments = lab.relay().config().with_extension("d");
        fs::create_dir_all(&fragments)?;
        let suggested = lab.relay().relay(&["suggest"])?.success("relay suggest")?;
        fs::write(fragments.join("learnt.toml"), suggested)?;
        lab.site_mut().without_lists()?;
        ensure!(lab.up()?.changed);
        use_all(&lab)?;
        let unused = json(&lab, "unused")?;
        ensure!(names(&unused["rules"]) == Some(1), "{unused:#}");
        let again = json(&lab, "suggest")?;
        ensure!(names(&again["rules"]) == Some(0), "{again:#}");
        lab.relay().require_sound()
    });
}

fn json(lab: &Lab, verb: &str) -> Result<Value> {
    let text = lab.relay().relay(&[verb, "--json"])?.success(verb)?;
    schema::parse(verb, &text)
}

fn learn(lab: &Lab, arguments: &[&str]) -> Result<String> {
    let outcome = lab.relay().relay(&[&["learn"], arguments].concat())?;
    let said = outcome.stderr.clone();
    Ok(outcome.success("relay learn")? + &said)
}

fn status(lab: &Lab) -> Result<Value> {
    let text = lab.relay().relay(&["learn", "status", "--json"])?.success("relay learn status")?;
    schema::parse("learn", &text)
}

fn echo(lab: &Lab, from: &str, to: &str, family: Family) -> Result<()> {
    let mut echo = Echo::between(lab.peer(from)?, lab.peer(to)?, family)?;
    echo.send(3)?;
    ensure!(echo.answers(3, deadline::PATIENCE)? == 3, "{family:?} is not answered");
    Ok(())
}

fn connect(from: &Peer, to: &Peer, family: Family, port: u16) -> Result<()> {
    let target = SocketAddr::new(to.address(family), port);
    Connection::open_port(from.namespace(), from.address(family), to.namespace(), target)?
        .exchange(10_000)
}
