//! The possible fates of the first packet from a peer, by the rules alone.
//!
//! The result is a set of possibilities. An expression that is not understood may or may not match, so
//! that a port counts as closed only if no interpretation of the rules opens it.

use std::collections::{BTreeSet, HashMap};

use super::{
    matching::Match,
    xtables::{self, STATE_NEW},
};
use crate::net::nftables::{
    Chain, Element, Expression, INET, IPV4, IPV6, Ruleset, VERDICT, Verdict, find, number,
    register, text, verdict,
};

/// NF_INET_LOCAL_IN.
const LOCAL_IN: u32 = 1;

const UDP: u8 = 17;
/// Name and index of the loopback interface.
const LOOPBACK: (&[u8], u32) = (b"lo", 1);

/// The first UDP packet of a flow, from outside, to a port of the host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet {
    pub(super) version: Version,
    pub(super) port: u16,
}

/// A version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

/// What a chain may do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Accepted,
    Dropped,
    /// The chain ends without a verdict.
    Unsaid,
}

type Fates = BTreeSet<Fate>;

/// Content of a register.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Known(Vec<u8>),
    /// The last bytes of it.
    Ends(Vec<u8>),
    /// An interface other than loopback.
    Outside,
    Unknown,
}

/// The first base chain of hook input that certainly drops the packet.
pub(super) fn barred(ruleset: &Ruleset, packet: Packet) -> Option<String> {
    let own = if packet.version == Version::V4 { IPV4 } else { IPV6 };
    let judge = Judge { ruleset, packet };
    let mut seen = HashMap::new();
    ruleset.chains.iter().filter(|chain| [INET, own].contains(&chain.family)).find_map(|chain| {
        let base = chain.base.as_ref().filter(|base| base.hook == LOCAL_IN)?;
        let mut fates = judge.chain(chain, &mut seen);
        if fates.remove(&Fate::Unsaid) {
            fates.insert(if base.drops() { Fate::Dropped } else { Fate::Accepted });
        }
        (fates == BTreeSet::from([Fate::Dropped])).then(|| chain.to_string())
    })
}

struct Judge<'a> {
    ruleset: &'a Ruleset,
    packet: Packet,
}

/// Fates of evaluated chains, by family, table and name.
type Seen<'a> = HashMap<(u8, &'a str, &'a str), Fates>;

impl<'a> Judge<'a> {
    fn chain(&self, chain: &'a Chain, seen: &mut Seen<'a>) -> Fates {
        let key = (chain.family, chain.table.as_str(), chain.name.as_str());
        if let Some(fates) = seen.get(&key) {
            return fates.clone();
        }
        // The kernel allows no loops. If there is one anyway, anything is possible.
        seen.insert(key, BTreeSet::from([Fate::Accepted, Fate::Dropped, Fate::Unsaid]));
        let mut fates = Fates::new();
        let ends = chain.rules.iter().any(|rule| {
            let outcomes = self.rule(chain, rule);
            outcomes.into_iter().any(|(matches, verdict)| {
                let (mut found, ends) = match verdict {
                    Verdict::Accept => (BTreeSet::from([Fate::Accepted]), true),
                    Verdict::Drop => (BTreeSet::from([Fate::Dropped]), true),
                    Verdict::Return => (BTreeSet::from([Fate::Unsaid]), true),
                    Verdict::Next => (Fates::new(), false),
                    Verdict::Jump(name) => {
                        let mut found = self.named(chain, &name, seen);
                        let comes_back = found.remove(&Fate::Unsaid);
                        (found, !comes_back)
                    }
                    Verdict::Goto(name) => (self.named(chain, &name, seen), true),
                };
                fates.append(&mut found);
                ends && matches == Match::Yes
            })
        });
        if !ends {
            fates.insert(Fate::Unsaid);
        }
        seen.insert(key, fates.clone());
        fates
    }

    fn named(&self, from: &Chain, name: &str, seen: &mut Seen<'a>) -> Fates {
        let of = |chain: &&Chain| {
            (chain.family, chain.table.as_str(), chain.name.as_str())
                == (from.family, from.table.as_str(), name)
        };
        match self.ruleset.chains.iter().find(of) {
            Some(chain) => self.chain(chain, seen),
            None => BTreeSet::from([Fate::Accepted, Fate::Dropped, Fate::Unsaid]),
        }
    }

