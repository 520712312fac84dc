use super::lacking;
use crate::{
    model::InterfaceName,
    net::{
        NetError,
        nftables::{INET, Scope, chains},
    },
};

/// The interfaces that have a fence, in any state: tables `inet relay_NAME` with chains `prerouting` and
/// `forward`.
///
/// # Errors
/// The kernel has no nf_tables, or the caller lacks permission.
pub fn fenced() -> Result<Vec<InterfaceName>, NetError> {
    let scope = Scope { family: INET, table: None };
    let chains = chains(scope).map_err(lacking("inet relay_*"))?;
    let has = |table: &str, name: &str| {
        chains.iter().any(|chain| chain.table == table && chain.name == name)
    };
    let fences = chains.iter().filter(|chain| chain.name == "prerouting");
    let fences = fences.filter(|chain| has(&chain.table, "forward"));
    Ok(fences
        .filter_map(|chain| chain.table.strip_prefix("relay_"))
        .filter_map(|name| name.parse().ok())
        .collect())
}
