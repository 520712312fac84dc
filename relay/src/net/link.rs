//! The WireGuard interface as a network link.

use std::fmt;

use ipnet::IpNet;
use rtnetlink::{
    LinkMessageBuilder, LinkUnspec, LinkWireguard,
    packet_core::{NLM_F_CREATE, NLM_F_EXCL},
    packet_route::{
        RouteNetlinkMessage,
        link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp},
    },
};

use super::{
    Handle, NetError, address,
    lookup::{all, find, name},
};
use crate::model::InterfaceName;

/// A link in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Index in this network namespace; it changes when the link is created again.
    pub index: u32,
    /// Kind.
    pub kind: LinkKind,
    /// MTU, bytes.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// The kernel's id of the XDP program on it.
    pub xdp: Option<u32>,
    /// Alias.
    pub alias: Option<String>,
    /// Its addresses with prefix lengths, host bits kept, sorted.
    pub addresses: Vec<IpNet>,
}

/// Kind of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkKind {
    /// A WireGuard interface of the kernel.
    Wireguard,
    /// Another kind, as `ip -d link` shows it; `device` if the kernel reports none.
    Other(String),
}

/// One change of the link. Its text is a line of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkChange {
    /// Create the link, down.
    Create {
        /// Name.
        interface: InterfaceName,
        /// MTU, bytes.
        mtu: u16,
        /// Alias.
        alias: String,
    },
    /// Change the alias.
    Alias {
        /// Name.
        interface: InterfaceName,
        /// Desired alias.
        alias: String,
    },
    /// Change the MTU.
    Mtu {
        /// Name.
        interface: InterfaceName,
        /// Observed MTU, bytes.
        previous: u32,
        /// Desired MTU, bytes.
        mtu: u16,
    },
    /// Set the link up.
    Up {
        /// Name.
        interface: InterfaceName,
    },
}

/// Plans the changes that turn the observed link into a WireGuard interface with this MTU and alias,
/// up.
///
/// # Errors
/// The name belongs to a link of another kind.
pub fn plan(
    interface: &InterfaceName,
    mtu: u16,
    alias: &str,
    observed: Option<&Link>,
) -> Result<Vec<LinkChange>, NetError> {
    let (interface, alias) = (interface.clone(), alias.to_owned());
    let mut changes = Vec::new();
    match observed {
        None => changes.push(LinkChange::Create { interface: interface.clone(), mtu, alias }),
        Some(link) => {
            link.require_wireguard(&interface)?;
            if link.alias.as_ref() != Some(&alias) {
                changes.push(LinkChange::Alias { interface: interface.clone(), alias });
            }
            if link.mtu != u32::from(mtu) {
                let previous = link.mtu;
                changes.push(LinkChange::Mtu { interface: interface.clone(), previous, mtu });
            }
        }
    }
    if !observed.is_some_and(|link| link.up) {
        changes.push(LinkChange::Up { interface });
    }
    Ok(changes)
}

/// Reads the link of that name; `None` if there is none.
///
/// # Errors
/// The kernel did not answer.
pub async fn read(handle: &Handle, interface: &InterfaceName) -> Result<Option<Link>, NetError> {
    let Some(message) = find(handle, interface).await? else {
        return Ok(None);
    };
    let index = message.header.index;
    let mtu = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    });
    let alias = alias(&message).map(str::to_owned);
    let xdp = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Xdp(infos) => infos.iter().find_map(|info| match info {
            LinkXdp::ProgId(id) => Some(*id),
            _ => None,
        }),
        _ => None,
    });
    Ok(Some(Link {
        index,
        xdp,
        alias,
        kind: kind(&message),
        mtu: mtu.unwrap_or(0),
        up: message.header.flags.contains(LinkFlags::Up),
        addresses: address::read(handle, index).await?,
    }))
}

/// All WireGuard interfaces, with their aliases.
///
/// # Errors
/// The kernel did not answer.
pub async fn wireguards(handle: &Handle) -> Result<Vec<(InterfaceName, Option<String>)>, NetError> {
    let links = all(handle).await?.into_iter();
    let links = links.filter(|link| kind(link) == LinkKind::Wireguard);
    Ok(links
        .filter_map(|link| Some((name(&link)?.parse().ok()?, alias(&link).map(str::to_owned))))
        .collect())
}

