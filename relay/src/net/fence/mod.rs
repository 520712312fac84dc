//! The netfilter table that fails closed where the policy's own programs are gone.
//!
//! `inet relay_<interface>` drops what comes in from the interface, or is forwarded from or to it,
//! without the mark that the programs set. It matches the interface by name, so it holds before the
//! interface exists and after it was created anew, and it covers IPv4 and IPv6 alike. The table has
//! no owner: it outlives whoever made it.

mod fenced;
mod nfnetlink;

pub use fenced::fenced;

use netlink_packet_netfilter::nftables::{
    Bitwise, ChainAttribute, ChainMessage, Cmp, DataAttribute, ExpressionAttribute, Expressions,
    Hook, Immediate, InetHookNumber, ListAttribute, Meta, MetaKey, NfTablesMessage, Operator,
    Register, RuleAttribute, RuleMessage, TableAttribute, TableMessage, Verdict, VerdictAttribute,
};
use nfnetlink::Request;
use rtnetlink::packet_core::{DefaultNla, NLM_F_APPEND, NLM_F_CREATE};

use super::NetError;
use crate::model::InterfaceName;

/// Priority of both chains: NF_IP_PRI_MANGLE, ahead of every filter chain of the host.
const PRIORITY: i32 = -150;

/// NF_ACCEPT and NF_DROP of linux/netfilter.h.
const ACCEPT: u32 = 1;
const DROP: Verdict = Verdict::Other(0);

/// NFTA_CT_DREG, NFTA_CT_KEY and NFT_CT_STATE of linux/netfilter/nf_tables.h.
const CT_DESTINATION_REGISTER: u16 = 1;
const CT_KEY: u16 = 2;
const CT_STATE: u32 = 0;

/// NF_CT_STATE_BIT of IP_CT_ESTABLISHED and IP_CT_RELATED
/// (linux/netfilter/nf_conntrack_common.h).
const ESTABLISHED_OR_RELATED: u32 = 1 << 1 | 1 << 2;

/// NFT_BITWISE_MASK_XOR of linux/netfilter/nf_tables.h.
const MASK_XOR: u32 = 0;

/// IFNAMSIZ: the kernel compares the whole field.
const NAME_FIELD_LEN: usize = 16;

/// Whether what comes back from beyond the overlay may be forwarded to the interface. No program
/// sets a mark on it: it enters by another interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replies {
    /// It may not.
    Refused,
    /// It may when connection tracking knows the flow. Packets that peers send are dropped without
    /// the mark before that is looked at.
    Established,
}

/// How the fence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceState {
    /// There is no such table.
    Absent,
    /// It is what [`put_up`] makes.
    Intact,
    /// There is a table of that name with other contents, or a dormant one.
    Different,
}

/// Name of the table of an interface, in the family `inet`.
pub fn table_name(interface: &InterfaceName) -> String {
    format!("relay_{interface}")
}

