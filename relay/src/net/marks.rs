//! Rules of the host that write the bits of packet marks that relay uses.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    NetError,
    nftables::{
        Chain, Expression, INET, IPV4, IPV6, Ruleset, Scope, VERDICT, Verdict, find, number,
        register, text, verdict,
    },
};
use crate::model::InterfaceName;

/// NF_INET_PRE_ROUTING, NF_INET_FORWARD and NF_INET_POST_ROUTING: the hooks that forwarded packets
/// pass.
const FORWARDED: [u32; 3] = [0, 2, 4];
/// NFT_META_MARK, NFT_META_IIFNAME and NFT_META_OIFNAME.
const MARK: u32 = 3;
const INPUT_NAME: u32 = 6;
const OUTPUT_NAME: u32 = 7;

/// A chain whose rules write some of the bits, on packets from or to peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkWriter {
    /// The chain, as in `nft`: family, table, chain.
    pub chain: String,
    /// Bits that are set.
    pub set: u32,
    /// Bits that are changed, on packets from a peer.
    pub lost: u32,
}

/// Chains whose rules write any of `bits` on packets that are forwarded from or to `interface`. A
/// rule counts whatever else it matches. Rules of iptables-legacy are not visible.
///
/// # Errors
/// The kernel has no nf_tables, the caller lacks permission, or the ruleset changed during each dump.
pub fn writers(interface: &InterfaceName, bits: u32) -> Result<Vec<MarkWriter>, NetError> {
    let ruleset = Ruleset::read(Scope::ALL)?;
    let own = super::fence::table_name(interface);
    let mut found: BTreeMap<String, Written> = BTreeMap::new();
    for chain in reachable(&ruleset) {
        if chain.family == INET && chain.table == own {
            continue;
        }
        for written in chain.rules.iter().filter_map(|rule| written(rule, interface.as_str())) {
            let all = found.entry(chain.to_string()).or_default();
            all.set |= written.set & bits;
            all.lost |= written.lost & bits;
        }
    }
    let written = found.into_iter().filter(|(_, Written { set, lost })| set | lost != 0);
    Ok(written.map(|(chain, Written { set, lost })| MarkWriter { chain, set, lost }).collect())
}

/// Effect on the bits of a mark.
#[derive(Debug, Default)]
struct Written {
    set: u32,
    lost: u32,
}

/// Chains that a forwarded packet may pass.
fn reachable(ruleset: &Ruleset) -> Vec<&Chain> {
    let of_ip = |chain: &&Chain| [INET, IPV4, IPV6].contains(&chain.family);
    let hooked = |chain: &&Chain| chain.base.as_ref().is_some_and(|b| FORWARDED.contains(&b.hook));
    let key = |chain: &Chain, name: &str| (chain.family, chain.table.clone(), name.to_owned());
    let named: HashMap<_, _> = ruleset.chains.iter().map(|it| (key(it, &it.name), it)).collect();
    let mut left: Vec<&Chain> = ruleset.chains.iter().filter(of_ip).filter(hooked).collect();
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    while let Some(chain) = left.pop() {
        if !seen.insert(key(chain, &chain.name)) {
            continue;
        }
        found.push(chain);
        let targets = chain.rules.iter().flatten().flat_map(|step| targets(ruleset, chain, step));
        left.extend(targets.filter_map(|name| named.get(&key(chain, &name)).copied()));
    }
    found
}

/// Names of the chains that a step of a rule may go to.
fn targets(ruleset: &Ruleset, chain: &Chain, step: &Expression) -> Vec<String> {
    let verdicts = match step.name.as_str() {
        "immediate" => vec![verdict(find(find(&step.data, 2), 2))],
        "lookup" => {
            let set = (chain.family, chain.table.clone(), text(find(&step.data, 1)));
            let elements = ruleset.sets.get(&set).map(Vec::as_slice).unwrap_or_default();
            elements.iter().map(|element| verdict(find(&element.data, 2))).collect()
        }
        _ => Vec::new(),
    };
    let name = |verdict| match verdict {
        Verdict::Jump(name) | Verdict::Goto(name) => Some(name),
        Verdict::Accept | Verdict::Drop | Verdict::Return | Verdict::Next => None,
    };
    verdicts.into_iter().filter_map(name).collect()
}

