//! Interfaces that peers' UDP packets may come in through, and the XDP programs on them.

use std::collections::BTreeSet;

use rtnetlink::packet_route::link::{LinkAttribute, LinkLayerType, LinkMessage, LinkXdp};

use super::{Handle, NetError, link, route};
use crate::model::{InterfaceName, Underlay};

/// An interface of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Whether its frames begin with an Ethernet header.
    pub is_ethernet: bool,
    /// Whether a default route of the main table leads through it.
    pub has_default_route: bool,
    /// The XDP program on it.
    pub xdp: Option<Xdp>,
}

/// An XDP program on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Xdp {
    /// Where it runs.
    pub mode: XdpMode,
    /// The kernel's id of it.
    pub program_id: u32,
}

/// Where an XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver.
    Driver,
    /// In the kernel's network core.
    Generic,
    /// In the device.
    Hardware,
}

/// Where a guard is to stand.
#[derive(Debug, Default)]
pub struct Chosen {
    /// The interfaces.
    pub interfaces: Vec<String>,
    /// Why it cannot stand on those that were named besides.
    pub refused: Vec<NetError>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// Reads all interfaces, in the order of the kernel.
///
/// # Errors
/// The kernel did not answer.
pub async fn read(handle: &Handle) -> Result<Vec<Interface>, NetError> {
    let defaults: BTreeSet<u32> = route::defaults(handle).await?.into_iter().collect();
    let links = link::all(handle).await?;
    Ok(links
        .iter()
        .filter_map(|message| {
            Some(Interface {
                name: link::name(message)?.to_owned(),
                is_ethernet: message.header.link_layer_type == LinkLayerType::Ether,
                has_default_route: defaults.contains(&message.header.index),
                xdp: xdp(message),
            })
        })
        .collect())
}

/// The interfaces of the underlay, less the relay's `own`, whose frames are what WireGuard carries.
pub fn choose(wanted: &Underlay, own: &InterfaceName, found: &[Interface]) -> Chosen {
    match wanted {
        Underlay::Auto => those_with_a_default_route(own, found),
        Underlay::Named(names) => those_named(names, found),
    }
}

fn those_with_a_default_route(own: &InterfaceName, found: &[Interface]) -> Chosen {
    let mut chosen = Chosen::default();
    let outward = |one: &&Interface| one.has_default_route && one.name != own.as_str();
    for Interface { name, is_ethernet, .. } in found.iter().filter(outward) {
        match is_ethernet {
            true => chosen.interfaces.push(name.clone()),
            false => chosen.warnings.push(format!(
                "{name} has a default route, but no Ethernet frames, so the guard is not put there"
            )),
        }
    }
    if chosen.interfaces.is_empty() && chosen.warnings.is_empty() {
        chosen.warnings.push(
            "no interface has a default route, so there is none to guard; name those that peers' \
             packets come in through in guard.interfaces"
                .to_owned(),
        );
    }
    chosen
}

fn those_named(names: &[String], found: &[Interface]) -> Chosen {
    let mut chosen = Chosen::default();
    for name in names {
        match found.iter().find(|interface| interface.name == *name) {
            Some(Interface { is_ethernet: true, .. }) => chosen.interfaces.push(name.clone()),
            Some(_) => chosen.refused.push(NetError::NotEthernet { interface: name.clone() }),
            None => {
                let there: Vec<_> = found.iter().map(|one| one.name.as_str()).collect();
                let (interface, there) = (name.clone(), there.join(", "));
                chosen.refused.push(NetError::NoUnderlay { interface, there });
            }
        }
    }
    chosen
}

/// The program on it: in the driver or generic, which exclude each other, before the device's
/// (`dev_xdp_attach`, net/core/dev.c, 6.12).
fn xdp(message: &LinkMessage) -> Option<Xdp> {
    let infos = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Xdp(infos) => Some(infos),
        _ => None,
    })?;
    let mut found = None;
    for info in infos {
        let (mode, program_id) = match info {
            LinkXdp::DrvProgId(id) => (XdpMode::Driver, *id),
            LinkXdp::SkbProgId(id) => (XdpMode::Generic, *id),
            LinkXdp::HwProgId(id) => (XdpMode::Hardware, *id),
            _ => continue,
        };
        if found.is_none() || mode != XdpMode::Hardware {
            found = Some(Xdp { mode, program_id });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_every_ethernet_interface_with_a_default_route_but_the_relays() {
        let host = [
            interface("lo", false, false),
            interface("eth0", true, true),
            interface("eth1", true, false),
            interface("wlan0", true, true),
            interface("relay0", false, true),
        ];
        let chosen = choose(&Underlay::Auto, &relay0(), &host);
        assert_eq!(chosen.interfaces, ["eth0", "wlan0"]);
        assert!(chosen.warnings.is_empty() && chosen.refused.is_empty(), "{chosen:?}");
    }

    #[test]
    fn auto_says_why_nothing_is_guarded() {
        let chosen = choose(&Underlay::Auto, &relay0(), &[interface("eth0", true, false)]);
        assert!(chosen.interfaces.is_empty() && chosen.refused.is_empty());
        assert_eq!(
            chosen.warnings,
            [
                "no interface has a default route, so there is none to guard; name those that peers' \
              packets come in through in guard.interfaces"
            ]
        );
        let chosen = choose(&Underlay::Auto, &relay0(), &[interface("ppp0", false, true)]);
        assert!(chosen.interfaces.is_empty());
        assert_eq!(
            chosen.warnings,
            ["ppp0 has a default route, but no Ethernet frames, so the guard is not put there"]
        );
    }

    #[test]
    fn what_is_named_has_to_be_there_and_ethernet() {
        let host = [interface("lo", false, false), interface("eth0", true, false)];
        let names = ["eth0", "eth7", "lo"].map(str::to_owned);
        let chosen = choose(&Underlay::Named(names.into()), &relay0(), &host);
        assert_eq!(chosen.interfaces, ["eth0"]);
        let refused: Vec<_> = chosen.refused.iter().map(ToString::to_string).collect();
        assert_eq!(
            refused,
            [
                "guard.interfaces: found no interface eth7, expected one of lo, eth0; correct the \
                 name, or run `relay up` again when the interface is there",
                "guard.interfaces: interface lo has no Ethernet frames, which the guard reads; \
                 write another"
            ]
        );
        assert!(chosen.refused.iter().all(NetError::is_lack));
    }

    fn interface(name: &str, is_ethernet: bool, has_default_route: bool) -> Interface {
        Interface { name: name.to_owned(), is_ethernet, has_default_route, xdp: None }
    }

    fn relay0() -> InterfaceName {
        "relay0".parse().expect("a name")
    }
}