/// Compares the table in the kernel with the one that [`put_up`] makes for this mark and these
/// replies. Counters do not count.
///
/// # Errors
/// The kernel has no nf_tables, the caller may not.
pub fn present(
    interface: &InterfaceName,
    mark: u32,
    replies: Replies,
) -> Result<FenceState, NetError> {
    let table = table_name(interface);
    let Some(attributes) = nfnetlink::table(&table)? else {
        return Ok(FenceState::Absent);
    };
    let plain = attributes.iter().all(|attribute| match attribute {
        TableAttribute::Flags(flags) => flags.bits() == 0,
        _ => true,
    });
    let mut found: Vec<Chain> = nfnetlink::chains(&table)?.into_iter().map(chain).collect();
    for rule in nfnetlink::rules(&table)? {
        add_rule(&mut found, rule);
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    if plain && found == chains(interface, mark, replies) {
        Ok(FenceState::Intact)
    } else {
        Ok(FenceState::Different)
    }
}

/// Puts up the fence in one transaction, in the place of any table of that name; packets see the
/// old one or the new one. Counters begin at zero.
///
/// # Errors
/// The kernel has no nf_tables, or for [`Replies::Established`] no connection tracking; the caller
/// may not.
pub fn put_up(interface: &InterfaceName, mark: u32, replies: Replies) -> Result<(), NetError> {
    let table = table_name(interface);
    nfnetlink::transact(&table, requests(interface, mark, replies))
}

/// Takes the fence down. Whether there was one.
///
/// # Errors
/// The kernel has no nf_tables, the caller may not.
pub fn take_down(interface: &InterfaceName) -> Result<bool, NetError> {
    let table = table_name(interface);
    match nfnetlink::transact(&table, vec![delete_table(&table)]) {
        Err(error) if error.os_error() == Some(libc::ENOENT) => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

/// One chain of the fence, as it is sent and as it is read back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Chain {
    name: String,
    /// Hook number, then priority.
    hook: Vec<Hook>,
    policy: Option<u32>,
    kind: Option<String>,
    rules: Vec<Vec<Expressions>>,
}

/// Sorted by name.
fn chains(interface: &InterfaceName, mark: u32, replies: Replies) -> [Chain; 2] {
    let from = || drop_unmarked(MetaKey::Iifname, interface, mark);
    let mut forward = vec![from()];
    if replies == Replies::Established {
        forward.push(accept_replies(interface));
    }
    forward.push(drop_unmarked(MetaKey::Oifname, interface, mark));
    [
        base_chain("forward", InetHookNumber::Forward, forward),
        base_chain("input", InetHookNumber::LocalIn, vec![from()]),
    ]
}

fn base_chain(name: &str, hook: InetHookNumber, rules: Vec<Vec<Expressions>>) -> Chain {
    Chain {
        name: name.to_owned(),
        hook: vec![Hook::Number(hook.into()), Hook::Priority(PRIORITY.cast_unsigned())],
        policy: Some(ACCEPT),
        kind: Some("filter".to_owned()),
        rules,
    }
}

/// `iifname "<interface>" meta mark != <mark> counter drop`. The attributes stand in the order in
/// which the kernel gives them back.
fn drop_unmarked(key: MetaKey, interface: &InterfaceName, mark: u32) -> Vec<Expressions> {
    let [load_name, compare_name] = is_interface(key, interface);
    vec![
        load_name,
        compare_name,
        load(MetaKey::Mark),
        // A mark is a number of the host's byte order in the register.
        compare(Operator::NotEqual, mark.to_ne_bytes().to_vec()),
        counter(),
        verdict(DROP),
    ]
}

/// `oifname "<interface>" ct state established,related counter accept`.
fn accept_replies(interface: &InterfaceName) -> Vec<Expressions> {
    let [load_name, compare_name] = is_interface(MetaKey::Oifname, interface);
    let state = vec![
        DefaultNla::new(CT_DESTINATION_REGISTER, u32::from(Register::Reg1).to_be_bytes().to_vec()),
        DefaultNla::new(CT_KEY, CT_STATE.to_be_bytes().to_vec()),
    ];
    let bytes = |number: u32| number.to_ne_bytes().to_vec();
    vec![
        load_name,
        compare_name,
        Expressions::Other { expression_type: "ct".to_owned(), attributes: state },
        Expressions::Bitwise(vec![
            Bitwise::SourceRegister(Register::Reg1),
            Bitwise::DestinationRegister(Register::Reg1),
            Bitwise::Length(4),
            Bitwise::Op(MASK_XOR),
            Bitwise::Mask(DataAttribute::Value(bytes(ESTABLISHED_OR_RELATED))),
            Bitwise::Xor(DataAttribute::Value(bytes(0))),
        ]),
        compare(Operator::NotEqual, bytes(0)),
        counter(),
        verdict(Verdict::Other(ACCEPT)),
    ]
}

fn is_interface(key: MetaKey, interface: &InterfaceName) -> [Expressions; 2] {
    let mut name = interface.as_str().as_bytes().to_vec();
    name.resize(NAME_FIELD_LEN, 0);
    [load(key), compare(Operator::Equal, name)]
}

fn verdict(code: Verdict) -> Expressions {
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Verdict),
        Immediate::Data(DataAttribute::Verdict(vec![VerdictAttribute::Code(code)])),
    ])
}

fn load(key: MetaKey) -> Expressions {
    Expressions::Meta(vec![Meta::Key(key), Meta::DestinationRegister(Register::Reg1)])
}

fn compare(operator: Operator, value: Vec<u8>) -> Expressions {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(Register::Reg1),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(value)),
    ])
}

fn counter() -> Expressions {
    Expressions::Other { expression_type: "counter".to_owned(), attributes: Vec::new() }
}

