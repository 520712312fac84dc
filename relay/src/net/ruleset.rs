//! Chains, rules and elements of sets, as the kernel has them.
//!
//! The expressions of a rule stay what they are in the message: whoever judges the rules reads those
//! that it understands.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt, io,
};

use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

use super::NetError;

/// Types of messages of linux/netfilter/nf_tables.h, below NFNL_SUBSYS_NFTABLES.
const SUBSYSTEM: u16 = 10 << 8;
const GET_CHAIN: u16 = 4;
const GET_RULE: u16 = 7;
const GET_SET_ELEMENTS: u16 = 13;
/// NLMSG_ERROR and NLMSG_DONE; NLM_F_REQUEST and NLM_F_DUMP; NLM_F_DUMP_INTR.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST_DUMP: u16 = 0x301;
const INTERRUPTED: u16 = 0x10;

/// nlmsghdr, and nfgenmsg behind it.
const HEADER_LEN: usize = 16;
const FAMILY_LEN: usize = 4;

/// NFPROTO_INET, NFPROTO_IPV4 and NFPROTO_IPV6.
pub(super) const INET: u8 = 1;
pub(super) const IPV4: u8 = 2;
pub(super) const IPV6: u8 = 10;

/// NFT_REG_VERDICT.
pub(super) const VERDICT: u32 = 0;

const DUMPS_MAX: usize = 16;
const DATAGRAM_MAX: usize = 64 * 1024;

/// The ruleset of the host.
#[derive(Debug, Default)]
pub(super) struct Ruleset {
    pub(super) chains: Vec<Chain>,
    pub(super) sets: HashMap<SetName, Vec<Element>>,
}

/// Family, table and name.
pub(super) type SetName = (u8, String, String);

/// A chain; `base` if it is attached to a hook.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) family: u8,
    pub(super) table: String,
    pub(super) name: String,
    pub(super) base: Option<Base>,
    pub(super) rules: Vec<Vec<Expression>>,
}

/// Hook of a chain, and its policy for packets without a verdict.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) hook: u32,
    pub(super) drops: bool,
}

/// An expression of a rule: its name and its encoded attributes.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) name: String,
    pub(super) data: Vec<u8>,
}

/// The verdict of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Drop,
    Jump(String),
    Goto(String),
    Return,
    Next,
}

/// An element of a set: its key, whether it ends an interval, and the data of a map.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) key: Vec<u8>,
    pub(super) is_end: bool,
    pub(super) data: Vec<u8>,
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

/// Reads all chains with their rules, and the sets that rules look up.
pub(super) fn read() -> Result<Ruleset, NetError> {
    let mut chains: Vec<Chain> =
        dump("NFT_MSG_GETCHAIN", GET_CHAIN, 0, &[])?.iter().filter_map(chain).collect();
    let places: HashMap<_, _> = chains
        .iter()
        .enumerate()
        .map(|(place, chain)| ((chain.family, chain.table.clone(), chain.name.clone()), place))
        .collect();
    let mut sets = HashMap::new();
    for rule in dump("NFT_MSG_GETRULE", GET_RULE, 0, &[])? {
        let table = text(find(&rule.attributes, 1));
        let name = text(find(&rule.attributes, 2));
        let place = places.get(&(rule.family, table.clone(), name));
        // The chain was added meanwhile.
        let Some(chain) = place.and_then(|place| chains.get_mut(*place)) else { continue };
        let expressions: Vec<_> = attributes(find(&rule.attributes, 4))
            .map(|(_, expression)| Expression {
                name: text(find(expression, 1)),
                data: find(expression, 2).to_vec(),
            })
            .collect();
        for lookup in expressions.iter().filter(|expression| expression.name == "lookup") {
            let name = (rule.family, table.clone(), text(find(&lookup.data, 1)));
            if let Entry::Vacant(place) = sets.entry(name) {
                let elements = elements(place.key())?;
                place.insert(elements);
            }
        }
        chain.rules.push(expressions);
    }
    Ok(Ruleset { chains, sets })
}

/// Type and value of the attributes in a message or in another attribute.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// Without NLA_F_NESTED and NLA_F_NET_BYTEORDER.
    const KIND: u16 = 0x3fff;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let [l0, l1, k0, k1, ..] = *rest else { return None };
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([k0, k1]) & KIND, value))
    })
}

/// The attribute of a type; empty if there is none.
pub(super) fn find(bytes: &[u8], kind: u16) -> &[u8] {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value).unwrap_or_default()
}

/// A number; nf_tables sends it in network byte order.
pub(super) fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

/// A zero-terminated string.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

/// A register of 16 bytes is the first of four of 4 bytes: NFT_REG_1 is NFT_REG32_00.
pub(super) const fn register(number: u32) -> u32 {
    match number {
        1..=4 => 8 + (number - 1) * 4,
        other => other,
    }
}

