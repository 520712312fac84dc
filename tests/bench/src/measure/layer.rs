//! Ways to forward and filter packets between peers, installed in a network namespace.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    programs::{SchedClassifier, TcAttachType, tc},
};
use relay::{
    datapath::{Direction, Loaded},
    net::fence::{self, Fence, Marks},
    policy::Compiled,
};
use relay_common::names::{ANSWER, PAIR_STATS, PASSED};

use super::{
    fleet::{Fleet, Shape},
    program::{self, Program},
};
use relay_tests::{Family, Namespace, bpffs::Bpffs};

/// The interface of peers' packets, in and out.
pub const INTERFACE: &str = "relay0";

/// The measured pair, whose rule is in the middle of linear rule lists.
pub const ACTIVE: u32 = 4;

/// The number of peers for layers without a policy.
pub const FEWEST: u32 = 10;

/// A way to forward or filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// A program on ingress that only calls `bpf_redirect`: the lower bound.
    Redirect,
    /// The same with an egress program that passes everything: the lower bound with both hooks.
    RedirectHooked,
    /// This relay.
    Relay,
    /// This relay with `pair_stats = true`.
    RelayPairs,
    /// This relay with `fast_path = false`: the host's stack forwards.
    RelaySlowPath,
    /// The host's stack without a policy.
    Forward,
    /// nftables: one set of pairs of addresses, each with a counter.
    NftSet,
    /// The same after `ct state established,related accept`.
    NftConntrack,
    /// iptables: a rule for each pair.
    Iptables,
    /// The tables of Firezone 0.7: sets, a chain and a jump for each user.
    Firezone,
}

/// An installed layer. Dropping it removes its programs.
#[derive(Debug)]
pub enum Standing {
    /// Tables of the namespace, or nothing.
    Tables,
    /// Programs of the bench.
    Bench(Vec<Ebpf>),
    /// The relay's programs.
    Relay(Box<Loaded>),
    /// Those of a trial, which are pinned.
    Trial(Bpffs),
}

impl Layer {
    /// Cheapest first.
    pub const ALL: [Self; 10] = [
        Self::Redirect,
        Self::RedirectHooked,
        Self::Relay,
        Self::RelayPairs,
        Self::RelaySlowPath,
        Self::Forward,
        Self::NftSet,
        Self::NftConntrack,
        Self::Iptables,
        Self::Firezone,
    ];

    /// Its name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redirect => "redirect",
            Self::RedirectHooked => "redirect-hooked",
            Self::Relay => "relay",
            Self::RelayPairs => "relay-pairs",
            Self::RelaySlowPath => "relay-slow-path",
            Self::Forward => "forward",
            Self::NftSet => "nft-set",
            Self::NftConntrack => "nft-conntrack",
            Self::Iptables => "iptables",
            Self::Firezone => "firezone",
        }
    }

    /// Why it is not measured with this number of peers, if so.
    pub const fn excuse(self, peers: u32) -> Option<&'static str> {
        let ignores_peers = matches!(self, Self::Redirect | Self::RedirectHooked | Self::Forward);
        if ignores_peers && peers != FEWEST {
            Some("does not know peers")
        } else if matches!(self, Self::Iptables) && peers > 10_000 {
            Some("a packet meets half as many rules as there are peers")
        } else if matches!(self, Self::Firezone) && peers > 1_000 {
            Some("six sets, a chain and six rules a user take minutes to load")
        } else {
            None
        }
    }

    /// Installs it for this number of peers, which may talk in pairs.
    pub fn put_up(self, namespace: &Namespace, peers: u32) -> Result<Standing> {
        let fleet = Fleet { peers, shape: Shape::Pairs };
        match self {
            Self::Forward => {}
            Self::Redirect | Self::RedirectHooked => {
                let mut programs = vec![Program::redirect().classifier()?];
                attach(
                    namespace,
                    INTERFACE,
                    program::only(&mut programs[0])?,
                    TcAttachType::Ingress,
                )?;
                if self == Self::RedirectHooked {
                    let mut pass = Program::pass().classifier()?;
                    attach(namespace, INTERFACE, program::only(&mut pass)?, TcAttachType::Egress)?;
                    programs.push(pass);
                }
                return Ok(Standing::Bench(programs));
            }
            Self::Relay | Self::RelayPairs | Self::RelaySlowPath => {
                let (mut compiled, slots) = fleet.compile(self != Self::RelaySlowPath)?;
                if self == Self::RelayPairs {
                    compiled.features |= PAIR_STATS;
                }
                return relay(namespace, &compiled, Loaded::load(&compiled, 1, None, slots)?);
            }
            Self::NftSet => namespace.feed("nft", &["-f", "-"], &pair_sets(peers, ""))?,
            Self::NftConntrack => {
                let first = "ct state established,related accept\n";
                namespace.feed("nft", &["-f", "-"], &pair_sets(peers, first))?;
            }
            Self::Iptables => {
                for family in Family::ALL {
                    namespace.feed(restore(family), &[], &pair_rules(peers, family))?;
                }
            }
            Self::Firezone => namespace.feed("nft", &["-f", "-"], &user_chains(peers))?,
        }
        Ok(Standing::Tables)
    }
}

/// Attaches the programs of a policy, and puts up the fence.
pub(super) fn relay(
    namespace: &Namespace,
    compiled: &Compiled,
    mut loaded: Loaded,
) -> Result<Standing> {
    for (direction, hook) in
        [(Direction::Ingress, TcAttachType::Ingress), (Direction::Egress, TcAttachType::Egress)]
    {
        attach(namespace, INTERFACE, loaded.program(direction)?, hook)?;
    }
    fence(namespace, compiled)?;
    Ok(Standing::Relay(Box::new(loaded)))
}

