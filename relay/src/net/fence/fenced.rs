use netlink_packet_netfilter::nftables::{ChainAttribute, TableAttribute};

use super::nfnetlink;
use crate::{model::InterfaceName, net::NetError};

/// The interfaces that have a fence, in any state: tables `inet relay_NAME` with chains `prerouting` and
/// `forward`.
///
/// # Errors
/// The kernel has no nf_tables, or the caller lacks permission.
pub fn fenced() -> Result<Vec<InterfaceName>, NetError> {
    let mut interfaces = Vec::new();
    for attributes in nfnetlink::tables()? {
        let name = attributes.iter().find_map(|attribute| match attribute {
            TableAttribute::Name(name) => Some(name.as_str()),
            _ => None,
        });
        let Some(name) = name else { continue };
        let Some(Ok(interface)) = name.strip_prefix("relay_").map(str::parse) else { continue };
        let chains = nfnetlink::chains(name)?;
        let has = |chain: &str| {
            let chain = ChainAttribute::Name(chain.to_owned());
            chains.iter().any(|attributes| attributes.contains(&chain))
        };
        if has("prerouting") && has("forward") {
            interfaces.push(interface);
        }
    }
    Ok(interfaces)
}
