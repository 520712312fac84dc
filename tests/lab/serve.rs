//! `relay serve` shows what the kernel counts, and packets do without it.

use std::{
    fs,
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{Family, Lab, Peer, Site, deadline, scenario, schema, skip, traffic::Udp};
use serde_json::Value;

/// Time limit of an update on an emulated machine, of the server to start, and of an answer.
const SECONDS: Duration = Duration::from_secs(20);

#[test]
fn what_is_served_is_what_the_kernel_counts() {
    scenario(skip::LAB, || {
        let mut site = Site::one_to_many()?;
        let [a, b, c] = site.first()?;
        site.relay_mut()?.insert("pair_stats".to_owned(), true.into());
        let lab = Lab::start_with(site, &[a.clone(), b.clone(), c.clone()])?;
        let [pa, pb, pc] = lab.first()?;
        lab.widen(pb)?;
        let serving = Serving::start(&lab)?;
        let mut live = serving.events("/api/v1/live")?;
        let (first, update) = live.next()?;
        ensure!(first == "stats" && update["complete"] == true, "{first}: {update}");
        for family in Family::ALL {
            send(pb, pa, family)?;
            send(pb, pc, family)?;
        }

        // The stream has the four packets, in an update with nobody who has not changed.
        let update =
            live.until(|event, update| event == "stats" && packets(update, &b) == Some((4, 4)))?;
        ensure!(update["complete"] == false, "{update}");
        ensure!(packets(&update, &c).is_none(), "{c} has not changed: {update}");

        // Each answer has the schema of its verb, and says the same.
        let verbs: [(&str, &str, &[&str]); 7] = [
            ("status", "status", &["status", "--json"]),
            ("stats", "stats", &["stats", "--json"]),
            ("pairs", "pairs", &["stats", "--pairs", "--json"]),
            ("rules", "rules", &["stats", "--rules", "--json"]),
            ("flows", "flows", &["flows", "--json"]),
            ("quotas", "quota", &["quota", "--json"]),
            ("graph", "graph", &["graph", "--format", "json", "--live"]),
        ];
        for (path, name, verb) in verbs {
            // A keepalive may pass between the two.
            deadline::within(SECONDS, &format!("{path} as `relay {}`", verb.join(" ")), || {
                let served = schema::parse(name, &serving.get(&format!("/api/v1/{path}"))?)?;
                let printed = lab.relay().relay(verb)?.success(name)?;
                Ok((served == schema::parse(name, &printed)?).then_some(()))
            })?;
        }
        let asked = serving.get(&format!("/api/v1/explain?from={b}&to={c}&service=udp/9"))?;
        let explained = schema::parse("explain", &asked)?;
        ensure!(explained["allowed"] == false, "{explained}");
        let reason = &explained["directions"][0]["reason"];
        ensure!(reason == "not_in_either_list", "{explained}");
        let dropped = serving.get(&format!("/api/v1/dropped?from={b}&last=3"))?;
        let dropped: Value = serde_json::from_str(&dropped)?;
        let dropped = dropped.as_array().context("a list")?;
        ensure!(dropped.len() == 3, "{dropped:?}");
        for packet in dropped {
            schema::parse("observe", &packet.to_string())?;
            ensure!(packet["to"] == c.as_str(), "{packet}");
        }
        let diff = schema::parse("diff", &serving.get("/api/v1/diff")?)?;
        ensure!(diff["differs"] == false, "{diff}");

        let metrics = serving.get("/metrics")?;
        let of_b = format!("{{interface=\"relay0\",peer=\"{b}\"}} 4\n");
        for name in ["wgrelay_peer_receive_packets_total", "wgrelay_peer_dropped_packets_total"] {
            ensure!(metrics.contains(&format!("{name}{of_b}")), "{metrics}");
        }
        let pair = format!("{{interface=\"relay0\",source=\"{b}\",destination=\"{a}\"}} 4\n");
        ensure!(metrics.contains(&format!("wgrelay_pair_packets_total{pair}")), "{metrics}");
        Ok(())
    });
}

#[test]
fn no_packet_and_no_count_depends_on_the_server() {
    scenario(skip::LAB, || {
        let mut site = Site::one_to_many()?;
        let [a, b] = site.first()?;
        site.relay_mut()?.insert("pair_stats".to_owned(), true.into());
        let lab = Lab::start_with(site, &[a.clone(), b])?;
        let [pa, pb] = lab.first()?;
        let policy = || -> Result<Value> {
            let status = lab.relay().relay(&["status", "--json"])?.success("status")?;
            Ok(serde_json::from_str::<Value>(&status)?["generation"].clone())
        };
        let before = policy()?;
        let udp = Udp::between(pa, pb, Family::V4)?;
        let mut sent = 0;
        for _ in 0..5 {
            let mut serving = Serving::start(&lab)?;
            // It is killed while it answers, and while it streams.
            let mut live = serving.events("/api/v1/live")?;
            live.next()?;
            let mut asking = serving.ask("/metrics")?;
            sent += udp.send(20, 100)?.packets;
            serving.server.kill()?;
            serving.server.wait()?;
            drop(asking.read(&mut [0; 100]));
            sent += udp.send(20, 100)?.packets;
            ensure!(lab.relay().stats()?.peer(&a).context("a peer")?.relayed.rx_packets == sent);
        }
        ensure!(policy()? == before, "another generation is in force");
        lab.relay().require_sound()?;

        // One that finds no relay says so, and serves the next one.
        let serving = Serving::start(&lab)?;
        lab.relay().down()?;
        let answer = serving.answer("/metrics")?;
        ensure!(answer.starts_with("HTTP/1.0 503 "), "{answer}");
        lab.up()?;
        let metrics = serving.get("/metrics")?;
        ensure!(metrics.contains("wgrelay_policy_generation"), "{metrics}");
        Ok(())
    });
}

#[test]
fn what_happens_is_told() {
    scenario(skip::LAB, || {
        let site = Site::one_to_many()?;
        let [a, b, c] = site.first()?;
        let lab = Lab::start_with(site, &[a, b.clone(), c.clone()])?;
        let serving = Serving::start(&lab)?;
        let mut events = serving.events("/api/v1/events")?;
        // Events are compared with what was there when somebody began to follow them.
        let mut live = serving.events("/api/v1/live")?;
        live.next()?;
        live.next()?;
        let [_, pb, pc] = lab.first()?;
        lab.widen(pb)?;
        send(pb, pc, Family::V4)?;
        let dropped = events.until(|event, _| event == "packet_dropped").context("dropped")?;
        ensure!(dropped["from"] == b.as_str() && dropped["to"] == c.as_str(), "{dropped}");
        ensure!(dropped["interface"] == "relay0", "{dropped}");

        let mut without = lab.site().clone();
        without.remove_peer(&c)?;
        lab.relay().write_config(&without.text()?)?;
        lab.relay().up()?;
        // WireGuard loses the peer before the policy changes; one look may see both.
        let mut awaited = vec!["peer_gone", "policy_changed"];
        while !awaited.is_empty() {
            let (event, data) = events.next().with_context(|| format!("{awaited:?}"))?;
            ensure!(event != "peer_gone" || data["peer"] == c.as_str(), "{data}");
            awaited.retain(|awaited| *awaited != event);
        }

        lab.relay().down()?;
        events.until(|event, _| event == "relay_down").context("relay_down")?;
        lab.relay().up()?;
        events.until(|event, _| event == "relay_up").context("relay_up")?;
        drop((events, live, serving));
        lab.write_config()
    });
}

#[test]
fn a_webhook_is_told_without_a_restart() {
    scenario(skip::LAB, || {
        let site = Site::one_to_many()?;
        let [a, b, c] = site.first()?;
        let lab = Lab::start_with(site, &[a, b])?;
        let serving = Serving::start(&lab)?;
        let policy = || -> Result<Value> {
            let status = lab.relay().relay(&["status", "--json"])?.success("status")?;
            Ok(serde_json::from_str::<Value>(&status)?["policyHash"].clone())
        };
        let before = policy()?;
        let receiver = Receiver::start(&lab)?;
        let webhook = format!(
            "\n[[webhook]]\nname = \"ops\"\nurl = \"http://{}/\"\nsecret_file = \"ops.secret\"\n",
            receiver.0.local_addr()?
        );
        let secret = lab.directory().join("ops.secret");
        fs::write(&secret, "C2FVsBQIhrscChlQIMV+b5sSYspob7oD")?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
        lab.relay().write_config(&format!("{}{webhook}", lab.site().text()?))?;
        deadline::within(SECONDS, "the webhook in /metrics", || {
            let metrics = serving.get("/metrics")?;
            Ok(metrics.contains("wgrelay_webhook_queue_length{").then_some(()))
        })?;
        // It is compared with what was there when somebody began to follow.
        let mut live = serving.events("/api/v1/live")?;
        live.next()?;
        live.next()?;
        drop(live);

        let mut without = lab.site().clone();
        without.remove_peer(&c)?;
        lab.relay().write_config(&format!("{}{webhook}", without.text()?))?;
        lab.relay().up()?;
        ensure!(policy()? != before, "the policy is the same without {c}");
        let (id, event) = receiver.next("500 Internal Server Error")?;
        ensure!(receiver.next("200 OK")? == (id, event.clone()), "it was not tried again");
        let first = ["peer_gone", "policy_changed"].map(Value::from);
        ensure!(first.contains(&event["type"]), "{event}");
        deadline::within(SECONDS, "the counts", || {
            let metrics = serving.get("/metrics")?;
            let failed = "{interface=\"relay0\",webhook=\"ops\",outcome=\"failed\"} 1\n";
            let name = "wgrelay_webhook_deliveries_total";
            Ok(metrics.contains(&format!("{name}{failed}")).then_some(()))
        })?;
        drop(serving);
        lab.up()?;
        ensure!(policy()? == before, "a webhook changes the policy");
        lab.write_config()
    });
}

fn send(from: &Peer, to: &Peer, family: Family) -> Result<()> {
    Udp::between(from, to, family)?.send(2, 100).map(drop)
}

/// Packets relayed from a peer, and dropped ones; `None` if it is not listed.
fn packets(stats: &Value, name: &str) -> Option<(u64, u64)> {
    let peers = stats["peers"].as_array()?;
    let peer = peers.iter().find(|peer| peer["name"] == name)?;
    let dropped = peer["dropped"].as_object()?.values().filter_map(Value::as_u64).sum();
    Some((peer["relayed"]["rxPackets"].as_u64()?, dropped))
}

/// `relay serve` on the relay.
pub(crate) struct Serving<'l> {
    lab: &'l Lab,
    server: Child,
    address: String,
}

