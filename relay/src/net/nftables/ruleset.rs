use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
};

use super::{
    INET, IPV4,
    expression::Expression,
    request::{Kind, Request, dump},
};
use crate::net::{
    NetError,
    attribute::{attributes, find, number, string, text},
};

/// What is read.
#[derive(Debug, Clone, Copy)]
pub(in crate::net) struct Scope<'a> {
    /// Family of protocols; 0 is all of them.
    pub(in crate::net) family: u8,
    /// One table, or all.
    pub(in crate::net) table: Option<&'a str>,
}

/// Chains with their rules, and the sets that rules look up.
#[derive(Debug, Default)]
pub(in crate::net) struct Ruleset {
    pub(in crate::net) chains: Vec<Chain>,
    pub(in crate::net) sets: HashMap<SetName, Vec<Element>>,
}

/// Family, table and name.
pub(in crate::net) type SetName = (u8, String, String);

/// A table.
#[derive(Debug)]
pub(in crate::net) struct Table {
    pub(in crate::net) name: String,
    pub(in crate::net) flags: u32,
}

/// A chain; `base` if it is attached to a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) struct Chain {
    pub(in crate::net) family: u8,
    pub(in crate::net) table: String,
    pub(in crate::net) name: String,
    pub(in crate::net) base: Option<Base>,
    pub(in crate::net) rules: Vec<Vec<Expression>>,
}

/// Where a base chain is attached, and its policy for packets without a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) struct Base {
    pub(in crate::net) hook: u32,
    pub(in crate::net) priority: i32,
    pub(in crate::net) kind: String,
    pub(in crate::net) policy: u32,
}

/// An element of a set: its key, whether it ends an interval, and the data of a map.
#[derive(Debug)]
pub(in crate::net) struct Element {
    pub(in crate::net) key: Vec<u8>,
    pub(in crate::net) is_end: bool,
    pub(in crate::net) data: Vec<u8>,
}

/// The tables, without the chains in them.
pub(in crate::net) fn tables(scope: Scope<'_>) -> Result<Vec<Table>, NetError> {
    let answers = scope.dump(Kind::GetTable)?;
    let tables = answers.iter().map(|(_, attributes)| Table {
        name: text(find(attributes, 1)),
        flags: number(find(attributes, 2)).unwrap_or(0),
    });
    Ok(tables.filter(|table| scope.has(&table.name)).collect())
}

/// The chains, without their rules.
pub(in crate::net) fn chains(scope: Scope<'_>) -> Result<Vec<Chain>, NetError> {
    let answers = scope.dump(Kind::GetChain)?;
    let chains = answers.iter().filter_map(|(family, attributes)| chain(*family, attributes));
    Ok(chains.filter(|chain| scope.has(&chain.table)).collect())
}

impl Ruleset {
    /// Reads chains, rules and sets.
    pub(in crate::net) fn read(scope: Scope<'_>) -> Result<Self, NetError> {
        let mut chains = chains(scope)?;
        let places: HashMap<_, _> = chains
            .iter()
            .enumerate()
            .map(|(place, chain)| ((chain.family, chain.table.clone(), chain.name.clone()), place))
            .collect();
        let mut sets = HashMap::new();
        for (family, attributes) in scope.dump(Kind::GetRule)? {
            let table = text(find(&attributes, 1));
            let name = text(find(&attributes, 2));
            let place = places.get(&(family, table.clone(), name));
            // The chain was added meanwhile.
            let Some(chain) = place.and_then(|place| chains.get_mut(*place)) else { continue };
            let expressions = expressions(find(&attributes, 4));
            for lookup in expressions.iter().filter(|expression| expression.name == "lookup") {
                let name = (family, table.clone(), text(find(&lookup.data, 1)));
                if let Entry::Vacant(place) = sets.entry(name) {
                    let elements = elements(scope, place.key())?;
                    place.insert(elements);
                }
            }
            chain.rules.push(expressions);
        }
        Ok(Self { chains, sets })
    }
}

impl Scope<'_> {
    /// Everything.
    pub(in crate::net) const ALL: Self = Self { family: 0, table: None };

    fn has(self, table: &str) -> bool {
        self.table.is_none_or(|name| name == table)
    }

    /// Its name in messages.
    fn object(self) -> String {
        self.table.unwrap_or("the ruleset").to_owned()
    }

    /// The kernel selects rules by their table, but neither tables nor chains.
    fn dump(self, kind: Kind) -> Result<Vec<(u8, Vec<u8>)>, NetError> {
        let table = self.table.filter(|_| kind == Kind::GetRule);
        let attributes = table.map(|table| string(1, table)).into_iter().collect();
        dump(&self.object(), &Request { kind, family: self.family, flags: 0, attributes })
    }
}

/// As in `nft`: family, table, chain.
impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            INET => "inet",
            IPV4 => "ip",
            _ => "ip6",
        };
        write!(f, "{family} {} {}", self.table, self.name)
    }
}

impl Base {
    /// Whether a packet without a verdict is dropped.
    pub(in crate::net) const fn drops(&self) -> bool {
        const DROP: u32 = 0;
        self.policy == DROP
    }
}

fn chain(family: u8, attributes: &[u8]) -> Option<Chain> {
    const ACCEPT: u32 = 1;
    let name = text(find(attributes, 3));
    let hook = find(attributes, 4);
    let base = number(find(hook, 1)).map(|hook_number| Base {
        hook: hook_number,
        priority: number(find(hook, 2)).unwrap_or(0).cast_signed(),
        kind: text(find(attributes, 7)),
        policy: number(find(attributes, 5)).unwrap_or(ACCEPT),
    });
    let table = text(find(attributes, 1));
    (!name.is_empty()).then_some(Chain { family, table, name, base, rules: Vec::new() })
}

fn expressions(list: &[u8]) -> Vec<Expression> {
    let expressions = attributes(list).map(|(_, expression)| Expression {
        name: text(find(expression, 1)),
        data: find(expression, 2).to_vec(),
    });
    expressions.collect()
}

fn elements(scope: Scope<'_>, (family, table, set): &SetName) -> Result<Vec<Element>, NetError> {
    const INTERVAL_END: u32 = 1;
    let request = Request {
        kind: Kind::GetSetElements,
        family: *family,
        flags: 0,
        attributes: vec![string(1, table), string(2, set)],
    };
    let answers = dump(&scope.object(), &request)?;
    let elements = answers.iter().flat_map(|(_, attributes_of)| attributes(find(attributes_of, 3)));
    Ok(elements
        .map(|(_, element)| Element {
            key: find(find(element, 1), 1).to_vec(),
            is_end: number(find(element, 3)).is_some_and(|flags| flags & INTERVAL_END != 0),
            data: find(element, 2).to_vec(),
        })
        .collect())
}
