//! Links of the host, by name or all of them.

use rtnetlink::{
    LinkUnspec,
    packet_route::{
        RouteNetlinkMessage,
        link::{LinkAttribute, LinkMessage},
    },
};

use super::{Handle, NetError};
use crate::model::InterfaceName;

/// Index of the link of that name.
pub(super) async fn index(handle: &Handle, interface: &InterfaceName) -> Result<u32, NetError> {
    match find(handle, interface).await? {
        Some(message) => Ok(message.header.index),
        None => Err(NetError::NoInterface { interface: interface.clone() }),
    }
}

/// All links.
pub(super) async fn all(handle: &Handle) -> Result<Vec<LinkMessage>, NetError> {
    let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let links = handle.dump("RTM_GETLINK", "all links", request).await?.into_iter();
    let links = links.filter_map(|message| match message {
        RouteNetlinkMessage::NewLink(link) => Some(link),
        _ => None,
    });
    Ok(links.collect())
}

/// The link of that name; `None` if there is none.
pub(super) async fn find(
    handle: &Handle,
    interface: &InterfaceName,
) -> Result<Option<LinkMessage>, NetError> {
    let message = LinkUnspec::new_with_name(interface.as_str()).build();
    let request = RouteNetlinkMessage::GetLink(message);
    match handle.get("RTM_GETLINK", interface.as_str(), request).await {
        Ok(Some(RouteNetlinkMessage::NewLink(link))) => Ok(Some(link)),
        Ok(_) => Err(NetError::Answer {
            request: "RTM_GETLINK",
            object: interface.to_string(),
            reason: "not a link".to_owned(),
        }),
        Err(error) if error.os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Name of a link.
pub(super) fn name(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}