/// A server on the relay that a webhook sends to.
struct Receiver(TcpListener);

impl Receiver {
    fn start(lab: &Lab) -> Result<Self> {
        let listener = lab.relay().namespace().enter(|| TcpListener::bind("127.0.0.1:0"))??;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    /// Takes the next request and answers it: its id and its event.
    fn next(&self, status: &str) -> Result<(String, Value)> {
        let mut stream = deadline::within(SECONDS, "a request", || match self.0.accept() {
            Ok((stream, _)) => Ok(Some(stream)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        })?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(SECONDS))?;
        let mut text = BufReader::new(&stream);
        let (mut id, mut length) = (None, None);
        loop {
            let mut line = String::new();
            text.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some(("webhook-id", value)) => id = Some(value.to_owned()),
                Some(("content-length", value)) => length = Some(value.parse()?),
                Some(_) => {}
                None if line.trim_end().is_empty() => break,
                None => ensure!(line.starts_with("POST / "), "{line}"),
            }
        }
        let mut body = vec![0; length.context("a length")?];
        text.read_exact(&mut body)?;
        stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes())?;
        let event = schema::parse("events", str::from_utf8(&body)?)?;
        Ok((id.context("an id")?, event))
    }
}

/// What it streams.
struct Events(BufReader<TcpStream>);