/// Creates the WireGuard interface, down.
///
/// # Errors
/// The kernel has no WireGuard, the name is taken, or the caller lacks permission.
pub async fn create(handle: &Handle, interface: &InterfaceName, mtu: u16) -> Result<(), NetError> {
    let message =
        LinkMessageBuilder::<LinkWireguard>::new(interface.as_str()).mtu(u32::from(mtu)).build();
    let request = RouteNetlinkMessage::NewLink(message);
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    match handle.change("RTM_NEWLINK", interface.as_str(), request, flags).await {
        Err(error) if error.os_error() == Some(libc::EOPNOTSUPP) => {
            Err(NetError::WireguardMissing { interface: interface.clone() })
        }
        Err(error) if error.os_error() == Some(libc::EEXIST) => {
            let kind = match find(handle, interface).await? {
                Some(message) => kind(&message).to_string(),
                None => "gone again".to_owned(),
            };
            Err(NetError::NameTaken { interface: interface.clone(), kind })
        }
        outcome => outcome,
    }
}

/// Applies a change. `port` is that on which WireGuard listens once the link is up.
///
/// # Errors
/// As the one thing that it does.
pub async fn apply(handle: &Handle, change: &LinkChange, port: u16) -> Result<(), NetError> {
    match change {
        LinkChange::Create { interface, mtu, alias } => {
            create(handle, interface, *mtu).await?;
            set_alias(handle, interface, alias).await
        }
        LinkChange::Alias { interface, alias } => set_alias(handle, interface, alias).await,
        LinkChange::Mtu { interface, mtu, .. } => set_mtu(handle, interface, *mtu).await,
        LinkChange::Up { interface } => set_up(handle, interface, port).await,
    }
}

/// Deletes the WireGuard interface with its peers, addresses and routes. Whether there was one.
///
/// # Errors
/// The name belongs to a link of another kind, or the caller lacks permission.
pub async fn delete(handle: &Handle, interface: &InterfaceName) -> Result<bool, NetError> {
    let Some(found) = find(handle, interface).await? else {
        return Ok(false);
    };
    require_wireguard(interface, &kind(&found))?;
    let mut message = LinkMessage::default();
    message.header.index = found.header.index;
    let request = RouteNetlinkMessage::DelLink(message);
    match handle.change("RTM_DELLINK", interface.as_str(), request, 0).await {
        Err(error) if error.os_error() == Some(libc::ENODEV) => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

/// Sets the MTU, bytes.
///
/// # Errors
/// There is no such link, the kernel does not accept the MTU, or the caller lacks permission.
pub async fn set_mtu(handle: &Handle, interface: &InterfaceName, mtu: u16) -> Result<(), NetError> {
    let message = LinkUnspec::new_with_name(interface.as_str()).mtu(u32::from(mtu)).build();
    set(handle, interface, message).await
}

/// Sets the alias, at most 255 bytes. It lasts as long as the interface.
///
/// # Errors
/// There is no such link, or the caller lacks permission.
pub async fn set_alias(
    handle: &Handle,
    interface: &InterfaceName,
    alias: &str,
) -> Result<(), NetError> {
    let alias = LinkAttribute::IfAlias(alias.to_owned());
    let message =
        LinkUnspec::new_with_name(interface.as_str()).append_extra_attribute(alias).build();
    set(handle, interface, message).await
}

/// Sets the link up. The kernel opens WireGuard's sockets on `port` now.
///
/// # Errors
/// The port is in use, there is no such link, or the caller lacks permission.
pub async fn set_up(handle: &Handle, interface: &InterfaceName, port: u16) -> Result<(), NetError> {
    let message = LinkUnspec::new_with_name(interface.as_str()).up().build();
    match set(handle, interface, message).await {
        Err(error) if error.os_error() == Some(libc::EADDRINUSE) => {
            Err(NetError::PortInUse { interface: interface.clone(), port })
        }
        outcome => outcome,
    }
}

fn alias(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfAlias(alias) => Some(alias.as_str()),
        _ => None,
    })
}

