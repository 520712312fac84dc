//! Settings of the relay's host that would break an ordinary hub.

use anyhow::{Result, ensure};
use relay_tests::{Family, Lab, Site, scenario, skip};

use crate::watch::Watch;

#[test]
fn forwarding_is_off_and_the_forward_chains_drop_and_the_relay_still_relays() {
    scenario(skip::LAB, || {
        let lab = Lab::build(Site::node_to_node()?)?;
        let host = lab.relay().namespace();
        // As set by Docker and by distributions' firewalls.
        host.feed(
            "nft",
            &["-f", "-"],
            "table ip filter {
                chain FORWARD { type filter hook forward priority filter; policy drop; }
            }
            table ip6 filter {
                chain FORWARD { type filter hook forward priority filter; policy drop; }
            }
            table inet firewall {
                chain forward { type filter hook forward priority filter; policy drop; }
            }\n",
        )?;
        host.set_sysctl("ipv4/conf/all/rp_filter", 1)?;
        lab.relay().up()?;
        lab.connect(lab.peers())?;
        let [a, b] = lab.first()?;
        let mut watch = Watch::start(&lab)?;
        for family in Family::ALL {
            watch.delivers(a, b, family)?;
            watch.delivers(b, a, family)?;
        }
        forwarding_is_off(&lab)
    });
}

/// Checks that relay has not enabled forwarding.
fn forwarding_is_off(lab: &Lab) -> Result<()> {
    let host = lab.relay().namespace();
    let interface = lab.interface()?;
    for key in [
        "ipv4/ip_forward".to_owned(),
        format!("ipv4/conf/{interface}/forwarding"),
        "ipv6/conf/all/forwarding".to_owned(),
        format!("ipv6/conf/{interface}/forwarding"),
    ] {
        ensure!(host.sysctl(&key)? == "0", "{key} is not 0 any more");
    }
    Ok(())
}
