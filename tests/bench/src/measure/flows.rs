//! Guest instructions of a flow's packets, in both directions: between two peers that lists or rules
//! let talk, and with nftables.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result};
use relay::{
    datapath::Loaded,
    model::{
        Limits, Mesh, MeshRelay, Period, PublicKey, Quota, Rate, Relay, Rule, Selector, Services,
        Transport,
    },
};

use super::{
    fleet::{Fleet, Shape, compiled},
    instructions::Bed,
    layer::{self, ACTIVE, Standing},
    trace::{Cost, Trace},
    trial,
};
use relay_tests::{Family, Namespace};

/// Numbers of rules that are compared.
pub const RULES: [u32; 2] = [1, 10_000];

/// Number of peers.
const PEERS: u32 = 10_000;

/// Destination port that the rule of the measured pair allows; the port of each other rule is another
/// one.
const PORT: u16 = 1024;

/// Number of packets in each direction.
const ROUND_TRIPS: usize = 100;

/// Bytes that the beginner sends at a time, and the other side: another number, which tells its
/// packets in the trace.
const PAYLOADS: [usize; 2] = [100, 101];

/// Time limit of the host's slowest answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What lets the measured pair talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The peers list each other; the rules beside are for others.
    Lists,
    /// The same while it is learnt what peers use.
    ListsLearnt,
    /// The same at a relay of a site, where both are at home.
    ListsMeshed,
    /// The same, and all other peers have rates.
    ListsBesideLimits,
    /// The same with rates of all peers.
    ListsWithRates,
    /// The same with rates and quotas of all peers.
    ListsWithQuotas,
    /// The same while an equal candidate is tried.
    ListsTried,
    /// One of the rules.
    Rule,
    /// The same with rates of all peers.
    RuleWithRates,
    /// The same while an equal candidate is tried.
    RuleTried,
    /// An nftables set of source, destination, protocol and port, after connection tracking.
    Nftables,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Lists,
        Self::ListsLearnt,
        Self::ListsMeshed,
        Self::ListsBesideLimits,
        Self::ListsWithRates,
        Self::ListsWithQuotas,
        Self::ListsTried,
        Self::Rule,
        Self::RuleWithRates,
        Self::RuleTried,
        Self::Nftables,
    ];

    /// Its name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lists => "lists",
            Self::ListsLearnt => "lists-learnt",
            Self::ListsMeshed => "lists-meshed",
            Self::ListsBesideLimits => "lists-beside-limits",
            Self::ListsWithRates => "lists-rates",
            Self::ListsWithQuotas => "lists-quotas",
            Self::ListsTried => "lists-tried",
            Self::Rule => "rule",
            Self::RuleWithRates => "rule-rates",
            Self::RuleTried => "rule-tried",
            Self::Nftables => "nftables",
        }
    }

    /// Limits of the measured peers, and of all others; no packet exceeds them.
    fn limits(self) -> [Limits; 2] {
        let none = Limits::default();
        let rates = Limits { rate_from: Some(Rate::MAX), rate_to: Some(Rate::MAX), ..none };
        let most = Quota { bytes: Quota::MOST, period: Period::Month };
        let quotas = Limits { quota: Some(most), ..rates };
        match self {
            Self::Lists
            | Self::ListsLearnt
            | Self::ListsMeshed
            | Self::ListsTried
            | Self::Rule
            | Self::RuleTried
            | Self::Nftables => [none; 2],
            Self::ListsBesideLimits => [none, rates],
            Self::ListsWithRates | Self::RuleWithRates => [rates; 2],
            Self::ListsWithQuotas => [quotas; 2],
        }
    }

    /// Whether it is measured beside so many rules: limits, learning, meshes and trials do not depend
    /// on their number.
    pub fn is_measured_beside(self, rules: u32) -> bool {
        let is_limited = self.limits().iter().any(Limits::exist);
        let is_other = matches!(self, Self::ListsLearnt | Self::ListsMeshed);
        !(is_limited || self.is_tried() || is_other) || rules == RULES[0]
    }

    const fn is_by_lists(self) -> bool {
        !matches!(self, Self::Rule | Self::RuleWithRates | Self::RuleTried | Self::Nftables)
    }

    const fn is_tried(self) -> bool {
        matches!(self, Self::ListsTried | Self::RuleTried)
    }
}

