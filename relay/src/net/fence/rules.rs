//! The rules of the fence, as sent and as read back.

use ipnet::IpNet;
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Expressions, Hook, InetHookNumber, ListAttribute, Meta, MetaKey,
    NfTablesMessage, Operator, Register, RuleAttribute, RuleMessage, TableAttribute, TableMessage,
};
use rtnetlink::packet_core::{NLM_F_APPEND, NLM_F_CREATE};

use super::{
    Dropped, Fence,
    expression::{
        CT_DIRECTION, CT_STATE, CT_STATUS, NETWORK_HEADER, TRANSPORT_HEADER, bits, bytes, compare,
        counted, counter, expression, field, load, masked, track, track_has, verdict,
    },
    nfnetlink::Request,
};

/// NF_IP_PRI_MANGLE: before all filter chains of the host.
const MANGLE: i32 = -150;
/// Before NF_IP_PRI_CONNTRACK_DEFRAG, so that no chain of the host has changed a mark, and fragments
/// are not reassembled.
const FIRST: i32 = -450;

/// NF_ACCEPT and NF_DROP of linux/netfilter.h.
const ACCEPT: u32 = 1;
const DROP: u32 = 0;

/// NF_CT_STATE_BIT of IP_CT_ESTABLISHED and IP_CT_RELATED, IP_CT_DIR_REPLY, and IPS_DST_NAT
/// (linux/netfilter/nf_conntrack_common.h).
const ESTABLISHED_OR_RELATED: u32 = 1 << 1 | 1 << 2;
const REPLY: u8 = 1;
const DESTINATION_TRANSLATED: u32 = 1 << 5;

/// NFPROTO_IPV4 and NFPROTO_IPV6 of linux/netfilter.h.
const IPV4: u8 = 2;
const IPV6: u8 = 10;

const UDP: u8 = 17;
/// Offsets of the source address in both headers.
const SOURCE_V4: u32 = 12;
const SOURCE_V6: u32 = 8;
/// Offsets of the ports in a UDP header.
const SOURCE_PORT: u32 = 0;
const DESTINATION_PORT: u32 = 2;

/// IFNAMSIZ: the kernel compares the whole field.
const NAME_FIELD_LEN: usize = 16;

type Rule = Vec<Expressions>;

/// A chain of the fence, as sent and as read back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) name: String,
    /// Hook number, then priority.
    hook: Vec<Hook>,
    policy: Option<u32>,
    kind: Option<String>,
    rules: Vec<Rule>,
}

/// A rule as it is read back, in the form in which it was sent, and the packets it has counted.
pub(super) struct Counted {
    chain: String,
    rule: Rule,
    packets: u64,
}

/// Sorted by name.
pub(super) fn chains(fence: &Fence) -> Vec<Chain> {
    let mut forward = Vec::new();
    if fence.publishes {
        forward.push(accept_answers(fence));
    }
    if fence.replies {
        forward.push(accept_replies(fence));
    }
    forward.extend(dropping(fence, Dropped::ToPeers));
    let output = dropping(fence, Dropped::OwnTunnel);
    let prerouting =
        [Dropped::FromPeers, Dropped::OverlaySource].map(|why| dropping(fence, why)).concat();
    vec![
        base_chain("forward", InetHookNumber::Forward, MANGLE, forward),
        base_chain("output", InetHookNumber::LocalOut, MANGLE, output),
        base_chain("prerouting", InetHookNumber::PreRouting, FIRST, prerouting),
    ]
}

/// Packets that the rules with this reason among `rules` have dropped.
pub(super) fn packets(fence: &Fence, rules: &[Counted], why: Dropped) -> u64 {
    let wanted = dropping(fence, why);
    let found = rules.iter().filter(|counted| wanted.contains(&counted.rule));
    found.map(|counted| counted.packets).sum()
}

