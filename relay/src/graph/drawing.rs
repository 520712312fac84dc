use std::collections::BTreeMap;

use serde::Serialize;

use super::{Graph, Relation, TooManyPairs, Traffic, Way};

/// Who may talk to whom: the JSON of `relay graph`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drawing<'g> {
    schema_version: u32,
    interface: &'g str,
    peers: Vec<Drawn<'g>>,
    /// Positions of peers that behave alike; every peer is in one.
    kinds: Vec<Vec<usize>>,
    relations: Vec<Related>,
    /// What rules open, folded by groups.
    opened: &'g [String],
    /// `null` if pairs are not counted.
    traffic: Option<Vec<Relayed>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Drawn<'g> {
    name: &'g str,
    about: &'g str,
    enabled: bool,
}

/// What lies between two kinds, or between the peers of one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Related {
    a: usize,
    b: usize,
    relation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    way: Option<&'static str>,
    /// What may be begun by rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
}

/// Bytes between two peers, both ways.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Relayed {
    a: usize,
    b: usize,
    bytes: u64,
}

/// Version of the JSON layout.
const SCHEMA_VERSION: u32 = 1;

/// Limit of relations between kinds.
const RELATIONS_MAX: usize = 100_000;

impl<'g> Drawing<'g> {
    /// Of a graph, with the bytes of pairs if they are counted.
    ///
    /// # Errors
    /// Too many kinds of peers talk to each other.
    pub fn of(graph: &'g Graph, traffic: Option<&Traffic>) -> Result<Self, TooManyPairs> {
        let peers = graph.nodes.iter().map(|node| Drawn {
            name: &node.name,
            about: &node.about,
            enabled: node.enabled,
        });
        let (keys, kinds) = kinds(graph);
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            interface: &graph.title,
            peers: peers.collect(),
            relations: relations(graph, &keys, &kinds)?,
            kinds,
            opened: &graph.opened,
            traffic: traffic.and_then(Traffic::of_pairs).map(|pairs| {
                let pairs = pairs.filter(|&(_, bytes)| bytes != 0);
                let mut pairs: Vec<_> =
                    pairs.map(|((a, b), bytes)| Relayed { a, b, bytes }).collect();
                pairs.sort_unstable_by_key(|pair| (pair.a, pair.b));
                pairs
            }),
        })
    }
}

/// Kind by lists and role by rules, and the peers that have both.
type Key = (usize, usize);

fn kinds(graph: &Graph) -> (Vec<Key>, Vec<Vec<usize>>) {
    let mut places = BTreeMap::new();
    let (mut keys, mut kinds) = (Vec::new(), Vec::new());
    for peer in 0..graph.nodes.len() {
        let key: Key = (graph.kind_of[peer], graph.rules.role(peer));
        let place = *places.entry(key).or_insert_with(|| {
            keys.push(key);
            kinds.push(Vec::new());
            kinds.len() - 1
        });
        kinds[place].push(peer);
    }
    (keys, kinds)
}

fn relations(
    graph: &Graph,
    keys: &[Key],
    kinds: &[Vec<usize>],
) -> Result<Vec<Related>, TooManyPairs> {
    let mut of_kind = vec![Vec::new(); graph.of_kind.len()];
    let mut of_role = vec![Vec::new(); graph.rules.roles().len()];
    for (place, &(kind, role)) in keys.iter().enumerate() {
        of_kind[kind].push(place);
        of_role[role].push(place);
    }
    let mut partners = vec![Vec::new(); graph.of_kind.len()];
    for (&(from, to), &relation) in &graph.relations {
        if relation != Relation::None {
            partners[from].push(to);
        }
    }
    let met: Vec<Vec<usize>> =
        (0..of_role.len()).map(|role| graph.meeting(role).collect()).collect();
    let mut related = Vec::new();
    for (a, &(kind, role)) in keys.iter().enumerate() {
        let by_lists = partners[kind].iter().flat_map(|&kind| &of_kind[kind]);
        let by_rules = met[role].iter().flat_map(|&role| &of_role[role]);
        let mut others: Vec<usize> =
            by_lists.chain(by_rules).copied().filter(|&b| b >= a).collect();
        others.sort_unstable();
        others.dedup();
        for b in others {
            // A kind of one peer has nobody else.
            let Some((one, other)) = apart(&kinds[a], &kinds[b]) else { continue };
            let relation = graph.relation(one, other);
            let way = if let Relation::Ruled(way) = relation { Some(way) } else { None };
            let label = way.map(|way| services(graph, way, one, other));
            let way = way.map(name_of_way);
            related.push(Related { a, b, relation: name(relation), way, label });
        }
        if related.len() > RELATIONS_MAX {
            return Err(TooManyPairs { found: related.len(), most: RELATIONS_MAX });
        }
    }
    Ok(related)
}

/// A peer of each kind that is not the other.
fn apart(some: &[usize], others: &[usize]) -> Option<(usize, usize)> {
    let one = *some.first()?;
    Some((one, *others.iter().find(|&&other| other != one)?))
}

fn services(graph: &Graph, way: Way, one: usize, other: usize) -> String {
    match way {
        Way::There | Way::Alike => graph.label(one, other),
        Way::Back => graph.label(other, one),
        Way::Both => format!("→ {}; ← {}", graph.label(one, other), graph.label(other, one)),
    }
}

const fn name_of_way(way: Way) -> &'static str {
    match way {
        Way::There => "there",
        Way::Back => "back",
        Way::Both | Way::Alike => "both",
    }
}

const fn name(relation: Relation) -> &'static str {
    match relation {
        Relation::None => "none",
        Relation::Whole => "whole",
        Relation::Part => "part",
        Relation::Lists => "lists",
        Relation::Listed => "listed",
        Relation::Crossed => "crossed",
        Relation::Ruled(_) => "ruled",
    }
}