/// The transaction. Its first two requests clear the way whether or not the table exists: creating
/// one that exists is no error, deleting one that does not is.
fn requests(interface: &InterfaceName, mark: u32, replies: Replies) -> Vec<Request> {
    let table = table_name(interface);
    let mut requests = vec![new_table(&table), delete_table(&table), new_table(&table)];
    for chain in chains(interface, mark, replies) {
        requests.push(new_chain(&table, &chain));
        requests.extend(chain.rules.into_iter().map(|rule| new_rule(&table, &chain.name, rule)));
    }
    requests
}

fn new_table(table: &str) -> Request {
    let attributes = vec![TableAttribute::Name(table.to_owned())];
    let message = NfTablesMessage::NewTable(TableMessage { attributes });
    Request { name: "NFT_MSG_NEWTABLE", flags: NLM_F_CREATE, message }
}

fn delete_table(table: &str) -> Request {
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

fn chain(attributes: Vec<ChainAttribute>) -> Chain {
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

fn add_rule(chains: &mut [Chain], attributes: Vec<RuleAttribute>) {
    let mut name = None;
    let mut expressions = Vec::new();
    for attribute in attributes {
        match attribute {
            RuleAttribute::Chain(chain) => name = Some(chain),
            RuleAttribute::Expressions(list) => {
                expressions = list.into_iter().flat_map(without_counts).collect();
            }
            _ => {}
        }
    }
    if let Some(chain) = chains.iter_mut().find(|chain| Some(&chain.name) == name.as_ref()) {
        chain.rules.push(expressions);
    }
}

fn without_counts(element: ListAttribute<ExpressionAttribute>) -> Option<Expressions> {
    let ListAttribute::Element(attributes) = element else {
        return None;
    };
    let expression = attributes.into_iter().find_map(|attribute| match attribute {
        ExpressionAttribute::Data(expression) => Some(expression),
        _ => None,
    });
    match expression {
        Some(Expressions::Other { expression_type, .. }) if expression_type == "counter" => {
            Some(counter())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: u32 = 0x7265_6c79;

    #[test]
    fn the_transaction_clears_the_way_and_then_makes_two_chains_with_three_rules() {
        let names: Vec<&str> =
            requests(&relay0(), MARK, Replies::Refused).iter().map(|r| r.name).collect();
        assert_eq!(
            names,
            [
                "NFT_MSG_NEWTABLE",
                "NFT_MSG_DELTABLE",
                "NFT_MSG_NEWTABLE",
                "NFT_MSG_NEWCHAIN",
                "NFT_MSG_NEWRULE",
                "NFT_MSG_NEWRULE",
                "NFT_MSG_NEWCHAIN",
                "NFT_MSG_NEWRULE",
            ]
        );
    }

    #[test]
    fn a_rule_compares_the_whole_name_field_and_the_mark_in_host_order() {
        let rule = drop_unmarked(MetaKey::Iifname, &relay0(), MARK);
        assert_eq!(rule[1], compare(Operator::Equal, b"relay0\0\0\0\0\0\0\0\0\0\0".to_vec()));
        assert_eq!(rule[3], compare(Operator::NotEqual, MARK.to_ne_bytes().to_vec()));
    }

    #[test]
    fn replies_pass_only_behind_the_rule_for_what_peers_send() {
        let [forward, input] = chains(&relay0(), MARK, Replies::Established);
        assert_eq!(
            forward.rules,
            [
                drop_unmarked(MetaKey::Iifname, &relay0(), MARK),
                accept_replies(&relay0()),
                drop_unmarked(MetaKey::Oifname, &relay0(), MARK),
            ]
        );
        assert_eq!(input, chains(&relay0(), MARK, Replies::Refused)[1]);
    }

    #[test]
    fn a_rule_read_back_with_counts_equals_the_one_sent() {
        let mut rule = drop_unmarked(MetaKey::Oifname, &relay0(), MARK);
        rule[4] = Expressions::Other {
            expression_type: "counter".to_owned(),
            attributes: vec![DefaultNla::new(1, vec![0, 0, 0, 0, 0, 0, 0, 9])],
        };
        let list = rule.into_iter().map(ListAttribute::from).collect();
        let mut found = vec![base_chain("forward", InetHookNumber::Forward, Vec::new())];
        let attributes =
            vec![RuleAttribute::Chain("forward".to_owned()), RuleAttribute::Expressions(list)];
        add_rule(&mut found, attributes);
        assert_eq!(found[0].rules, [drop_unmarked(MetaKey::Oifname, &relay0(), MARK)]);
    }

    fn relay0() -> InterfaceName {
        "relay0".parse().expect("a name")
    }
}
