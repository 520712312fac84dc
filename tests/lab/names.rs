//! Peers ask the relay for names, through the tunnel.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RecordType},
};
use relay_tests::{Family, Lab, Namespace, Site, deadline, relay_host, scenario, skip};
use toml::Value;

use crate::serve::Serving;

/// Time for one answer, and for the server to see a change, on an emulated machine.
const ANSWER: Duration = Duration::from_secs(3);
const SECONDS: Duration = Duration::from_secs(30);

const DNS_PORT: u16 = 53;

#[test]
fn peers_ask_for_the_names_of_those_whom_they_may_reach() {
    scenario(skip::LAB, || {
        let mut site = named()?;
        let [a, b, c] = site.first()?;
        // wg-quick sets resolvers through resolvconf, which would be the machine's.
        for name in [&a, &b, &c] {
            site.set(name, "dns", Value::Array(vec![]))?;
        }
        let [to_c, _] = site.addresses(&c)?;
        let lab = Lab::start_with(site, &[a.clone(), b.clone()])?;
        let serving = Serving::start(&lab)?;
        let [pa, pb] = lab.first()?;
        lab.widen(pa)?;
        lab.widen(pb)?;
        let [of_a, of_b, of_c] = [&a, &b, &c].map(|name| format!("{name}.relay.internal."));

        for family in Family::ALL {
            let [from_a, from_b] = [asker(&lab, &a, family)?, asker(&lab, &b, family)?];
            let (kind, relay) = (kind(family), lab.relay_address(family)?);
            for by in WAYS {
                let asked = |asker: &Asker<'_>, name: &str, kind| {
                    deadline::within(SECONDS, name, || Ok(by(asker, name, kind).ok()))
                };
                let found = asked(&from_a, &of_b, kind)?;
                ensure!(data(&found) == [from_b.address.to_string()], "{found}");
                let found = asked(&from_b, &of_a, kind)?;
                ensure!(data(&found) == [from_a.address.to_string()], "{found}");
                let reverse = Name::from(from_b.address).to_string();
                let found = asked(&from_a, &reverse, RecordType::PTR)?;
                ensure!(data(&found) == [of_b.clone()], "{found}");
                let found = asked(&from_b, "relay.internal.", kind)?;
                ensure!(data(&found) == [relay.to_string()], "{found}");

                // b and c do not list each other.
                let hidden = asked(&from_b, &of_c, kind)?;
                let absent = asked(&from_b, "nobody.relay.internal.", kind)?;
                for found in [&hidden, &absent] {
                    ensure!(found.metadata.response_code == ResponseCode::NXDomain, "{found}");
                }
                ensure!(hidden.authorities == absent.authorities, "{hidden}{absent}");
                let found = asked(&from_b, &Name::from(to_c).to_string(), RecordType::PTR)?;
                ensure!(found.metadata.response_code == ResponseCode::NXDomain, "{found}");
                let found = asked(&from_b, "example.org.", kind)?;
                ensure!(found.metadata.response_code == ResponseCode::Refused, "{found}");

                // The host itself, by an address of the overlay and by another one.
                let host = Asker { namespace: lab.relay().namespace(), address: relay, relay };
                let found = asked(&host, &of_c, kind)?;
                ensure!(found.answers.len() == 1, "{found}");
                if family == Family::V4 {
                    let address = relay_host::UNDERLAY.parse()?;
                    let found = asked(&Asker { address, ..host }, &of_c, kind)?;
                    ensure!(found.metadata.response_code == ResponseCode::Refused, "{found}");
                }
            }
        }

        let metrics = serving.get("/metrics")?;
        for outcome in ["answered", "no_name", "refused"] {
            let counted = format!(
                "wgrelay_name_questions_total{{interface=\"relay0\",outcome=\"{outcome}\"}} "
            );
            let count = metrics.lines().find_map(|line| line.strip_prefix(counted.as_str()));
            let count: u64 = count.context("a count")?.parse()?;
            ensure!(count >= WAYS.len() as u64, "{outcome}: {count}");
        }

        // A change of the files is seen, and a relay that goes and comes again answers.
        let both = [lab.site().addresses(&b)?, lab.site().addresses(&c)?];
        let mut wider = lab.site().clone();
        wider.allow(&b, &both[1])?;
        wider.allow(&c, &both[0])?;
        lab.relay().write_config(&wider.text()?)?;
        lab.relay().up()?;
        let knows_c = |lab: &Lab| {
            let from_b = asker(lab, &b, Family::V4)?;
            deadline::within(SECONDS, &of_c, || {
                let found = from_b.by_datagram(&of_c, RecordType::A).ok();
                Ok(found.filter(|found| data(found) == [to_c.to_string()]).map(drop))
            })
        };
        knows_c(&lab)?;
        lab.relay().down()?;
        let asked = asker(&lab, &b, Family::V4)?.by_datagram(&of_c, RecordType::A);
        ensure!(asked.is_err(), "the relay is down");
        lab.relay().up()?;
        knows_c(&lab)
    });
}

