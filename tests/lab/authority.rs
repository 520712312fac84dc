//! Commands change a relay one after the other, and take down only what is relay's own.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{Lab, Site, footprint::Footprint, scenario, skip};

#[test]
fn a_relay_without_a_valid_file_can_be_inspected_and_taken_down() {
    scenario(skip::LAB, || {
        let lab = Lab::relay_alone(Site::node_to_node()?)?;
        let relay = lab.relay();
        let links = |lab: &Lab| lab.relay().namespace().run("ip", &["-o", "link", "show"]);
        let empty = links(&lab)?;

        relay.up()?;
        let key = relay.stats()?.peers[0].public_key.clone();
        relay.write_config("[relay]\naddress = [\n")?;
        let status = relay.relay(&["status"])?;
        ensure!(status.stdout.contains("nothing to compare relay0 with"), "{status:?}");
        ensure!(status.code == 0 && status.stdout.contains("state: up"), "{status:?}");
        let checked = relay.relay(&["status", "--check"])?;
        ensure!(checked.code == 1 && checked.stderr.contains("is invalid"), "{checked:?}");
        let keyed = relay.stats()?.peers.iter().any(|peer| peer.name == key);
        ensure!(keyed, "peers do not go by their keys");
        relay.relay(&["observe"])?.success("observe")?;
        let explained = relay.relay(&["explain", "10.3.2.2", "10.3.2.3"])?;
        ensure!(explained.code < 2 && !explained.stdout.contains("on disk"), "{explained:?}");
        let traced = relay.relay(&["trace", "--seconds", "1"])?;
        ensure!(traced.code == 2, "what cannot be compared is traced: {traced:?}");
        ensure!(relay.relay(&["up"])?.code == 2, "a broken file was applied");
        let down = relay.relay(&["down"])?;
        ensure!(
            down.stderr.contains("relay.toml:"),
            "the problem of the file is not reported: {down:?}"
        );
        ensure!(
            down.success("down")?.contains("relay0: is down"),
            "what was removed is not reported"
        );
        ensure!(links(&lab)? == empty, "{}", links(&lab)?);
        ensure!(relay.relay(&["down"])?.code == 2, "neither file nor relay, and all is well");

        lab.write_config()?;
        relay.up()?;
        fs::remove_file(relay.config())?;
        relay.relay(&["down"])?.success("down without a file")?;
        ensure!(links(&lab)? == empty, "{}", links(&lab)?);

        // The file now names another interface than at `relay up`.
        lab.write_config()?;
        relay.up()?;
        let text = fs::read_to_string(relay.config())?;
        relay.write_config(&text.replace("[relay]", "[relay]\ninterface = \"relay7\""))?;
        let down = relay.relay(&["down"])?.success("down of a relay by another name")?;
        ensure!(down.contains("relay0: is down"), "{down}");
        ensure!(links(&lab)? == empty, "{}", links(&lab)?);
        Ok(())
    });
}

#[test]
fn down_all_removes_a_relay_without_file_or_alias() {
    scenario(skip::LAB, || {
        let lab = Lab::relay_alone(Site::node_to_node()?)?;
        let relay = lab.relay();
        let host = relay.namespace();
        let before = Footprint::read(relay)?;
        relay.up()?;
        host.run("ip", &["link", "set", "relay0", "alias", ""])?;
        host.run("nft", &["add", "table", "inet", "relay_race"])?;
        host.run("ip", &["link", "add", "wg9", "type", "wireguard"])?;
        fs::remove_file(relay.config())?;
        ensure!(relay.relay(&["down"])?.code == 2, "nothing says whose relay0 is");
        let down = relay.relay(&["down", "--all"])?.success("down --all")?;
        ensure!(down.contains("relay0: is down") && !down.contains("wg9"), "{down}");
        // Neither interface is relay's.
        host.run("ip", &["link", "del", "wg9"])?;
        host.run("nft", &["delete", "table", "inet", "relay_race"])?;
        let again = relay.relay(&["down", "--all"])?.success("down --all")?;
        ensure!(again.contains("no relay is up"), "{again}");
        relay_tests::deadline::until("the kernel to be as it was", || {
            Ok((Footprint::read(relay)? == before).then_some(()))
        })?;

        // Without programs, relay recognizes the interface by its alias and the fence by its name.
        lab.write_config()?;
        relay.up()?;
        host.run("ip", &["link", "del", "relay0"])?;
        let down = relay.relay(&["down", "--all"])?.success("down --all")?;
        ensure!(down.contains("- fence inet relay_relay0"), "{down}");
        Ok(())
    });
}

