//! Pairs of virtual Ethernet interfaces, which connect network namespaces.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use rtnetlink::{
    LinkMessageBuilder, LinkUnspec, LinkVeth,
    packet_core::{NLM_F_CREATE, NLM_F_EXCL},
    packet_route::{
        RouteNetlinkMessage,
        link::{InfoData, InfoVeth},
    },
};

use super::{Handle, NetError};
use crate::model::InterfaceName;

/// Creates a pair, down: `here` in the handle's network namespace, and `there` in the one that is open
/// as `namespace`.
///
/// # Errors
/// The kernel has no veth, a name is taken, or the caller lacks permission.
pub async fn create(
    handle: &Handle,
    here: &InterfaceName,
    there: &InterfaceName,
    namespace: BorrowedFd<'_>,
) -> Result<(), NetError> {
    let other =
        LinkUnspec::new_with_name(there.as_str()).setns_by_fd(namespace.as_raw_fd()).build();
    let message = LinkMessageBuilder::<LinkVeth>::new(here.as_str(), there.as_str())
        .set_info_data(InfoData::Veth(InfoVeth::Peer(other)))
        .build();
    let request = RouteNetlinkMessage::NewLink(message);
    handle.change("RTM_NEWLINK", here.as_str(), request, NLM_F_CREATE | NLM_F_EXCL).await
}