#[test]
fn clients_ask_the_relay() {
    scenario(skip::LAB, || {
        let lab = Lab::start_with(named()?, &[])?;
        let [a] = lab.site().first()?;
        let config = |name: &str| lab.relay().relay(&["peer", "config", name])?.success("config");
        let text = config(&a)?;
        let relay = Family::ALL.map(|family| lab.relay_address(family));
        let [v4, v6] = relay;
        let (v4, v6) = (v4?, v6?);
        ensure!(text.contains(&format!("\nDNS = {v4}, {v6}, relay.internal\n")), "{text}");
        let allowed = text.lines().find(|line| line.starts_with("AllowedIPs")).context("a list")?;
        ensure!(allowed.ends_with(&format!(", {v4}/32, {v6}/128")), "{allowed}");
        Ok(())
    });
}

/// Asks for a name and a type.
type Ask = fn(&Asker<'_>, &str, RecordType) -> Result<Message>;

const WAYS: [Ask; 2] = [
    |asker, name, kind| asker.by_datagram(name, kind),
    |asker, name, kind| asker.by_stream(name, kind),
];

/// A relay that answers names.
fn named() -> Result<Site> {
    let mut site = Site::one_to_many()?;
    let ports: Vec<Value> = ["tcp/53", "udp/53"].map(Value::from).to_vec();
    site.relay_mut()?.insert("host_access".to_owned(), ports.into());
    site.names_mut()?.insert("zone".to_owned(), "relay.internal".into());
    Ok(site)
}

fn asker<'l>(lab: &'l Lab, name: &str, family: Family) -> Result<Asker<'l>> {
    let (peer, relay) = (lab.peer(name)?, lab.relay_address(family)?);
    Ok(Asker { namespace: peer.namespace(), address: peer.address(family), relay })
}

fn kind(family: Family) -> RecordType {
    match family {
        Family::V4 => RecordType::A,
        Family::V6 => RecordType::AAAA,
    }
}

fn data(answer: &Message) -> Vec<String> {
    answer.answers.iter().map(|record| record.data.to_string()).collect()
}

/// Who asks the relay, from which address.
struct Asker<'l> {
    namespace: &'l Namespace,
    address: IpAddr,
    relay: IpAddr,
}

impl Asker<'_> {
    fn by_datagram(&self, name: &str, kind: RecordType) -> Result<Message> {
        let socket = self.namespace.enter(|| UdpSocket::bind((self.address, 0)))??;
        socket.set_read_timeout(Some(ANSWER))?;
        socket.send_to(&question(name, kind)?, (self.relay, DNS_PORT))?;
        let mut answer = [0; 4096];
        let len = socket.recv(&mut answer)?;
        Ok(Message::from_vec(&answer[..len])?)
    }

    fn by_stream(&self, name: &str, kind: RecordType) -> Result<Message> {
        let to = SocketAddr::new(self.relay, DNS_PORT);
        let mut stream = self.namespace.enter(|| connect(self.address, to))??;
        stream.set_read_timeout(Some(ANSWER))?;
        let question = question(name, kind)?;
        let len = u16::try_from(question.len())?;
        stream.write_all(&[&len.to_be_bytes(), &question[..]].concat())?;
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut answer)?;
        Ok(Message::from_vec(&answer)?)
    }
}

fn connect(from: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let domain = socket2::Domain::for_address(to);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect_timeout(&to.into(), ANSWER)?;
    Ok(socket.into())
}

fn question(name: &str, kind: RecordType) -> Result<Vec<u8>> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name)?, kind));
    Ok(message.to_vec()?)
}