    /// The possible verdicts of a rule, and whether they are certain.
    fn rule(&self, chain: &Chain, rule: &[Expression]) -> Vec<(Match, Verdict)> {
        let mut registers: HashMap<u32, Value> = HashMap::new();
        let mut matches = Match::Yes;
        for Expression { name, data } in rule {
            let at = |kind| number(find(data, kind));
            let register = |kind| at(kind).map_or(0, register);
            let value =
                |kind: u16| registers.get(&register(kind)).cloned().unwrap_or(Value::Unknown);
            let step = match name.as_str() {
                "meta" | "payload" | "ct" if at(1).is_some() => {
                    let loaded = match name.as_str() {
                        "meta" => self.meta(at(2)),
                        "payload" => self.payload(chain, at(2), at(3), at(4)),
                        _ => conntrack(at(2)),
                    };
                    registers.insert(register(1), loaded);
                    Match::Yes
                }
                "immediate" if register(1) == VERDICT => {
                    return vec![(matches, verdict(find(find(data, 2), 2)))];
                }
                "immediate" => {
                    let constant = find(find(data, 2), 1).to_vec();
                    registers.insert(register(1), Value::Known(constant));
                    Match::Yes
                }
                "bitwise" => {
                    let masked = masked(&value(1), data);
                    registers.insert(register(2), masked);
                    Match::Yes
                }
                "cmp" => compare(&value(1), at(2), find(find(data, 3), 1)),
                "range" => within(&value(1), data),
                "lookup" => {
                    let set = (chain.family, chain.table.clone(), text(find(data, 1)));
                    let elements = self.ruleset.sets.get(&set).map(Vec::as_slice);
                    let found = lookup(&value(2), elements.unwrap_or_default());
                    if at(3).is_some() && register(3) == VERDICT {
                        return through(matches, &found);
                    }
                    if at(3).is_some() {
                        registers.insert(register(3), Value::Unknown);
                    }
                    let is_inverted = at(5).is_some_and(|flags| flags & 1 != 0);
                    found.matches.inverted(is_inverted)
                }
                "match" => xtables::matches(&text(find(data, 1)), find(data, 3), self.packet.port),
                "reject" => return vec![(matches, Verdict::Drop)],
                "target" => match text(find(data, 1)).as_str() {
                    "REJECT" | "DROP" => return vec![(matches, Verdict::Drop)],
                    name if xtables::GOES_ON.contains(&name) => Match::Yes,
                    _ => return vec![(matches.and(Match::Maybe), Verdict::Accept)],
                },
                "queue" => return vec![(matches.and(Match::Maybe), Verdict::Accept)],
                "counter" | "log" | "notrack" | "objref" | "meta" | "payload" | "ct" => Match::Yes,
                _ => {
                    registers.clear();
                    Match::Maybe
                }
            };
            matches = matches.and(step);
            if matches == Match::No {
                return Vec::new();
            }
        }
        vec![(matches, Verdict::Next)]
    }

    fn meta(&self, key: Option<u32>) -> Value {
        match key {
            // NFT_META_IIF and NFT_META_IIFNAME.
            Some(4 | 6) => Value::Outside,
            // NFT_META_NFPROTO and NFT_META_L4PROTO.
            Some(15) => Value::Known(vec![match self.packet.version {
                Version::V4 => IPV4,
                Version::V6 => IPV6,
            }]),
            Some(16) => Value::Known(vec![UDP]),
            _ => Value::Unknown,
        }
    }

    fn payload(
        &self,
        chain: &Chain,
        base: Option<u32>,
        offset: Option<u32>,
        len: Option<u32>,
    ) -> Value {
        const NETWORK: u32 = 1;
        const TRANSPORT: u32 = 2;
        match (base, offset, len, chain.family) {
            (Some(TRANSPORT), Some(2), Some(2), _) => {
                Value::Known(self.packet.port.to_be_bytes().to_vec())
            }
            // Both ports; the source port may be any.
            (Some(TRANSPORT), Some(0), Some(4), _) => {
                Value::Ends(self.packet.port.to_be_bytes().to_vec())
            }
            // The protocol of IPv4, and the next header of IPv6 without extensions.
            (Some(NETWORK), Some(9), Some(1), IPV4) | (Some(NETWORK), Some(6), Some(1), IPV6) => {
                Value::Known(vec![UDP])
            }
            _ => Value::Unknown,
        }
    }
}

