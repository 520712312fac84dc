//! Interfaces through which UDP packets of peers may arrive, and the XDP programs on them.

use std::collections::BTreeSet;

use rtnetlink::packet_route::link::{LinkAttribute, LinkLayerType, LinkMessage, LinkXdp};

use super::{Handle, NetError, lookup, route};
use crate::model::{InterfaceName, Underlay, XdpMode, XdpProgram};

/// An interface of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Name.
    pub name: String,
    /// Whether its frames have an Ethernet header.
    pub is_ethernet: bool,
    /// Whether a default route of the main table leads through it.
    pub has_default_route: bool,
    /// XDP program on it.
    pub xdp: Option<XdpProgram>,
}

/// Where the guard is desired.
#[derive(Debug, Default)]
pub struct Chosen {
    /// Names of the interfaces.
    pub interfaces: Vec<String>,
    /// Why it cannot run on other interfaces that the configuration names.
    pub unusable: Vec<NetError>,
    /// Warnings for the operator.
    pub warnings: Vec<String>,
}

/// Reads all interfaces, in the kernel's order.
///
/// # Errors
/// The kernel did not answer.
pub async fn read(handle: &Handle) -> Result<Vec<Interface>, NetError> {
    let defaults: BTreeSet<u32> = route::defaults(handle).await?.into_iter().collect();
    let links = lookup::all(handle).await?;
    Ok(links
        .iter()
        .filter_map(|message| {
            let name = lookup::name(message)?;
            Some(Interface {
                name: name.to_owned(),
                is_ethernet: message.header.link_layer_type == LinkLayerType::Ether,
                has_default_route: defaults.contains(&message.header.index),
                xdp: xdp(name, message),
            })
        })
        .collect())
}

/// The interfaces of the underlay, without the relay's `own`, whose packets WireGuard carries.
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
                "{name} has a default route but no Ethernet frames, so the guard is not attached to it"
            )),
        }
    }
    if chosen.interfaces.is_empty() && chosen.warnings.is_empty() {
        chosen.warnings.push(
            "no interface has a default route, so there is none to guard; list the interfaces \
             through which packets of peers arrive in guard.interfaces"
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
            Some(_) => chosen.unusable.push(NetError::NotEthernet { interface: name.clone() }),
            None => {
                let there: Vec<_> = found.iter().map(|one| one.name.as_str()).collect();
                let (interface, there) = (name.clone(), there.join(", "));
                chosen.unusable.push(NetError::NoUnderlay { interface, there });
            }
        }
    }
    chosen
}

/// The program on an interface: that of the driver or the generic one, which exclude each other,
/// before that of the device (dev_xdp_attach(), net/core/dev.c, 6.12).
fn xdp(interface: &str, message: &LinkMessage) -> Option<XdpProgram> {
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
            found = Some(XdpProgram { interface: interface.to_owned(), mode, program_id });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_every_ethernet_interface_with_a_default_route_except_the_relays() {
        let host = [
            interface("lo", false, false),
            interface("eth0", true, true),
            interface("eth1", true, false),
            interface("wlan0", true, true),
            interface("relay0", false, true),
        ];
        let chosen = choose(&Underlay::Auto, &relay0(), &host);
        assert_eq!(chosen.interfaces, ["eth0", "wlan0"]);
        assert!(chosen.warnings.is_empty() && chosen.unusable.is_empty(), "{chosen:?}");
    }

    #[test]
    fn auto_warns_if_nothing_is_guarded() {
        let chosen = choose(&Underlay::Auto, &relay0(), &[interface("eth0", true, false)]);
        assert!(chosen.interfaces.is_empty() && chosen.unusable.is_empty());
        assert_eq!(
            chosen.warnings,
            ["no interface has a default route, so there is none to guard; list the interfaces \
              through which packets of peers arrive in guard.interfaces"]
        );
        let chosen = choose(&Underlay::Auto, &relay0(), &[interface("ppp0", false, true)]);
        assert!(chosen.interfaces.is_empty());
        assert_eq!(
            chosen.warnings,
            ["ppp0 has a default route but no Ethernet frames, so the guard is not attached to it"]
        );
    }

    #[test]
    fn a_named_interface_must_exist_and_be_ethernet() {
        let host = [interface("lo", false, false), interface("eth0", true, false)];
        let names = ["eth0", "eth7", "lo"].map(str::to_owned);
        let chosen = choose(&Underlay::Named(names.into()), &relay0(), &host);
        assert_eq!(chosen.interfaces, ["eth0"]);
        let unusable: Vec<_> = chosen.unusable.iter().map(ToString::to_string).collect();
        assert_eq!(
            unusable,
            [
                "guard.interfaces: found no interface eth7, expected one of lo, eth0; correct the \
                 name, or run `relay up` again when the interface exists",
                "guard.interfaces: interface lo has no Ethernet frames, which the guard needs; \
                 choose another"
            ]
        );
        assert!(chosen.unusable.iter().all(NetError::is_lack));
    }

    fn interface(name: &str, is_ethernet: bool, has_default_route: bool) -> Interface {
        Interface { name: name.to_owned(), is_ethernet, has_default_route, xdp: None }
    }

    fn relay0() -> InterfaceName {
        "relay0".parse().expect("a name")
    }
}