/// The verdict in an attribute NFTA_DATA_VERDICT.
pub(super) fn verdict(attributes: &[u8]) -> Verdict {
    let chain = || text(find(attributes, 2));
    match number(find(attributes, 1)).map(u32::cast_signed) {
        Some(0) => Verdict::Drop,
        Some(-1 | -2) => Verdict::Next,
        Some(-3) => Verdict::Jump(chain()),
        Some(-4) => Verdict::Goto(chain()),
        Some(-5) => Verdict::Return,
        _ => Verdict::Accept,
    }
}

fn chain(message: &Message) -> Option<Chain> {
    const DROP: u32 = 0;
    let Message { family, attributes } = message;
    let name = text(find(attributes, 3));
    let hook = find(attributes, 4);
    let base = number(find(hook, 1))
        .map(|hook| Base { hook, drops: number(find(attributes, 5)) == Some(DROP) });
    (!name.is_empty()).then(|| Chain {
        family: *family,
        table: text(find(attributes, 1)),
        name,
        base,
        rules: Vec::new(),
    })
}

fn elements(name: &SetName) -> Result<Vec<Element>, NetError> {
    const INTERVAL_END: u32 = 1;
    let (family, table, set) = name;
    let request = [attribute(1, table), attribute(2, set)].concat();
    let messages = dump("NFT_MSG_GETSETELEM", GET_SET_ELEMENTS, *family, &request)?;
    let elements = messages.iter().flat_map(|message| attributes(find(&message.attributes, 3)));
    Ok(elements
        .map(|(_, element)| Element {
            key: find(find(element, 1), 1).to_vec(),
            is_end: number(find(element, 3)).is_some_and(|flags| flags & INTERVAL_END != 0),
            data: find(element, 2).to_vec(),
        })
        .collect())
}

fn attribute(kind: u16, text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len() + 5).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(text.as_bytes());
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A message of a dump.
struct Message {
    family: u8,
    attributes: Vec<u8>,
}

fn dump(
    request: &'static str,
    kind: u16,
    family: u8,
    attributes: &[u8],
) -> Result<Vec<Message>, NetError> {
    for _ in 0..DUMPS_MAX {
        if let Some(messages) = dump_once(request, kind, family, attributes)? {
            return Ok(messages);
        }
    }
    Err(NetError::Interrupted { request, tries: DUMPS_MAX })
}

/// `None` if the ruleset changed meanwhile.
fn dump_once(
    request: &'static str,
    kind: u16,
    family: u8,
    attributes: &[u8],
) -> Result<Option<Vec<Message>>, NetError> {
    const OBJECT: &str = "the ruleset";
    let failed = |error| NetError::of_request(request, OBJECT.to_owned(), error);
    let length = HEADER_LEN + FAMILY_LEN + attributes.len();
    let mut bytes = u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes().to_vec();
    bytes.extend((SUBSYSTEM | kind).to_ne_bytes());
    bytes.extend(REQUEST_DUMP.to_ne_bytes());
    bytes.resize(HEADER_LEN, 0);
    bytes.extend([family, 0, 0, 0]);
    bytes.extend(attributes);

    let connect = |source| NetError::Connect { protocol: "NETLINK_NETFILTER", source };
    let socket = Socket::new(NETLINK_NETFILTER).map_err(connect)?;
    socket.connect(&SocketAddr::new(0, 0)).map_err(connect)?;
    socket.send(&bytes, 0).map_err(failed)?;
    let mut messages = Vec::new();
    let mut interrupted = false;
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        // The kernel answers within the call that sends.
        let received =
            socket.recv(&mut buffer.as_mut_slice(), libc::MSG_DONTWAIT).map_err(failed)?;
        let mut rest = buffer.get(..received).unwrap_or_default();
        while let [l0, l1, l2, l3, k0, k1, f0, f1, ..] = *rest {
            let length =
                usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
            interrupted |= u16::from_ne_bytes([f0, f1]) & INTERRUPTED != 0;
            let body = rest.get(HEADER_LEN..length).unwrap_or_default();
            match u16::from_ne_bytes([k0, k1]) {
                kind @ (ERROR | DONE) => {
                    let code = body.get(..4).and_then(|code| code.try_into().ok());
                    let code = code.map_or(0, i32::from_ne_bytes).saturating_abs();
                    return match (kind, code) {
                        (DONE, 0) => Ok((!interrupted).then_some(messages)),
                        (_, code) => Err(failed(io::Error::from_raw_os_error(code))),
                    };
                }
                _ => messages.push(Message {
                    family: body.first().copied().unwrap_or_default(),
                    attributes: body.get(FAMILY_LEN..).unwrap_or_default().to_vec(),
                }),
            }
            rest = rest.get(length.max(HEADER_LEN).next_multiple_of(4)..).unwrap_or_default();
        }
    }
}