/// Connection tracking of a packet that opens a flow and is not translated.
fn conntrack(key: Option<u32>) -> Value {
    match key {
        // NFT_CT_STATE, NFT_CT_DIRECTION and NFT_CT_STATUS.
        Some(0) => Value::Known(STATE_NEW.to_ne_bytes().to_vec()),
        Some(1) => Value::Known(vec![0]),
        Some(2) => Value::Known(0u32.to_ne_bytes().to_vec()),
        _ => Value::Unknown,
    }
}

fn masked(value: &Value, data: &[u8]) -> Value {
    let (mask, xor) = (find(find(data, 4), 1), find(find(data, 5), 1));
    match value {
        Value::Known(bytes) if bytes.len() == mask.len() && mask.len() == xor.len() => {
            let bits = bytes.iter().zip(mask).zip(xor);
            Value::Known(bits.map(|((byte, mask), xor)| (byte & mask) ^ xor).collect())
        }
        _ => Value::Unknown,
    }
}

/// NFT_CMP_EQ to NFT_CMP_GTE.
fn compare(value: &Value, operator: Option<u32>, with: &[u8]) -> Match {
    match (value, operator) {
        (Value::Known(bytes), Some(operator)) if bytes.len() == with.len() => {
            let order = bytes.as_slice().cmp(with);
            Match::of(match operator {
                0 => order.is_eq(),
                1 => order.is_ne(),
                2 => order.is_lt(),
                3 => order.is_le(),
                4 => order.is_gt(),
                _ => order.is_ge(),
            })
        }
        (Value::Ends(bytes), Some(operator @ (0 | 1))) if !with.ends_with(bytes) => {
            Match::of(operator == 1)
        }
        (Value::Outside, Some(operator @ (0 | 1))) if is_loopback(with) => Match::of(operator == 1),
        _ => Match::Maybe,
    }
}

fn within(value: &Value, data: &[u8]) -> Match {
    let (from, to) = (find(find(data, 3), 1), find(find(data, 4), 1));
    match value {
        Value::Known(bytes) if bytes.len() == from.len() => {
            let is_in = (from..=to).contains(&bytes.as_slice());
            Match::of(is_in).inverted(number(find(data, 2)) == Some(1))
        }
        _ => Match::Maybe,
    }
}

fn is_loopback(bytes: &[u8]) -> bool {
    let (name, index) = LOOPBACK;
    text(bytes).as_bytes() == name || bytes == index.to_ne_bytes()
}

/// Result of a set look-up: whether an element matches, and which may.
struct Found<'a> {
    matches: Match,
    elements: Vec<&'a Element>,
}

fn lookup<'a>(value: &Value, elements: &'a [Element]) -> Found<'a> {
    match value {
        Value::Known(bytes) if elements.iter().all(|one| one.key.len() == bytes.len()) => {
            let found = if elements.iter().any(|element| element.is_end) {
                // If an interval ends where another begins, the beginning counts.
                let before = elements.iter().filter(|element| element.key <= *bytes);
                before.max_by_key(|one| (&one.key, !one.is_end)).filter(|one| !one.is_end)
            } else {
                elements.iter().find(|element| element.key == *bytes)
            };
            Found { matches: Match::of(found.is_some()), elements: found.into_iter().collect() }
        }
        Value::Outside => {
            let others: Vec<_> = elements.iter().filter(|one| !is_loopback(&one.key)).collect();
            let matches = if others.is_empty() { Match::No } else { Match::Maybe };
            Found { matches, elements: others }
        }
        _ => Found { matches: Match::Maybe, elements: elements.iter().collect() },
    }
}

/// The possible verdicts of a verdict map.
fn through(matches: Match, found: &Found<'_>) -> Vec<(Match, Verdict)> {
    let matches = matches.and(found.matches);
    let verdicts = found.elements.iter().filter(|element| !element.is_end);
    verdicts.map(|element| (matches, verdict(find(&element.data, 2)))).collect()
}