/// What a rule makes of the marks of packets from or to the interface; `None` if it concerns none.
fn written(rule: &[Expression], interface: &str) -> Option<Written> {
    let mut registers: HashMap<u32, Value> = HashMap::new();
    let mut marks = Written::default();
    let mut from_peers = true;
    for Expression { name, data } in rule {
        let at = |kind| number(find(data, kind));
        let of = |kind| registers.get(&at(kind).map_or(0, register)).copied();
        let value = |kind| of(kind).unwrap_or(Value::UNKNOWN);
        match name.as_str() {
            "meta" if at(1).is_some() => {
                let loaded = match at(2) {
                    Some(MARK) => Value::OLD,
                    Some(INPUT_NAME) => Value::Input,
                    Some(OUTPUT_NAME) => Value::Output,
                    _ => Value::UNKNOWN,
                };
                registers.insert(at(1).map_or(0, register), loaded);
            }
            "meta" if at(2) == Some(MARK) => marks.write(value(3)),
            "immediate" if at(1).map_or(0, register) != VERDICT => {
                let bytes = find(find(data, 2), 1).try_into();
                let value =
                    bytes.map_or(Value::UNKNOWN, |it| Value::constant(u32::from_ne_bytes(it)));
                registers.insert(at(1).map_or(0, register), value);
            }
            "bitwise" => {
                let (mask, flip) = (find(find(data, 4), 1), find(find(data, 5), 1));
                let masked = match (mask.try_into(), flip.try_into()) {
                    (Ok(mask), Ok(flip)) => {
                        value(1).masked(u32::from_ne_bytes(mask), u32::from_ne_bytes(flip))
                    }
                    _ => Value::UNKNOWN,
                };
                registers.insert(at(2).map_or(0, register), masked);
            }
            "cmp" => {
                let is_other = is_other(find(find(data, 3), 1), interface, at(2));
                match of(1) {
                    Some(Value::Output) if is_other => return None,
                    Some(Value::Input) if is_other => from_peers = false,
                    _ => {}
                }
            }
            "target" => marks.target(&text(find(data, 1)), find(data, 3)),
            // What it puts into which register is not read.
            _ => registers.clear(),
        }
    }
    let lost = if from_peers { marks.lost } else { 0 };
    Some(Written { lost, ..marks })
}

/// Whether a comparison of an interface's name holds only for others. A name without its final zero
/// is the beginning of names.
fn is_other(bytes: &[u8], interface: &str, operator: Option<u32>) -> bool {
    const EQUAL: u32 = 0;
    const NOT_EQUAL: u32 = 1;
    let mut own = interface.as_bytes().to_vec();
    own.resize(own.len().max(bytes.len()), 0);
    let matches = own.starts_with(bytes);
    match operator {
        Some(EQUAL) => !matches,
        Some(NOT_EQUAL) => matches,
        _ => false,
    }
}

/// What is known of a register.
#[derive(Debug, Clone, Copy)]
enum Value {
    /// Bits that are those of the packet's mark, and bits that are 1. What is in neither is 0 or not
    /// known.
    Bits { old: u32, ones: u32 },
    /// The name of the interface that a packet came by.
    Input,
    /// Of the one that it leaves by.
    Output,
}

impl Value {
    const OLD: Self = Self::Bits { old: u32::MAX, ones: 0 };
    const UNKNOWN: Self = Self::Bits { old: 0, ones: 0 };

    const fn constant(number: u32) -> Self {
        Self::Bits { old: 0, ones: number }
    }

    /// The value and `mask`, with the bits of `flip` turned over. A bit that is turned over and was
    /// not masked out is not known.
    fn masked(self, mask: u32, flip: u32) -> Self {
        let Self::Bits { old, ones } = self else { return Self::UNKNOWN };
        Self::Bits { old: old & mask & !flip, ones: (ones & mask & !flip) | (!mask & flip) }
    }
}

impl Written {
    fn write(&mut self, value: Value) {
        let Value::Bits { old, ones } = value else { return };
        self.set |= ones;
        self.lost |= !(old | ones);
    }

    /// Targets of xtables: layouts of linux/netfilter/xt_mark.h and xt_connmark.h.
    fn target(&mut self, name: &str, info: &[u8]) {
        let word = |at: usize| {
            let bytes = info.get(at..at + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?))
        };
        match (name, word(0), word(4), word(8), info.get(12)) {
            ("MARK", Some(mark), Some(mask), _, _) => {
                self.write(Value::OLD.masked(!mask, mark));
            }
            // XT_CONNMARK_RESTORE: the bits of the third word are replaced.
            ("CONNMARK", _, Some(_), Some(mask), Some(2)) => self.lost |= mask,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_xtables_are_read() {
        let rule = |name: &str, info: &[u32]| {
            let info: Vec<u8> = info.iter().flat_map(|word| word.to_ne_bytes()).collect();
            let data = [(1, name.as_bytes()), (3, &info)].map(|(kind, value)| {
                let mut bytes =
                    u16::try_from(value.len() + 4).expect("short").to_ne_bytes().to_vec();
                bytes.extend(u16::to_ne_bytes(kind));
                bytes.extend(value);
                bytes.resize(bytes.len().next_multiple_of(4), 0);
                bytes
            });
            let target = Expression { name: "target".to_owned(), data: data.concat() };
            let Written { set, lost } = written(&[target], "relay0").expect("any packet");
            (set, lost)
        };
        // -j MARK --set-xmark VALUE/MASK; --or-mark, --xor-mark and --set-mark are forms of it.
        assert_eq!(rule("MARK", &[0x4000, 0x4000]), (0x4000, 0));
        assert_eq!(rule("MARK", &[0x4000, 0]), (0, 0x4000));
        assert_eq!(rule("MARK", &[7, u32::MAX]), (7, !7));
        assert_eq!(rule("MARK", &[0, 0x1000]), (0, 0x1000));
        // -j CONNMARK --save-mark and --restore-mark.
        assert_eq!(rule("CONNMARK", &[u32::MAX, u32::MAX, u32::MAX, 1]), (0, 0));
        assert_eq!(rule("CONNMARK", &[0xff, 0xff, 0xff00, 2]), (0, 0xff00));
        assert_eq!(rule("LOG", &[0, 0, 0, 0]), (0, 0));
    }
}