fn base_chain(name: &str, hook: InetHookNumber, priority: i32, rules: Vec<Rule>) -> Chain {
    Chain {
        name: name.to_owned(),
        hook: vec![Hook::Number(hook.into()), Hook::Priority(priority.cast_unsigned())],
        policy: Some(ACCEPT),
        kind: Some("filter".to_owned()),
        rules,
    }
}

/// The rules that drop for this reason, with attributes in the order in which the kernel sends them.
fn dropping(fence: &Fence, why: Dropped) -> Vec<Rule> {
    let conditions = match why {
        // `iifname "<interface>" meta mark & <passed> != <passed>`; in a VRF later hooks see the
        // VRF's name.
        Dropped::FromPeers => {
            vec![[is_interface(MetaKey::Iifname, fence), is_unmarked(fence)].concat()]
        }
        // `oifname "<interface>" meta mark & <passed> != <passed>`
        Dropped::ToPeers => {
            vec![[is_interface(MetaKey::Oifname, fence), is_unmarked(fence)].concat()]
        }
        // `udp dport <port> ip saddr <network>`
        Dropped::OverlaySource => {
            let rule = |net| [is_udp(DESTINATION_PORT, fence.port), is_from(net)].concat();
            fence.overlay.iter().map(rule).collect()
        }
        // `oifname "<interface>" udp sport <port>`
        Dropped::OwnTunnel => {
            let is_message = is_udp(SOURCE_PORT, fence.port);
            vec![[is_interface(MetaKey::Oifname, fence), is_message].concat()]
        }
    };
    let drops = |mut rule: Rule| {
        rule.extend([counter(), verdict(DROP)]);
        rule
    };
    conditions.into_iter().map(drops).collect()
}

/// `oifname "<interface>" ct direction reply ct status dnat meta mark set meta mark | <answer> counter
/// accept`: the answers of a published port to a peer.
fn accept_answers(fence: &Fence) -> Rule {
    let answer = fence.marks.answer;
    let mut rule = is_interface(MetaKey::Oifname, fence);
    rule.extend([track(CT_DIRECTION), compare(Operator::Equal, vec![REPLY])]);
    rule.extend(track_has(CT_STATUS, DESTINATION_TRANSLATED));
    rule.extend([load(MetaKey::Mark), bits(!answer, answer)]);
    rule.push(Expressions::Meta(vec![
        Meta::Key(MetaKey::Mark),
        Meta::SourceRegister(Register::Reg1),
    ]));
    rule.extend([counter(), verdict(ACCEPT)]);
    rule
}

/// `oifname "<interface>" ct state established,related counter accept`.
fn accept_replies(fence: &Fence) -> Rule {
    let mut rule = is_interface(MetaKey::Oifname, fence);
    rule.extend(track_has(CT_STATE, ESTABLISHED_OR_RELATED));
    rule.extend([counter(), verdict(ACCEPT)]);
    rule
}

fn is_interface(key: MetaKey, fence: &Fence) -> Rule {
    vec![load(key), compare(Operator::Equal, name(fence))]
}

fn name(fence: &Fence) -> Vec<u8> {
    let mut name = fence.interface.as_str().as_bytes().to_vec();
    name.resize(NAME_FIELD_LEN, 0);
    name
}

/// Matches if a bit of the mark is missing. In the register a mark is in the host's byte order.
fn is_unmarked(fence: &Fence) -> Rule {
    let passed = fence.marks.passed;
    vec![load(MetaKey::Mark), bits(passed, 0), compare(Operator::NotEqual, bytes(passed))]
}

fn is_udp(offset: u32, port: u16) -> Rule {
    vec![
        load(MetaKey::L4Proto),
        compare(Operator::Equal, vec![UDP]),
        field(TRANSPORT_HEADER, offset, 2),
        compare(Operator::Equal, port.to_be_bytes().to_vec()),
    ]
}