/// The packets of one side of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packets {
    /// IP version.
    pub family: Family,
    /// Protocol of the flow.
    pub transport: Transport,
    /// Whether they are those of the side that began it.
    pub of_beginner: bool,
}

/// Measures a way beside so many rules; without any, lists alone are in force.
pub fn measure(way: Way, rules: u32) -> Result<Vec<(Packets, Cost)>> {
    let bed = Bed::make()?;
    let _standing = put_up(way, bed.relay(), rules)?;
    let mut costs = Vec::new();
    for family in Family::ALL {
        // TCP first: it repeats what WireGuard's handshake delays.
        for transport in [Transport::Tcp, Transport::Udp] {
            let found = exchange(bed.pair(), family, transport).with_context(|| {
                format!("{} beside {rules} rules, {transport}, {}", way.name(), family.name())
            })?;
            for (of_beginner, cost) in [true, false].into_iter().zip(found) {
                costs.push((Packets { family, transport, of_beginner }, cost));
            }
        }
    }
    Ok(costs)
}

fn put_up(way: Way, namespace: &Namespace, rules: u32) -> Result<Standing> {
    if way == Way::Nftables {
        namespace.feed("nft", &["-f", "-"], &table(rules))?;
        return Ok(Standing::Tables);
    }
    let relay = relay(way, rules);
    if way.is_tried() {
        return trial::put_up(namespace, &relay).map(Standing::Trial);
    }
    let (compiled, slots) = compiled(&relay)?;
    let loaded = if way == Way::ListsLearnt {
        Loaded::load_learning(&compiled, 1, slots)?
    } else {
        Loaded::load(&compiled, 1, None, slots)?
    };
    layer::relay(namespace, &compiled, loaded)
}

/// Peers that list nobody, but for the measured pair by lists, and rules.
fn relay(way: Way, rules: u32) -> Relay {
    let mut relay = Fleet { peers: PEERS, shape: Shape::Pairs }.relay(true);
    for (number, peer) in (0..).zip(&mut relay.peers) {
        let is_measured = number == ACTIVE || number == Fleet::partner(ACTIVE);
        if !way.is_by_lists() || !is_measured {
            peer.allowed_ips.clear();
        }
        peer.limits = way.limits()[usize::from(!is_measured)];
    }
    let rule = |(from, to, port): (u32, u32, u16)| Rule {
        from: vec![Selector::Peer(from as usize)],
        to: vec![Selector::Peer(to as usize)],
        services: [Transport::Tcp, Transport::Udp]
            .map(|transport| Services::Ports { transport, first: port, last: port })
            .into(),
        ..Rule::new(format!("r{port}").parse().expect("a name"))
    };
    relay.rules = openings(rules).map(rule).collect();
    relay.mesh = (way == Way::ListsMeshed).then(site);
    relay
}

/// A site of two relays.
fn site() -> Mesh {
    let relay = |number: u8| MeshRelay {
        name: format!("r{number}").parse().expect("a name"),
        public_key: PublicKey::from_bytes([0xff - number; 32]),
        host: format!("192.0.2.{number}"),
    };
    Mesh {
        name: None,
        port: 51830,
        private_key_file: "mesh.key".into(),
        relays: [1, 2].map(relay).into(),
    }
}

/// Who may begin something with whom on which port; first the measured pair, [`ACTIVE`] to its
/// partner.
fn openings(rules: u32) -> impl Iterator<Item = (u32, u32, u16)> {
    (PORT..).zip(0..rules).map(|(port, number)| {
        let from = (ACTIVE + 2 * number) % PEERS;
        (from, Fleet::partner(from), port)
    })
}

