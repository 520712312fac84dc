//! A relay with peers and traffic, and `relay serve` on it, for a browser outside of the virtual
//! machine in which `tests/browser` starts this.
//!
//! It does what it is told on a port, a line at a time, and answers each with a line: `done`, what
//! was asked for, or `error: …`.
//!
//! | line | what it does |
//! | --- | --- |
//! | `busy`, `rest` | traffic between the peers all the time, and none |
//! | `send COUNT` | sends datagrams from the second peer to the first, and waits until they arrive |
//! | `stats` | answers with what `relay stats --json` prints, which reads the kernel by itself |
//! | `grow COUNT` | adds peers until there are so many |
//! | `end` | ends |

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::Parser as _;
use relay_tests::{
    Family, Lab, Site, deadline, namespace, skip,
    traffic::{Echo, Udp},
};

#[derive(Debug, clap::Parser)]
struct Arguments {
    /// Where the relay is served.
    page: SocketAddr,
    /// Where to be told what to do.
    control: SocketAddr,
    /// Has the certificate, its key and the token.
    credentials: PathBuf,
}

/// Files of the credentials, each with the option that names it.
const CREDENTIALS: [(&str, &str); 3] =
    [("--certificate", "certificate"), ("--key", "key"), ("--token-file", "token")];

/// The machine's network card, and its name on the relay's host.
const CARD: &str = "eth0";
const FRONT: &str = "front";

/// Between two rounds of traffic.
const ROUND: Duration = Duration::from_millis(200);

/// Bytes of a datagram's payload.
const PAYLOAD_LEN: usize = 1000;

/// Datagrams that a receiver's buffer holds for sure.
const AT_ONCE: u64 = 20;