fn is_from(net: &IpNet) -> Rule {
    let (protocol, offset, network, mask) = match net {
        IpNet::V4(net) => {
            (IPV4, SOURCE_V4, net.network().octets().to_vec(), net.netmask().octets().to_vec())
        }
        IpNet::V6(net) => {
            (IPV6, SOURCE_V6, net.network().octets().to_vec(), net.netmask().octets().to_vec())
        }
    };
    let len = if protocol == IPV4 { 4 } else { 16 };
    let zeros = vec![0; network.len()];
    vec![
        load(MetaKey::Nfproto),
        compare(Operator::Equal, vec![protocol]),
        field(NETWORK_HEADER, offset, len),
        masked(len, mask, zeros),
        compare(Operator::Equal, network),
    ]
}

/// The transaction. Its first two requests remove the table whether or not it exists: creating an
/// existing one is no error, deleting a missing one is.
pub(super) fn requests(table: &str, chains: Vec<Chain>) -> Vec<Request> {
    let mut requests = vec![new_table(table), delete_table(table), new_table(table)];
    for chain in chains {
        requests.push(new_chain(table, &chain));
        requests.extend(chain.rules.into_iter().map(|rule| new_rule(table, &chain.name, rule)));
    }
    requests
}

fn new_table(table: &str) -> Request {
    let attributes = vec![TableAttribute::Name(table.to_owned())];
    let message = NfTablesMessage::NewTable(TableMessage { attributes });
    Request { name: "NFT_MSG_NEWTABLE", flags: NLM_F_CREATE, message }
}

pub(super) fn delete_table(table: &str) -> Request {
    let attributes = vec![TableAttribute::Name(table.to_owned())];
    let message = NfTablesMessage::DeleteTable(TableMessage { attributes });
    Request { name: "NFT_MSG_DELTABLE", flags: 0, message }
}

fn new_chain(table: &str, chain: &Chain) -> Request {
    let mut attributes = vec![
        ChainAttribute::Table(table.to_owned()),
        ChainAttribute::Name(chain.name.clone()),
        ChainAttribute::Hook(chain.hook.clone()),
    ];
    attributes.extend(chain.policy.map(ChainAttribute::Policy));
    attributes.extend(chain.kind.clone().map(ChainAttribute::Type));
    let message = NfTablesMessage::NewChain(ChainMessage { attributes });
    Request { name: "NFT_MSG_NEWCHAIN", flags: NLM_F_CREATE, message }
}

fn new_rule(table: &str, chain: &str, rule: Vec<Expressions>) -> Request {
    let attributes = vec![
        RuleAttribute::Table(table.to_owned()),
        RuleAttribute::Chain(chain.to_owned()),
        RuleAttribute::Expressions(rule.into_iter().map(ListAttribute::from).collect()),
    ];
    let message = NfTablesMessage::NewRule(RuleMessage { attributes });
    Request { name: "NFT_MSG_NEWRULE", flags: NLM_F_CREATE | NLM_F_APPEND, message }
}

/// Whether the table is not dormant.
pub(super) fn is_plain(attributes: &[TableAttribute]) -> bool {
    attributes.iter().all(|attribute| match attribute {
        TableAttribute::Flags(flags) => flags.bits() == 0,
        _ => true,
    })
}

pub(super) fn chain(attributes: Vec<ChainAttribute>) -> Chain {
    let mut chain = Chain::default();
    for attribute in attributes {
        match attribute {
            ChainAttribute::Name(name) => chain.name = name,
            ChainAttribute::Hook(hook) => chain.hook = hook,
            ChainAttribute::Policy(policy) => chain.policy = Some(policy),
            ChainAttribute::Type(kind) => chain.kind = Some(kind),
            _ => {}
        }
    }
    chain
}

pub(super) fn rule(attributes: Vec<RuleAttribute>) -> Counted {
    let mut read = Counted { chain: String::new(), rule: Vec::new(), packets: 0 };
    for attribute in attributes {
        match attribute {
            RuleAttribute::Chain(chain) => read.chain = chain,
            RuleAttribute::Expressions(list) => {
                for expression in list.into_iter().filter_map(expression) {
                    match counted(&expression) {
                        Some(packets) => {
                            read.packets += packets;
                            read.rule.push(counter());
                        }
                        None => read.rule.push(expression),
                    }
                }
            }
            _ => {}
        }
    }
    read
}