#[test]
fn a_foreign_interface_is_neither_adopted_nor_deleted_by_default() {
    scenario(skip::LAB, || {
        let mut site = Site::node_to_node()?;
        site.relay_mut()?.insert("interface".to_owned(), "wg0".into());
        let lab = Lab::relay_alone(site)?;
        let relay = lab.relay();
        let host = relay.namespace();
        let make = |key: &str| -> Result<()> {
            let file = lab.directory().join("foreign.key");
            fs::write(&file, key)?;
            host.run("ip", &["link", "add", "wg0", "type", "wireguard"])?;
            let file = file.to_str().context("a path in UTF-8")?;
            host.run("wg", &["set", "wg0", "private-key", file, "listen-port", "51999"])?;
            Ok(())
        };
        let foreign = host.run("wg", &["genkey"])?;
        make(&foreign)?;
        let before = Footprint::read(relay)?;
        for verb in [&["up"][..], &["up", "--dry-run"], &["reload"]] {
            let outcome = relay.relay(verb)?;
            ensure!(outcome.failure(2)?.contains("--adopt"), "{outcome:?}");
        }
        for verb in [&["down"][..], &["down", "--interface", "wg0"]] {
            let outcome = relay.relay(verb)?;
            ensure!(outcome.failure(2)?.contains("`ip link delete wg0`"), "{outcome:?}");
        }
        let status = relay.relay(&["status", "--check"])?;
        ensure!(status.code == 1 && status.stderr.contains("--adopt"), "{status:?}");
        relay.relay(&["down", "--all"])?.success("down --all")?;
        let after = Footprint::read(relay)?;
        ensure!(after == before, "{}", after.difference(&before));

        relay.relay(&["up", "--adopt"])?.success("up --adopt")?;
        let key = fs::read_to_string(lab.directory().join("private.key"))?;
        ensure!(host.run("wg", &["show", "wg0", "private-key"])?.trim() == key.trim(), "not ours");
        relay.relay(&["up"])?.success("up of what is adopted")?;
        relay.relay(&["down"])?.success("down of what is adopted")?;

        // As after `relay import`: the hub's own key.
        make(&key)?;
        relay.relay(&["up"])?.success("up over the configuration's own key")?;
        relay.relay(&["down"])?.success("down")?;
        // Neither key nor peers to lose.
        host.run("ip", &["link", "add", "wg0", "type", "wireguard"])?;
        relay.relay(&["up"])?.success("up over nothing")?;
        relay.require_sound()
    });
}

#[test]
fn a_command_that_waits_names_the_other_and_then_reads_the_files() {
    scenario(skip::LAB, || {
        let mut lab = Lab::relay_alone(Site::node_to_node()?)?;
        lab.relay().up()?;
        let file = lock_file(&lab)?;
        for verb in [&["up"][..], &["reload"], &["down", "--interface", "relay0"]] {
            fs::write(&file, "4711 up\n")?;
            let held = File::options().write(true).open(&file)?;
            held.lock()?;
            let mut command = lab.relay().command(verb);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            let mut child = lab.relay().namespace().enter(|| command.spawn())??;
            let mut said = String::new();
            let mut errors = BufReader::new(child.stderr.take().context("its errors")?);
            errors.read_line(&mut said)?;
            ensure!(
                said == "relay0: waiting for `relay up` (process 4711)\n",
                "{verb:?} says {said:?}"
            );
            // Editors and Ansible replace the file; the waiting command reads the new one.
            let name = lab.site().names()?[0].clone();
            let address = lab.site().addresses(&name)?;
            let other = lab.site().names()?[1].clone();
            if verb[0] == "up" {
                lab.site_mut().disallow(&other, &address)?;
            } else {
                lab.site_mut().allow(&other, &address)?;
            }
            let beside = lab.directory().join("new");
            fs::write(&beside, lab.site().text()?)?;
            fs::rename(&beside, lab.relay().config())?;
            ensure!(child.try_wait()?.is_none(), "{verb:?} did not wait");
            drop(held);
            errors.read_to_string(&mut said)?;
            ensure!(child.wait()?.success(), "{verb:?} failed: {said}");
            if verb[0] != "down" {
                lab.relay().require_sound()?;
            }
        }
        ensure!(!lab.relay().namespace().run("ip", &["-o", "link"])?.contains("relay0"));
        Ok(())
    });
}

/// The lock of the relay's interface.
fn lock_file(lab: &Lab) -> Result<PathBuf> {
    let namespace = || fs::metadata("/proc/thread-self/ns/net").map(|metadata| metadata.ino());
    let namespace = lab.relay().namespace().enter(namespace)??;
    Ok(PathBuf::from(format!("/run/relay/{namespace}-relay0.lock")))
}