async fn set(
    handle: &Handle,
    interface: &InterfaceName,
    message: LinkMessage,
) -> Result<(), NetError> {
    let request = RouteNetlinkMessage::SetLink(message);
    match handle.change("RTM_SETLINK", interface.as_str(), request, 0).await {
        Err(error) if error.os_error() == Some(libc::ENODEV) => {
            Err(NetError::NoInterface { interface: interface.clone() })
        }
        outcome => outcome,
    }
}

fn kind(message: &LinkMessage) -> LinkKind {
    let infos = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    let kind = infos.into_iter().flatten().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind),
        _ => None,
    });
    match kind {
        Some(InfoKind::Wireguard) => LinkKind::Wireguard,
        Some(kind) => LinkKind::Other(kind.to_string()),
        None => LinkKind::Other("device".to_owned()),
    }
}

fn require_wireguard(interface: &InterfaceName, kind: &LinkKind) -> Result<(), NetError> {
    match kind {
        LinkKind::Wireguard => Ok(()),
        LinkKind::Other(kind) => {
            Err(NetError::NameTaken { interface: interface.clone(), kind: kind.clone() })
        }
    }
}

impl Link {
    /// Fails unless the link is a WireGuard interface.
    ///
    /// # Errors
    /// It has another kind.
    pub fn require_wireguard(&self, interface: &InterfaceName) -> Result<(), NetError> {
        require_wireguard(interface, &self.kind)
    }
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wireguard => f.write_str("wireguard"),
            Self::Other(kind) => f.write_str(kind),
        }
    }
}

impl fmt::Display for LinkChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { interface, mtu, .. } => {
                write!(f, "+ interface {interface} (wireguard, mtu {mtu})")
            }
            Self::Mtu { interface, previous, mtu } => {
                write!(f, "~ interface {interface}: mtu {previous} → {mtu}")
            }
            Self::Alias { interface, alias } => {
                write!(f, "~ interface {interface}: alias \"{alias}\"")
            }
            Self::Up { interface } => write!(f, "~ interface {interface}: up"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &str = "relay /etc/relay/relay.toml";

    #[test]
    fn a_missing_link_is_created_and_set_up() {
        let changes = plan(&relay0(), 1420, MARK, None).expect("a plan");
        let text: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["+ interface relay0 (wireguard, mtu 1420)", "~ interface relay0: up"]);
    }

    #[test]
    fn a_link_as_desired_is_not_changed() {
        assert_eq!(
            plan(&relay0(), 1420, MARK, Some(&link(LinkKind::Wireguard))).expect("a plan"),
            []
        );
    }

    #[test]
    fn another_mtu_is_one_change() {
        let changes =
            plan(&relay0(), 1280, MARK, Some(&link(LinkKind::Wireguard))).expect("a plan");
        let text: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["~ interface relay0: mtu 1420 → 1280"]);
    }

    #[test]
    fn an_adopted_link_gets_the_alias() {
        let link = Link { alias: None, ..link(LinkKind::Wireguard) };
        let changes = plan(&relay0(), 1420, MARK, Some(&link)).expect("a plan");
        let text: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["~ interface relay0: alias \"relay /etc/relay/relay.toml\""]);
    }

    #[test]
    fn a_name_of_a_link_of_another_kind_is_an_error() {
        let error = plan(&relay0(), 1420, MARK, Some(&link(LinkKind::Other("bridge".to_owned()))))
            .expect_err("taken");
        assert!(error.is_lack());
        assert_eq!(
            error.to_string(),
            "interface relay0: found a link of kind bridge, expected wireguard; rename or remove it, \
             or choose another name"
        );
    }

    fn relay0() -> InterfaceName {
        "relay0".parse().expect("a name")
    }

    fn link(kind: LinkKind) -> Link {
        Link {
            index: 7,
            kind,
            mtu: 1420,
            up: true,
            xdp: None,
            alias: Some(MARK.to_owned()),
            addresses: Vec::new(),
        }
    }
}
