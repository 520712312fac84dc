//! Requests that make a table.

use rtnetlink::packet_core::{NLM_F_APPEND, NLM_F_CREATE};

use super::{
    INET,
    expression::Expression,
    request::{Kind, Request},
    ruleset::{Base, Chain},
};
use crate::net::attribute::{attribute, nested, string};

/// The transaction. Its first two requests remove the table whether or not it exists: creating an
/// existing one is no error, deleting a missing one is.
pub(in crate::net) fn requests(table: &str, chains: &[Chain]) -> Vec<Request> {
    let new_table = || of_table(Kind::NewTable, NLM_F_CREATE, table);
    let mut requests = vec![new_table(), delete_table(table), new_table()];
    for chain in chains {
        requests.push(new_chain(chain));
        requests.extend(chain.rules.iter().map(|rule| new_rule(chain, rule)));
    }
    requests
}

pub(in crate::net) fn delete_table(table: &str) -> Request {
    of_table(Kind::DeleteTable, 0, table)
}

fn of_table(kind: Kind, flags: u16, table: &str) -> Request {
    Request { kind, family: INET, flags, attributes: vec![string(1, table)] }
}

fn new_chain(chain: &Chain) -> Request {
    let mut attributes = vec![string(1, &chain.table), string(3, &chain.name)];
    if let Some(Base { hook, priority, kind, policy }) = &chain.base {
        let place = [attribute(1, hook.to_be_bytes()), attribute(2, priority.to_be_bytes())];
        attributes.push(nested(4, &place));
        attributes.extend([attribute(5, policy.to_be_bytes()), string(7, kind)]);
    }
    Request { kind: Kind::NewChain, family: INET, flags: NLM_F_CREATE, attributes }
}

fn new_rule(chain: &Chain, rule: &[Expression]) -> Request {
    let of = |step: &Expression| nested(1, &[string(1, &step.name), attribute(2, &step.data)]);
    let expressions: Vec<_> = rule.iter().map(of).collect();
    let attributes = vec![string(1, &chain.table), string(2, &chain.name), nested(4, &expressions)];
    let flags = NLM_F_CREATE | NLM_F_APPEND;
    Request { kind: Kind::NewRule, family: INET, flags, attributes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transaction_removes_the_table_and_creates_chains_with_their_rules() {
        let chain = |name: &str, rules| Chain {
            family: INET,
            table: "t".to_owned(),
            name: name.to_owned(),
            base: None,
            rules: vec![Vec::new(); rules],
        };
        let requests = requests("t", &[chain("one", 1), chain("two", 2)]);
        let kinds: Vec<Kind> = requests.iter().map(|request| request.kind).collect();
        let (chain, rule) = (Kind::NewChain, Kind::NewRule);
        let clear = [Kind::NewTable, Kind::DeleteTable, Kind::NewTable];
        assert_eq!(kinds, [&clear[..], &[chain, rule, chain, rule, rule]].concat());
    }
}