/// Puts up the fence of a policy.
pub(super) fn fence(namespace: &Namespace, compiled: &Compiled) -> Result<()> {
    let fence = Fence {
        interface: INTERFACE.parse()?,
        transit: Vec::new(),
        port: compiled.listen_port,
        overlay: Fleet::overlay().into(),
        marks: Marks { passed: PASSED, answer: ANSWER },
        publishes: false,
        replies: false,
    };
    Ok(namespace.enter(|| fence::put_up(&fence))??)
}

/// Attaches a program to an interface, by TCX if the kernel has it, which needs no qdisc.
pub fn attach(
    namespace: &Namespace,
    interface: &str,
    program: &mut SchedClassifier,
    direction: TcAttachType,
) -> Result<()> {
    let attached = namespace.enter(|| {
        program.attach(interface, direction).or_else(|_no_qdisc| {
            // The other direction has added it.
            drop(tc::qdisc_add_clsact(interface));
            program.attach(interface, direction)
        })
    })?;
    attached.map(drop).with_context(|| format!("attach to {interface}"))
}

/// All pairs in both directions, the measured one in the middle.
fn pairs(peers: u32) -> impl Iterator<Item = (u32, u32)> {
    let middle = peers / 2;
    (0..peers).map(move |place| {
        let peer = (place + peers - middle + ACTIVE) % peers;
        (peer, Fleet::partner(peer))
    })
}

fn pair_sets(peers: u32, first: &str) -> String {
    let mut rules = String::new();
    for (table, kind) in [("ip", "ipv4_addr"), ("ip6", "ipv6_addr")] {
        rules += &format!(
            "table {table} bench {{\n set pairs {{ type {kind} . {kind}; counter; elements = {{ "
        );
        for (from, to) in pairs(peers) {
            let text = if table == "ip" {
                format!("{} . {}, ", Fleet::v4(from), Fleet::v4(to))
            } else {
                format!("{} . {}, ", Fleet::v6(from), Fleet::v6(to))
            };
            rules += &text;
        }
        rules += &format!(
            "}} }}\n chain forward {{ type filter hook forward priority 0; policy drop;\n {first}\
             {table} saddr . {table} daddr @pairs accept\n }}\n}}\n"
        );
    }
    rules
}

fn restore(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables-legacy-restore",
        Family::V6 => "ip6tables-legacy-restore",
    }
}

fn pair_rules(peers: u32, family: Family) -> String {
    let mut rules = "*filter\n:INPUT ACCEPT\n:FORWARD DROP\n:OUTPUT ACCEPT\n".to_owned();
    for (from, to) in pairs(peers) {
        let written = match family {
            Family::V4 => {
                writeln!(rules, "-A FORWARD -s {} -d {} -j ACCEPT", Fleet::v4(from), Fleet::v4(to))
            }
            Family::V6 => {
                writeln!(rules, "-A FORWARD -s {} -d {} -j ACCEPT", Fleet::v6(from), Fleet::v6(to))
            }
        };
        debug_assert!(written.is_ok(), "a String takes everything");
    }
    rules + "COMMIT\n"
}

/// As in apps/fz_wall/lib/fz_wall/cli/helpers/nft.ex and sets.ex of Firezone 0.7, without rules for
/// ports. Each user has two sets of devices, a set per action and family, and a chain with a rule
/// for each of these; the forward chain jumps there from a rule per user and family, newest first.
/// The NAT chain is always present.
fn user_chains(users: u32) -> String {
    let mut sets = String::new();
    let mut jumps = String::new();
    let mut chains = String::new();
    for (peer, other) in pairs(users) {
        let user = format!("user{peer}_");
        let (v4, v6) = (Fleet::v4(other).to_string(), Fleet::v6(other).to_string());
        let rules = filters(&user, [&v6, &v4], &mut sets);
        chains += &format!("chain {user}chain {{\n{rules}}}\n");
        for (family, kind, address) in [
            ("ip6", "ipv6_addr", Fleet::v6(peer).to_string()),
            ("ip", "ipv4_addr", Fleet::v4(peer).to_string()),
        ] {
            let devices = format!("{user}{family}_devices");
            sets += &interval_set(&devices, kind, &address);
            jumps += &format!("{family} saddr @{devices} jump {user}chain\n");
        }
    }
    let everybody = filters("", ["", ""], &mut sets);
    format!(
        "table inet firezone {{\n{sets}{chains}\
         chain forward {{ type filter hook forward priority 0; policy accept;\n\
         {jumps}{everybody}}}\n\
         chain postrouting {{ type nat hook postrouting priority 100;\n\
         oifname eth0 meta nfproto ipv4 masquerade persistent\n\
         oifname eth0 meta nfproto ipv6 masquerade persistent\n}}\n}}\n"
    )
}

/// The sets of destinations, and the rules that use them, newest first.
fn filters(user: &str, accepted: [&str; 2], sets: &mut String) -> String {
    let mut rules = String::new();
    for ((family, kind), accepted) in
        [("ip6", "ipv6_addr"), ("ip", "ipv4_addr")].into_iter().zip(accepted)
    {
        for (action, elements) in [("accept", accepted), ("drop", "")] {
            let set = format!("{user}{family}_{action}");
            *sets += &interval_set(&set, kind, elements);
            rules += &format!("{family} daddr @{set} meta iifname {INTERFACE} {action}\n");
        }
    }
    rules
}

fn interval_set(name: &str, kind: &str, elements: &str) -> String {
    let elements =
        if elements.is_empty() { String::new() } else { format!("elements = {{ {elements} }}") };
    format!("set {name} {{ type {kind}; flags interval; {elements} }}\n")
}
