//! The rules of the fence, as sent and as read back.

use ipnet::IpNet;

use super::{Dropped, Fence, table_name};
use crate::{
    model::InterfaceName,
    net::nftables::{
        Base, Chain, Expression, INET, IPV4, IPV6,
        build::{
            ACCEPT, CT_DIRECTION, CT_STATE, CT_STATUS, DROP, EQUAL, ESTABLISHED_OR_RELATED,
            FORWARD, META_FAMILY, META_INPUT_NAME, META_MARK, META_OUTPUT_NAME, META_PROTOCOL,
            NETWORK_HEADER, NOT_EQUAL, SOURCE_V4, TRANSPORT_HEADER, bits, bytes, compare, counted,
            counter, field, load, masked, store, track, track_has, verdict,
        },
    },
};

/// NF_INET_PRE_ROUTING and NF_INET_LOCAL_OUT of linux/netfilter.h.
const PRE_ROUTING: u32 = 0;
const LOCAL_OUT: u32 = 3;

/// NF_IP_PRI_MANGLE: before all filter chains of the host.
const MANGLE: i32 = -150;
/// Before NF_IP_PRI_CONNTRACK_DEFRAG, so that no chain of the host has changed a mark, and fragments
/// are not reassembled.
const FIRST: i32 = -450;

/// IP_CT_DIR_REPLY and IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h.
const REPLY: u8 = 1;
const DESTINATION_TRANSLATED: u32 = 1 << 5;

const UDP: u8 = 17;
/// Offset of the source address in a header of IPv6.
const SOURCE_V6: u32 = 8;
/// Offsets of the ports in a UDP header.
const SOURCE_PORT: u32 = 0;
const DESTINATION_PORT: u32 = 2;

/// IFNAMSIZ: the kernel compares the whole field.
const NAME_FIELD_LEN: usize = 16;

type Rule = Vec<Expression>;

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
    let chain = |name: &str, hook, priority, rules| Chain {
        family: INET,
        table: table_name(&fence.interface),
        name: name.to_owned(),
        base: Some(Base { hook, priority, kind: "filter".to_owned(), policy: ACCEPT }),
        rules,
    };
    vec![
        chain("forward", FORWARD, MANGLE, forward),
        chain("output", LOCAL_OUT, MANGLE, output),
        chain("prerouting", PRE_ROUTING, FIRST, prerouting),
    ]
}

/// Packets that the rules with this reason have dropped.
pub(super) fn packets(fence: &Fence, chains: &[Chain], why: Dropped) -> u64 {
    let wanted = dropping(fence, why);
    let rules = chains.iter().flat_map(|chain| &chain.rules);
    let found = rules.filter(|rule| wanted.contains(&uncounted(rule)));
    found.flatten().filter_map(counted).sum()
}

/// The chains as they are sent: sorted by name, and without the counts of their rules.
pub(super) fn plain(mut chains: Vec<Chain>) -> Vec<Chain> {
    for rule in chains.iter_mut().flat_map(|chain| &mut chain.rules) {
        *rule = uncounted(rule);
    }
    chains.sort_by(|one, other| one.name.cmp(&other.name));
    chains
}

fn uncounted(rule: &Rule) -> Rule {
    let plain = |step: &Expression| counted(step).map_or_else(|| step.clone(), |_| counter());
    rule.iter().map(plain).collect()
}

