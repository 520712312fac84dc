//! The host's clock is set while the relay is up. WireGuard keeps handshakes by the time of day.

use std::time::Duration;

use anyhow::{Result, ensure};
use relay::engine::{now, rfc3339};
use relay_tests::{
    Family, Lab, Site, clock::MachineClock, deadline, scenario, skip::Need, traffic::Flow,
};

use crate::watch::Watch;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_changed_clock_costs_no_packet_and_is_reported_if_it_misleads() {
    let needs = [Need::Root, Need::Tools, Need::Relay, Need::WireGuard, Need::OwnMachine];
    scenario(&needs, || {
        let lab = Lab::start(Site::node_to_node()?)?;
        let [a, b] = lab.first()?;
        let all = lab.peers().len();
        let mut watch = Watch::start(&lab)?;
        let clock = MachineClock::take()?;

        clock.set_ahead(HOUR)?;
        let status = output(&lab, "status")?;
        ensure!(status.contains(&format!("peers: 0 online, {all} offline")), "{status}");
        ensure!(status.contains("no peer has completed a handshake recently"), "{status}");
        let stats = output(&lab, "stats")?;
        ensure!(stats.contains("latest handshake: 1 hour"), "{stats}");
        for family in Family::ALL {
            watch.delivers(a, b, family)?;
        }
        let flow = Flow::start(a, b, Family::V4)?;
        deadline::until("the sign of peers that send", || {
            Ok(output(&lab, "status")?.contains("this host's clock was set forward").then_some(()))
        })?;
        let (sent, answered) = flow.stop()?;
        ensure!(sent == answered, "of {sent} pings {answered} were answered");
        lab.relay().require_sound()?;

        clock.set_behind(HOUR)?;
        let mut watch = Watch::start(&lab)?;
        for family in Family::ALL {
            watch.delivers(b, a, family)?;
        }
        let status = output(&lab, "status")?;
        ensure!(status.contains(&format!("0 never seen, {all} unknown")), "{status}");
        let why = format!("the latest handshakes of {all} peers lie in the future");
        ensure!(status.contains(&why), "{status}");
        let stats = output(&lab, "stats")?;
        ensure!(stats.contains("in the future: this host's clock was set back"), "{stats}");
        let metrics = output(&lab, "stats --prometheus")?;
        ensure!(!metrics.contains("wgrelay_peer_up{"), "{metrics}");
        lab.relay().require_sound()?;

        drop(clock);
        let status = output(&lab, "status")?;
        ensure!(status.contains(&format!("peers: {all} online")), "{status}");
        Ok(())
    });
}

#[test]
fn a_rule_ends_by_the_clock_of_the_host_wherever_it_is_set() {
    let needs = [Need::Root, Need::Tools, Need::Relay, Need::WireGuard, Need::OwnMachine];
    scenario(&needs, || {
        let mut site = Site::node_to_node()?;
        let [a, b] = site.first()?;
        let [of_a, of_b] = [site.addresses(&a)?, site.addresses(&b)?];
        site.disallow(&a, &of_b)?;
        site.disallow(&b, &of_a)?;
        let lab = Lab::start(site)?;
        let [a, b] = lab.first()?;
        for peer in [a, b] {
            lab.widen(peer)?;
        }
        let clock = MachineClock::take()?;
        let until = rfc3339(now() + HOUR.as_secs());
        let [from, to] = [a.name(), b.name()];
        lab.relay().write_config(&format!(
            "{}\n[[rule]]\nname = \"audit\"\nfrom = [\"{from}\"]\nto = [\"{to}\"]\nuntil = {until}\n",
            lab.site().text()?
        ))?;
        lab.relay().up()?;
        let passes = |is_open: bool, shown: &str| {
            let mut watch = Watch::start(&lab)?;
            for family in Family::ALL {
                match is_open {
                    true => watch.delivers(a, b, family)?,
                    false => watch.drops(a, b, family, "rule_ended")?,
                }
            }
            let status = output(&lab, "status")?;
            ensure!(status.contains(shown), "{status}");
            lab.relay().require_sound()
        };
        passes(true, "rule that ends next: audit in 59 minutes")?;
        clock.set_ahead(2 * HOUR)?;
        passes(false, "rules that have ended: audit 1 hour ago")?;
        clock.set_ahead(Duration::ZERO)?;
        passes(true, "rule that ends next: audit in 5")
    });
}

fn output(lab: &Lab, words: &str) -> Result<String> {
    let arguments: Vec<_> = words.split(' ').collect();
    lab.relay().relay(&arguments)?.success(words)
}