impl<'l> Serving<'l> {
    pub(crate) fn start(lab: &'l Lab) -> Result<Self> {
        lab.relay().namespace().run("ip", &["link", "set", "lo", "up"])?;
        let mut command = lab.relay().command(&["serve", "--listen", "127.0.0.1:0"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut server = lab.relay().namespace().enter(|| command.spawn())??;
        let output = server.stdout.take().context("its output")?;
        let mut serving = Self { lab, server, address: String::new() };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().strip_prefix("serving on http://");
        serving.address = address.with_context(|| format!("it printed {line:?}"))?.to_owned();
        Ok(serving)
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.server.id()
    }

    fn ask(&self, path: &str) -> Result<TcpStream> {
        let address = &self.address;
        let connect = || TcpStream::connect(address);
        let mut stream = self.lab.relay().namespace().enter(connect)??;
        stream.set_read_timeout(Some(SECONDS))?;
        // By HTTP/1.0, an answer of unknown length comes as it is, not in chunks.
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
        Ok(stream)
    }

    /// The head of the answer and its content.
    fn answer(&self, path: &str) -> Result<String> {
        let mut text = String::new();
        self.ask(path)?.read_to_string(&mut text).with_context(|| path.to_owned())?;
        Ok(text)
    }

    /// The content of an answer that is one.
    pub(crate) fn get(&self, path: &str) -> Result<String> {
        let text = self.answer(path)?;
        let (head, content) = text.split_once("\r\n\r\n").context("a head")?;
        ensure!(head.starts_with("HTTP/1.0 200 "), "{path}: {text}");
        Ok(content.to_owned())
    }

    fn events(&self, path: &str) -> Result<Events> {
        Ok(Events(BufReader::new(self.ask(path)?)))
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        // Fails if it was killed before.
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

impl Events {
    /// The next event: its name and its data.
    fn next(&mut self) -> Result<(String, Value)> {
        let mut name = None;
        let began = Instant::now();
        loop {
            // Comments keep the connection open.
            ensure!(began.elapsed() < SECONDS, "there was no event");
            let mut line = String::new();
            ensure!(self.0.read_line(&mut line)? != 0, "the stream ended");
            let line = line.trim_end();
            if let Some(event) = line.strip_prefix("event: ") {
                name = Some(event.to_owned());
            } else if let Some(data) = line.strip_prefix("data: ") {
                let name = name.context("an event's name")?;
                let data = match name.as_str() {
                    "stats" | "gone" => serde_json::from_str(data)?,
                    _ => schema::parse("events", data)?,
                };
                return Ok((name, data));
            }
        }
    }

    /// The first event that is wanted.
    fn until(&mut self, wanted: impl Fn(&str, &Value) -> bool) -> Result<Value> {
        deadline::within(SECONDS, "an event", || {
            let (name, data) = self.next()?;
            Ok(wanted(&name, &data).then_some(data))
        })
    }
}
