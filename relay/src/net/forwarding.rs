//! Forwarding as a host does it without relay: nftables with connection tracking.

use std::net::Ipv4Addr;

use super::{
    NetError,
    nftables::{
        Base, Chain, Expression, INET, IPV4,
        build::{
            ACCEPT, CT_STATE, DROP, EQUAL, ESTABLISHED_OR_RELATED, FORWARD, META_FAMILY,
            NETWORK_HEADER, SOURCE_V4, compare, field, load, track_has, verdict,
        },
        requests, transact,
    },
};

/// NF_IP_PRI_FILTER.
const FILTER: i32 = 0;

/// Puts up a table that lets the two addresses of each pair begin something with each other, lets the
/// answers pass, and drops everything else that the host would forward. A table of this name is
/// replaced.
///
/// # Errors
/// The kernel lacks a part of nf_tables, or the caller lacks permission.
pub fn put_up(table: &str, pairs: &[[Ipv4Addr; 2]]) -> Result<(), NetError> {
    transact(table, &requests(table, &[chain(table, pairs)]))
}

fn chain(table: &str, pairs: &[[Ipv4Addr; 2]]) -> Chain {
    // `ct state established,related accept`
    let mut known: Vec<Expression> = track_has(CT_STATE, ESTABLISHED_OR_RELATED).into();
    known.push(verdict(ACCEPT));
    let both_ways = pairs.iter().flat_map(|&[one, other]| [(one, other), (other, one)]);
    Chain {
        family: INET,
        table: table.to_owned(),
        name: "forward".to_owned(),
        base: Some(Base {
            hook: FORWARD,
            priority: FILTER,
            kind: "filter".to_owned(),
            policy: DROP,
        }),
        rules: [known].into_iter().chain(both_ways.map(|(from, to)| accept(from, to))).collect(),
    }
}

/// `ip saddr <from> ip daddr <to> accept`, which nft compares at once, too.
fn accept(from: Ipv4Addr, to: Ipv4Addr) -> Vec<Expression> {
    let addresses = [from.octets(), to.octets()].concat();
    vec![
        load(META_FAMILY),
        compare(EQUAL, &[IPV4]),
        field(NETWORK_HEADER, SOURCE_V4, 8),
        compare(EQUAL, &addresses),
        verdict(ACCEPT),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_first_then_each_pair_both_ways_and_the_rest_is_dropped() {
        let [a, b] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
        let chain = chain("bench", &[[a, b]]);
        assert_eq!(chain.base.expect("a base chain").policy, DROP);
        let [known, there, back] = &chain.rules[..] else { panic!("three rules") };
        assert_eq!(known[..3], track_has(CT_STATE, ESTABLISHED_OR_RELATED));
        assert_eq!(there[3], compare(EQUAL, &[10, 0, 0, 1, 10, 0, 0, 2]));
        assert_eq!(back[3], compare(EQUAL, &[10, 0, 0, 2, 10, 0, 0, 1]));
    }
}