fn table(rules: u32) -> String {
    let mut text = String::new();
    for (table, kind, family) in [("ip", "ipv4_addr", Family::V4), ("ip6", "ipv6_addr", Family::V6)]
    {
        text += &format!(
            "table {table} bench {{\n set open {{ \
             type {kind} . {kind} . inet_proto . inet_service; elements = {{ "
        );
        for (from, to, port) in openings(rules) {
            let [from, to] = [from, to].map(|peer| Fleet::address(peer, family));
            for transport in ["tcp", "udp"] {
                text += &format!("{from} . {to} . {transport} . {port}, ");
            }
        }
        text += &format!(
            "}} }}\n chain forward {{ type filter hook forward priority 0; policy drop;\n \
             ct state established,related accept\n \
             {table} saddr . {table} daddr . meta l4proto . th dport @open accept\n }}\n}}\n"
        );
    }
    text
}

/// Sends packets to and fro in one flow, and returns their cost, the beginner's first.
fn exchange(pair: [&Namespace; 2], family: Family, transport: Transport) -> Result<[Cost; 2]> {
    let addresses = [ACTIVE, Fleet::partner(ACTIVE)].map(|peer| Fleet::address(peer, family));
    let (overhead, mut trip) = match transport {
        Transport::Tcp => (TCP_LEN, connection(pair, addresses)?),
        Transport::Udp => (UDP_LEN, datagrams(pair, addresses)?),
    };
    for _warm_up in 0..3 {
        trip()?;
    }
    let trace = Trace::start()?;
    for _trip in 0..ROUND_TRIPS {
        trip()?;
    }
    let seen = trace.stop()?;
    let header_len = usize::try_from(family.header_len())? + overhead;
    let [beginner, answerer] = PAYLOADS.map(|len| seen.cost(header_len + len, ROUND_TRIPS));
    Ok([beginner?, answerer?])
}

/// Length of a TCP header with time stamps (RFC 7323, appendix A), and of a UDP header.
const TCP_LEN: usize = 32;
const UDP_LEN: usize = 8;

/// A round trip.
type Trip = Box<dyn FnMut() -> Result<()>>;

fn connection([from, to]: [&Namespace; 2], [_, address]: [IpAddr; 2]) -> Result<Trip> {
    let address = SocketAddr::new(address, PORT);
    let listener = to.enter(|| TcpListener::bind(address))?.context("listen")?;
    let mut beginner =
        from.enter(|| TcpStream::connect_timeout(&address, PATIENCE))?.context("connect")?;
    let (mut answerer, _) = listener.accept().context("accept")?;
    for stream in [&beginner, &answerer] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
    }
    let [mut forth, mut back] = PAYLOADS.map(|len| vec![0; len]);
    Ok(Box::new(move || {
        beginner.write_all(&forth)?;
        answerer.read_exact(&mut forth).context("a segment of the beginner")?;
        answerer.write_all(&back)?;
        beginner.read_exact(&mut back).context("a segment of the other side")
    }))
}

fn datagrams([from, to]: [&Namespace; 2], addresses: [IpAddr; 2]) -> Result<Trip> {
    let address = SocketAddr::new(addresses[1], PORT);
    let beginner = from.enter(|| UdpSocket::bind((addresses[0], 0)))?.context("bind")?;
    let answerer = to.enter(|| UdpSocket::bind(address))?.context("bind")?;
    beginner.connect(address)?;
    answerer.connect(beginner.local_addr()?)?;
    for socket in [&beginner, &answerer] {
        socket.set_read_timeout(Some(PATIENCE))?;
    }
    let [mut forth, mut back] = PAYLOADS.map(|len| vec![0; len]);
    Ok(Box::new(move || {
        beginner.send(&forth)?;
        answerer.recv(&mut forth).context("a datagram of the beginner")?;
        answerer.send(&back)?;
        beginner.recv(&mut back).context("a datagram of the other side").map(drop)
    }))
}