/// The rules that drop for this reason.
fn dropping(fence: &Fence, why: Dropped) -> Vec<Rule> {
    let conditions = match why {
        // `iifname "<interface>" meta mark & <passed> != <passed>`; in a VRF later hooks see the
        // VRF's name.
        Dropped::FromPeers => unmarked(META_INPUT_NAME, fence),
        // `oifname "<interface>" meta mark & <passed> != <passed>`
        Dropped::ToPeers => unmarked(META_OUTPUT_NAME, fence),
        // `udp dport <port> ip saddr <network>`
        Dropped::OverlaySource => {
            let rule = |net| [is_udp(DESTINATION_PORT, fence.port), is_from(net)].concat();
            fence.overlay.iter().map(rule).collect()
        }
        // `oifname "<interface>" udp sport <port>`
        Dropped::OwnTunnel => {
            let is_message = is_udp(SOURCE_PORT, fence.port);
            vec![[is_interface(META_OUTPUT_NAME, fence), is_message].concat()]
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
    let mut rule = is_interface(META_OUTPUT_NAME, fence);
    rule.extend([track(CT_DIRECTION), compare(EQUAL, &[REPLY])]);
    rule.extend(track_has(CT_STATUS, DESTINATION_TRANSLATED));
    rule.extend([load(META_MARK), bits(!answer, answer), store(META_MARK)]);
    rule.extend([counter(), verdict(ACCEPT)]);
    rule
}

/// `oifname "<interface>" ct state established,related counter accept`.
fn accept_replies(fence: &Fence) -> Rule {
    let mut rule = is_interface(META_OUTPUT_NAME, fence);
    rule.extend(track_has(CT_STATE, ESTABLISHED_OR_RELATED));
    rule.extend([counter(), verdict(ACCEPT)]);
    rule
}

/// Without a mark, on the relay's interface and on each transit interface.
fn unmarked(key: u32, fence: &Fence) -> Vec<Rule> {
    let interfaces = std::iter::once(&fence.interface).chain(&fence.transit);
    interfaces.map(|interface| [is_named(key, interface), is_unmarked(fence)].concat()).collect()
}

fn is_interface(key: u32, fence: &Fence) -> Rule {
    is_named(key, &fence.interface)
}

fn is_named(key: u32, interface: &InterfaceName) -> Rule {
    let mut name = interface.as_str().as_bytes().to_vec();
    name.resize(NAME_FIELD_LEN, 0);
    vec![load(key), compare(EQUAL, &name)]
}

/// Matches if a bit of the mark is missing. In the register a mark is in the host's byte order.
fn is_unmarked(fence: &Fence) -> Rule {
    let passed = fence.marks.passed;
    vec![load(META_MARK), bits(passed, 0), compare(NOT_EQUAL, &bytes(passed))]
}

fn is_udp(offset: u32, port: u16) -> Rule {
    vec![
        load(META_PROTOCOL),
        compare(EQUAL, &[UDP]),
        field(TRANSPORT_HEADER, offset, 2),
        compare(EQUAL, &port.to_be_bytes()),
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
        load(META_FAMILY),
        compare(EQUAL, &[protocol]),
        field(NETWORK_HEADER, offset, len),
        masked(len, &mask, &zeros),
        compare(EQUAL, &network),
    ]
}

#[cfg(test)]
mod tests {
    use super::{super::Marks, *};
    use crate::net::{attribute::attribute, nftables::build::COUNTER_PACKETS};

    const MARKS: Marks = Marks { passed: 0x1000_1000, answer: 0x3000_1000 };

    #[test]
    fn each_reason_has_its_rules_in_the_chain_of_its_hook() {
        let rules = chains(&fence()).iter().map(|chain| chain.rules.len()).collect::<Vec<_>>();
        assert_eq!(rules, [1, 1, 3]);
    }

    #[test]
    fn a_rule_compares_the_whole_name_field_and_our_bits_of_the_mark_in_host_order() {
        let rule = dropping(&fence(), Dropped::FromPeers).remove(0);
        assert_eq!(rule[1], compare(EQUAL, b"relay0\0\0\0\0\0\0\0\0\0\0"));
        assert_eq!(rule[3], bits(MARKS.passed, 0));
        assert_eq!(rule[4], compare(NOT_EQUAL, &MARKS.passed.to_ne_bytes()));
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
    fn chains_read_back_equal_those_sent_apart_from_order_and_counts() {
        let sent = chains(&fence());
        let mut read = sent.clone();
        read.reverse();
        let count =
            [attribute(1, 540u64.to_be_bytes()), attribute(COUNTER_PACKETS, 9u64.to_be_bytes())];
        let forward = read.iter_mut().find(|chain| chain.name == "forward").expect("a chain");
        forward.rules[0][5] = Expression::new("counter", &count);
        assert_eq!(packets(&fence(), &read, Dropped::ToPeers), 9);
        assert_eq!(packets(&fence(), &read, Dropped::FromPeers), 0);
        assert_eq!(plain(read), sent);
    }

    #[test]
    fn transit_interfaces_are_fenced_as_the_relays_own() {
        let transit = ["relay0-fra1", "relay0-fra2"].map(|name| name.parse().expect("a name"));
        let fence = Fence { transit: transit.into(), ..fence() };
        let drops = |hook: &str| {
            let chains = chains(&fence);
            let chain = chains.iter().find(|chain| chain.name == hook).expect("a chain");
            let of = |interface: &InterfaceName| {
                let named = is_named(META_INPUT_NAME, interface);
                let also = is_named(META_OUTPUT_NAME, interface);
                let is_its = |rule: &&Rule| rule.starts_with(&named) || rule.starts_with(&also);
                chain.rules.iter().filter(is_its).count()
            };
            fence.transit.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!((drops("prerouting"), drops("forward")), (vec![1, 1], vec![1, 1]));
    }

    fn fence() -> Fence {
        Fence {
            interface: "relay0".parse().expect("a name"),
            transit: Vec::new(),
            port: 51820,
            overlay: ["10.3.2.0/24", "fd00::3:2:0/120"].map(|net| net.parse().expect("it")).into(),
            marks: MARKS,
            publishes: false,
            replies: false,
        }
    }
}
