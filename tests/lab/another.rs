//! `relay up` of one configuration after another: one `up` suffices for any change, and its result is
//! sound.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context as _, Result, ensure};
use relay::model::PrivateKey;
use relay_tests::{Lab, Site, scenario, skip};

use crate::random::Random;

/// Number of configurations, applied one after the other.
const CONFIGURATIONS: usize = 12;

#[test]
fn one_up_applies_any_change_and_status_agrees() {
    scenario(skip::LAB, || {
        let lab = Lab::relay_alone(Site::node_to_node()?)?;
        let keys: Vec<_> = (0..5).map(|_| PrivateKey::generate()).collect::<Result<_, _>>()?;
        let keys: Vec<String> = keys.iter().map(|key| key.public_key().to_string()).collect();
        let mut random = Random::new(3);
        let mut before = String::new();
        for number in 0..CONFIGURATIONS {
            let text = configuration(&mut random, &keys, lab.directory())?;
            // Addresses of the host change too, unless a peer owns them.
            let bridge = format!("203.0.113.{}/32", number + 1);
            lab.relay().namespace().run("ip", &["address", "add", &bridge, "dev", "lo"])?;
            one_is_enough(&lab, &text)
                .with_context(|| format!("number {number}, from:\n{before}\nto:\n{text}"))?;
            before = text;
        }
        Ok(())
    });
}

fn one_is_enough(lab: &Lab, text: &str) -> Result<()> {
    lab.relay().write_config(text)?;
    lab.relay().up().context("up")?;
    let checked = lab.relay().relay(&["status", "--check"])?;
    ensure!(checked.code == 0, "status --check: {checked:?}");
    let again = lab.relay().up()?;
    ensure!(!again.changed && again.changes.is_empty(), "a second up changes {again:?}");
    Ok(())
}

/// Few values per key, so that one peer often gains what another loses.
fn configuration(random: &mut Random, keys: &[String], directory: &Path) -> Result<String> {
    let has_v6 = random.below(4) > 0;
    let own = 1 + random.below(4);
    let len = random.one_of(&[24, 16]);
    let mut address = format!("\"10.3.2.{own}/{len}\"");
    if has_v6 {
        write!(address, ", \"fd00::3:2:{own}/{}\"", random.one_of(&[120, 112]))?;
    }
    let mut text = format!(
        "[relay]\naddress = [{address}]\nendpoint = \"192.0.2.1:51820\"\nprivate_key_file = \
         \"{}\"\nlisten_port = {}\nmtu = {}\nfast_path = {}\negress = \"{}\"\nhost_access = {}\nfence \
         = {}\npair_stats = {}\n",
        directory.join("private.key").display(),
        random.one_of(&[51820, 51821]),
        random.one_of(&[1280, 1380, 1420]),
        random.is(),
        random.one_of(&["deny", "stack"]),
        random.one_of(&["\"none\"", "\"ping\"", "\"all\"", "[\"tcp/22\"]"]),
        random.below(4) > 0,
        random.is(),
    );
    if random.is() {
        text += "[guard]\ninterfaces = [\"eth0\"]\nmode = \"generic\"\n";
    }
    let mut hosts: Vec<usize> = (1..8).filter(|&host| host != own).collect();
    let mut routes =
        vec!["192.168.7.0/24", "192.168.0.0/16", "10.9.0.0/16", "10.3.2.64/26", "0.0.0.0/0"];
    let lists = ["10.3.2.2/32", "10.3.2.3/32", "10.3.2.0/24", "192.168.0.0/16", "0.0.0.0/0"];
    for (number, key) in keys.iter().enumerate() {
        if random.below(3) == 0 {
            continue;
        }
        let host = hosts.remove(random.below(hosts.len()));
        let mut address = format!("\"10.3.2.{host}\"");
        if has_v6 && random.is() {
            write!(address, ", \"fd00::3:2:{host}\"")?;
        }
        let mut owned = String::new();
        if random.is() && !routes.is_empty() {
            owned = format!("\"{}\"", routes.remove(random.below(routes.len())));
        }
        let list = random.one_of(&lists);
        write!(
            text,
            "[[peer]]\nname = \"p{number}\"\npublic_key = \"{key}\"\naddress = [{address}]\nroutes = \
             [{owned}]\nallowed_ips = [\"{list}\"]\nenabled = {}\n",
            random.below(4) > 0
        )?;
    }
    Ok(if text.contains("[[peer]]") {
        text
    } else {
        text + &format!(
            "[[peer]]\nname = \"p0\"\npublic_key = \"{}\"\naddress = [\"10.3.2.7\"]\n",
            keys[0]
        )
    })
}
