use std::{fs, path::PathBuf, thread};

use anyhow::{Context as _, Result, anyhow, ensure};
use relay_tests::{Family, Lab, scenario, schema, skip};

use super::{STREAM_LEN, WEB, apply, chunk, connect, goes_on_no_more, ruled, syn_is_dropped};
use crate::watch::Watch;

const DNS: &str = "udp/53";

#[test]
fn what_is_lent_passes_until_it_is_revoked() {
    scenario(skip::LAB, || {
        let lab = Lab::start(ruled(&[DNS])?)?;
        let [a, b] = lab.first()?;
        let mut watch = Watch::start(&lab)?;
        syn_is_dropped(&mut watch, a, b, Family::V4, WEB)?;
        let name = format!("lent-{}-{}", a.name(), b.name());
        for family in Family::ALL {
            let lend = ["lend", a.name(), b.name(), "tcp/8080", "--for", "2h", "--reason", "test"];
            let lent = lab.relay().relay(&lend)?.success("lend")?;
            ensure!(
                lent.contains(&format!("lent {} \u{2192} {}: tcp/8080", a.name(), b.name())),
                "{lent}"
            );
            let list = lab.relay().relay(&["lend", "--list", "--json"])?.success("lend --list")?;
            let list = schema::parse("lend", &list)?;
            ensure!(list["loans"][0]["name"] == *name, "{list}");
            lab.relay().require_sound()?;

            let mut watch = Watch::start(&lab)?;
            let connection = connect(a, b, family, WEB)?;
            connection.exchange(STREAM_LEN)?;
            watch.passed(a, b)?;
            let mut connection = connect(a, b, family, WEB)?;
            ensure!(chunk(&mut connection)?, "the first chunk is lost");
            let flows = lab.relay().relay(&["flows", "--rule", &name])?.success("flows")?;
            ensure!(flows.contains("tcp/8080"), "{flows}");

            lab.relay().relay(&["lend", "--revoke", &name])?.success("lend --revoke")?;
            ensure!(lent_files(&lab)?.is_empty(), "{:?}", lent_files(&lab)?);
            goes_on_no_more(&lab, &mut connection, &[a, b], "no_rule")?;
            lab.relay().require_sound()?;
        }
        let again = lab.relay().relay(&["lend", "--revoke", &name])?;
        ensure!(again.code == 2 && again.stderr.contains("nothing is lent as"), "{again:?}");
        Ok(())
    });
}

#[test]
fn all_that_is_lent_at_once_is_in_force_beside_what_else_changes() {
    scenario(skip::LAB, || {
        let lab = Lab::start(ruled(&[DNS])?)?;
        let [a, b] = lab.site().first()?;
        let relay = lab.relay();
        thread::scope(|scope| -> Result<()> {
            let mut runs = vec![scope.spawn(|| relay.relay(&["up"])?.success("up").map(drop))];
            for port in ["tcp/1001", "tcp/1002", "tcp/1003"] {
                let (a, b) = (&a, &b);
                runs.push(scope.spawn(move || {
                    relay.relay(&["lend", a, b, port, "--for", "1h"])?.success("lend").map(drop)
                }));
            }
            let done =
                runs.into_iter().map(|run| run.join().map_err(|_panic| anyhow!("a panic"))?);
            done.collect()
        })?;
        let files = lent_files(&lab)?;
        ensure!(files.len() == 3, "{files:?}");
        relay.require_sound()?;
        for port in ["tcp/1001", "tcp/1002", "tcp/1003"] {
            relay.relay(&["explain", &a, &b, port])?.success("explain")?;
        }
        let last = format!("lent-{a}-{b}-3");
        relay.relay(&["lend", "--revoke", &last])?.success("lend --revoke")?;
        ensure!(lent_files(&lab)?.len() == 2, "{:?}", lent_files(&lab)?);
        relay.require_sound()
    });
}

#[test]
fn what_cannot_be_put_in_force_is_not_lent() {
    scenario(skip::LAB, || {
        let lab = Lab::start(ruled(&[DNS])?)?;
        let [a, b] = lab.site().first()?;
        let lend = ["lend", &a, &b, "tcp/8080", "--for", "2h"];
        let hash = || Ok::<_, anyhow::Error>(lab.relay().stats()?.policy_hash);
        let before = hash()?;

        // A change that waits goes along, and this is said.
        let mut site = lab.site().clone();
        site.add_rule("waiting", &b, &a, &["udp/1"])?;
        lab.relay().write_config(&site.text()?)?;
        let lent = lab.relay().relay(&lend)?;
        ensure!(lent.code == 0 && lent.stderr.contains("hold other changes"), "{lent:?}");
        let name = format!("lent-{a}-{b}");
        lab.relay().relay(&["lend", "--revoke", &name])?.success("lend --revoke")?;
        apply(&lab, lab.site())?;
        ensure!(hash()? == before, "another policy is in force");

        // The interface is not there.
        lab.relay().down()?;
        let lent = lab.relay().relay(&lend)?;
        ensure!(lent.code == 3 && lent.stderr.contains("does not exist"), "{lent:?}");
        ensure!(lent_files(&lab)?.is_empty(), "{:?}", lent_files(&lab)?);
        lab.relay().up()?;
        ensure!(hash()? == before, "another policy is in force");

        // What is lent can be revoked while the relay is down.
        lab.relay().relay(&lend)?.success("lend")?;
        lab.relay().down()?;
        lab.relay().relay(&["lend", "--revoke", &name])?.success("lend --revoke")?;
        lab.relay().up()?;
        ensure!(hash()? == before, "what was revoked is in force");
        Ok(())
    });
}

/// The fragments of what is lent.
fn lent_files(lab: &Lab) -> Result<Vec<PathBuf>> {
    let directory = lab.relay().config().with_extension("d");
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(&directory).context("read the fragments")?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let is_lent = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"lent-"))
    };
    Ok(paths.into_iter().filter(is_lent).collect())
}
