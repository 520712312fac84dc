//! A relay with ten thousand peers.

use std::{collections::BTreeMap, fmt::Write as _, ops::Range};

use anyhow::{Result, ensure};
use relay::model::PublicKey;
use relay_tests::{Lab, Site, scenario, skip, traffic::Streams};

/// Peers that are configured and never call.
const MANY: u32 = 10_000;

/// One per cent of them.
const FEW: u32 = MANY / 100;

#[test]
fn one_per_cent_is_exchanged_and_the_others_are_not_touched() {
    scenario(skip::LAB, || {
        let mut site = Site::node_to_node()?;
        let networks = vec!["10.3.2.1/16", "fd00::3:2:1/120"];
        site.relay_mut()?.insert("address".to_owned(), networks.into());
        let lab = Lab::start(site)?;
        let [a, b] = lab.first()?;
        let (interface, of_site) = (lab.interface()?, lab.site().text()?);
        let up_with = |many: Range<u32>| {
            lab.relay().write_config(&format!("{of_site}{}", tables(many)))?;
            lab.relay().up()
        };
        let peers = || -> Result<BTreeMap<String, String>> {
            let owned = lab.relay().wg(&interface, "allowed-ips")?;
            let handshakes = lab.relay().wg(&interface, "latest-handshakes")?;
            let both = |key: &String, owned: String| format!("{owned} {:?}", handshakes.get(key));
            Ok(owned.into_iter().map(|(key, owned)| (key.clone(), both(&key, owned))).collect())
        };
        up_with(0..MANY)?;
        let before = peers()?;
        ensure!(before.len() == MANY as usize + 2, "{} peers", before.len());

        let pair = [(a.name(), b.name()), (b.name(), a.name())];
        let streams = Streams::start(&lab, &pair)?;
        let report = up_with(FEW..MANY + FEW)?;
        streams.stop_without_loss()?;
        let changes =
            |sign: &str| report.changes.iter().filter(|change| change.starts_with(sign)).count();
        ensure!(
            changes("- peer ") == FEW as usize && changes("+ peer ") == FEW as usize,
            "{:?}",
            report.changes
        );
        // The policy is the one change more.
        ensure!(report.changes.len() == 2 * FEW as usize + 1, "{:?}", report.changes);
        let after = peers()?;
        let stayed = before.iter().filter(|(key, peer)| after.get(*key) == Some(peer)).count();
        ensure!(stayed == (MANY - FEW) as usize + 2, "{stayed} peers are as they were");
        ensure!(after.len() == before.len(), "{} peers", after.len());
        Ok(())
    });
}

/// Tables of peers that list nobody.
fn tables(numbers: Range<u32>) -> String {
    let mut text = String::new();
    for number in numbers {
        let mut key = [1; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        let [_, _, high, low] = (0x1000 + number).to_be_bytes();
        let written = write!(
            text,
            "\n[[peer]]\nname = \"many-{number}\"\npublic_key = \"{}\"\naddress = [\"10.3.{high}.{low}\"]\n",
            PublicKey::from_bytes(key)
        );
        written.expect("into a string");
    }
    text
}