/// The chains that were read, with their rules, sorted by name.
pub(super) fn filled(mut chains: Vec<Chain>, rules: Vec<Counted>) -> Vec<Chain> {
    for Counted { chain, rule, packets: _ } in rules {
        if let Some(found) = chains.iter_mut().find(|found| found.name == chain) {
            found.rules.push(rule);
        }
    }
    chains.sort_by(|one, other| one.name.cmp(&other.name));
    chains
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::DefaultNla;

    use super::{
        super::{
            Marks,
            expression::{COUNTER_PACKETS, other},
        },
        *,
    };

    const MARKS: Marks = Marks { passed: 0x1000_1000, answer: 0x3000_1000 };

    #[test]
    fn the_transaction_removes_the_table_and_creates_three_chains_with_their_rules() {
        let names: Vec<&str> =
            requests("relay_relay0", chains(&fence())).iter().map(|r| r.name).collect();
        let (chain, rule) = ("NFT_MSG_NEWCHAIN", "NFT_MSG_NEWRULE");
        let clear = ["NFT_MSG_NEWTABLE", "NFT_MSG_DELTABLE", "NFT_MSG_NEWTABLE"];
        assert_eq!(
            names,
            [&clear[..], &[chain, rule, chain, rule, chain, rule, rule, rule]].concat()
        );
    }

    #[test]
    fn a_rule_compares_the_whole_name_field_and_our_bits_of_the_mark_in_host_order() {
        let rule = dropping(&fence(), Dropped::FromPeers).remove(0);
        assert_eq!(rule[1], compare(Operator::Equal, b"relay0\0\0\0\0\0\0\0\0\0\0".to_vec()));
        assert_eq!(rule[3], bits(MARKS.passed, 0));
        assert_eq!(rule[4], compare(Operator::NotEqual, MARKS.passed.to_ne_bytes().to_vec()));
    }

    #[test]
    fn answers_are_accepted_before_the_rule_that_drops() {
        let wanted = Fence { publishes: true, replies: true, ..fence() };
        let [forward, ..] = &chains(&wanted)[..] else { panic!("a chain") };
        let drop = dropping(&wanted, Dropped::ToPeers).remove(0);
        assert_eq!(forward.rules, [accept_answers(&wanted), accept_replies(&wanted), drop]);
        assert_eq!(chains(&wanted)[1..], chains(&fence())[1..]);
    }

    #[test]
    fn a_rule_read_back_equals_the_one_sent_apart_from_its_count() {
        let sent = dropping(&fence(), Dropped::ToPeers).remove(0);
        let mut back = sent.clone();
        back[5] =
            other("counter", vec![DefaultNla::new(COUNTER_PACKETS, vec![0, 0, 0, 0, 0, 0, 0, 9])]);
        let list = back.into_iter().map(ListAttribute::from).collect();
        let read = rule(vec![
            RuleAttribute::Chain("forward".to_owned()),
            RuleAttribute::Expressions(list),
        ]);
        assert_eq!(packets(&fence(), std::slice::from_ref(&read), Dropped::ToPeers), 9);
        assert_eq!(packets(&fence(), std::slice::from_ref(&read), Dropped::FromPeers), 0);
        let empty = base_chain("forward", InetHookNumber::Forward, MANGLE, Vec::new());
        assert_eq!(filled(vec![empty], vec![read])[0].rules, [sent]);
    }

    fn fence() -> Fence {
        Fence {
            interface: "relay0".parse().expect("a name"),
            port: 51820,
            overlay: ["10.3.2.0/24", "fd00::3:2:0/120"].map(|net| net.parse().expect("it")).into(),
            marks: MARKS,
            publishes: false,
            replies: false,
        }
    }
}