fn main() -> ExitCode {
    match serve(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("served: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &Arguments) -> Result<()> {
    ensure!(skip::possible("served", skip::LAB), "this machine lacks what is named above");
    let site = site()?;
    let present = site.first::<4>()?;
    let mut lab = Lab::start_with(site, &present)?;
    let [_, b, _, _] = lab.first()?;
    // So that the relay has something to drop.
    lab.widen(b)?;
    plug_in(&lab, arguments.page.ip())?;
    let control = lab.relay().namespace().enter(|| TcpListener::bind(arguments.control))??;
    let server = Server::start(&lab, arguments)?;
    println!("served");
    let (stream, _) = control.accept()?;
    let told = obey(&mut lab, stream);
    drop(server);
    told
}

/// An administrator and three nodes that are present, a phone that never was, and a laptop that is
/// disabled; lists, rules, and a pair of which one lists the other.
fn site() -> Result<Site> {
    let mut site = Site::one_to_many()?;
    let relay = site.relay_mut()?;
    relay.insert("address".to_owned(), vec!["10.3.2.1/16", "fd00::3:2:1/96"].into());
    relay.insert("pair_stats".to_owned(), true.into());
    let [a, b, c, d] = site.first()?;
    site.add_peer("laptop", &numbered(2, 6))?;
    site.set("laptop", "enabled", false)?;
    site.add_peer("phone", &numbered(2, 7))?;
    site.allow(&d, &site.addresses(&c)?)?;
    site.set(&c, "quota", "1 GiB/month")?;
    site.add_rule("ping", "any", &a, &["icmp/echo"])?;
    site.add_rule("dns", &b, &c, &["udp/53"])?;
    Ok(site)
}

/// The addresses 10.3.HIGH.LOW and fd00::3:HIGH:LOW.
fn numbered(high: u8, low: u8) -> [IpAddr; 2] {
    let v6 = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 3, u16::from(high), u16::from(low));
    [Ipv4Addr::new(10, 3, high, low).into(), v6.into()]
}

/// Gives the machine's network card to the relay's host.
fn plug_in(lab: &Lab, address: IpAddr) -> Result<()> {
    let relay = lab.relay().namespace();
    namespace::ip_batch(&format!(
        "link set {CARD} name {FRONT}\nlink set {FRONT} netns {}\n",
        relay.name()
    ))?;
    relay.ip_batch(&format!("address add {address}/24 dev {FRONT}\nlink set {FRONT} up\n"))
}

/// `relay serve` on the relay's host, which ends with this.
struct Server(Child);

impl Server {
    fn start(lab: &Lab, Arguments { page, credentials, .. }: &Arguments) -> Result<Self> {
        let mut command = lab.relay().command(&["serve", "--listen", &page.to_string()]);
        for (option, name) in CREDENTIALS {
            let file = credentials.join(name);
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))
                .with_context(|| format!("cannot change {}", file.display()))?;
            command.arg(option).arg(file);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = lab.relay().namespace().enter(|| command.spawn())??;
        let output = child.stdout.take().context("its output")?;
        let server = Self(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line.starts_with("serving on https://"), "relay serve printed {line:?}");
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has already exited.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Does what it is told, until the end.
fn obey(lab: &mut Lab, stream: TcpStream) -> Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let mut answers = stream;
    loop {
        // Peers come between the times in which others send.
        let told = thread::scope(|scope| {
            let mut traffic = None;
            for line in lines.by_ref() {
                let line = line?;
                let words: Vec<&str> = line.split(' ').collect();
                let answer = match words.as_slice() {
                    ["busy"] => {
                        traffic.get_or_insert_with(|| Traffic::start(scope, lab));
                        Ok("done".to_owned())
                    }
                    ["rest"] => traffic.take().map_or(Ok(()), Traffic::stop).map(done),
                    ["send", count] => send(lab, count).map(done),
                    ["stats"] => stats(lab),
                    ["grow", count] => {
                        traffic.take().map_or(Ok(()), Traffic::stop)?;
                        return Ok(Some(count.parse()?));
                    }
                    ["end"] => {
                        traffic.take().map_or(Ok(()), Traffic::stop)?;
                        return Ok(None);
                    }
                    _ => Err(anyhow!("found {line:?}, which is nothing to do")),
                };
                let answer = answer.unwrap_or_else(|error| format!("error: {error:#}"));
                writeln!(answers, "{}", answer.replace('\n', " "))?;
            }
            bail!("the one who tells has gone")
        });
        let Some(count) = told? else { break };
        let answer = grow(lab, count).map_or_else(|error| format!("error: {error:#}"), done);
        writeln!(answers, "{}", answer.replace('\n', " "))?;
    }
    Ok(writeln!(answers, "done")?)
}

fn done((): ()) -> String {
    "done".to_owned()
}

fn send(lab: &Lab, count: &str) -> Result<()> {
    let [a, b] = lab.first()?;
    let udp = Udp::between(b, a, Family::V4)?;
    let mut left: u64 = count.parse()?;
    while left > 0 {
        let count = left.min(AT_ONCE);
        let sent = udp.send(count, PAYLOAD_LEN)?;
        let received = udp.received(sent.packets, deadline::PATIENCE)?;
        ensure!(received == sent, "sent {sent}, received {received}");
        left -= count;
    }
    Ok(())
}

fn stats(lab: &Lab) -> Result<String> {
    lab.relay().relay(&["stats", "--json"])?.success("relay stats --json")
}

/// Adds peers until there are `count`. None of them is present.
fn grow(lab: &mut Lab, count: usize) -> Result<()> {
    let there = lab.site().names()?.len();
    for number in there..count {
        let high = u8::try_from(16 + number / 250).context("too many peers")?;
        let low = u8::try_from(1 + number % 250)?;
        lab.site_mut().add_peer(&format!("peer-{number:04}"), &numbered(high, low))?;
    }
    lab.up().map(drop)
}

/// What the peers send each other all the time.
struct Traffic<'s> {
    stop: Arc<AtomicBool>,
    worker: ScopedJoinHandle<'s, Result<()>>,
}

impl<'s> Traffic<'s> {
    fn start<'e>(scope: &'s thread::Scope<'s, 'e>, lab: &'s Lab) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let worker = scope.spawn(move || flood(lab, &stopped));
        Self { stop, worker }
    }

    fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Sends until it is stopped: what lists allow, what rules allow, and what nothing allows.
fn flood(lab: &Lab, stop: &AtomicBool) -> Result<()> {
    let [a, b, c, d] = lab.first()?;
    let v4 = Family::V4;
    let listed = [
        (Udp::between(a, b, v4)?, 5),
        (Udp::between(b, a, v4)?, 2),
        (Udp::between(a, c, v4)?, 1),
        (Udp::between(d, a, v4)?, 3),
    ];
    let mut echo = Echo::between(c, a, v4)?;
    let dns = SocketAddr::new(c.address(v4), 53);
    let dns = Udp::blind(b.namespace(), b.address(v4), dns)?;
    let ssh = SocketAddr::new(d.address(v4), 22);
    let ssh = Udp::blind(b.namespace(), b.address(v4), ssh)?;
    while !stop.load(Ordering::Relaxed) {
        for (udp, count) in &listed {
            udp.send(*count, PAYLOAD_LEN)?;
            udp.received(0, Duration::ZERO)?;
        }
        echo.send(1)?;
        echo.answers(0, Duration::ZERO)?;
        dns.send(1, 60)?;
        ssh.send(1, 60)?;
        deadline::pass(ROUND);
    }
    // Nothing is under way when others count.
    deadline::pass(ROUND);
    Ok(())
}
