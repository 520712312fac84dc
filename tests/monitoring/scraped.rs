//! A real Prometheus, which scrapes both formats from this process and is asked what it read.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::SystemTime,
};

use anyhow::{Context as _, Result, ensure};
use relay::stats::Exposition;
use relay_tests::{deadline, scenario, skip::Need};
use relay_vm::prometheus;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    dashboard,
    exposition::{self, Labels},
};

/// Where each format is served, and its media type.
const FORMATS: [(&str, Exposition, &str); 2] = [
    ("text", Exposition::Text, "text/plain; version=0.0.4; charset=utf-8"),
    (
        "openmetrics",
        Exposition::OpenMetrics,
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ),
];

/// Labels of a target.
const OF_TARGET: [&str; 2] = ["instance", "job"];

#[test]
fn prometheus_reads_of_either_format_what_was_written() {
    scenario(&[Need::Prometheus], || {
        let now = SystemTime::now();
        let server = Server::start(&serve(now)?)?;
        for (job, format, _) in FORMATS {
            let written: BTreeMap<(String, Labels), f64> =
                exposition::samples(&exposition::rendered(format, true, now))
                    .into_iter()
                    .map(|(name, labels, value)| ((name, labels), value))
                    .collect();
            let ours = format!(r#"{{job="{job}", __name__=~"wgrelay_.+|wireguard_.+"}}"#);
            let read = deadline::until("samples", || {
                let samples = server.query(&ours)?;
                Ok((samples.len() == written.len()).then_some(samples))
            })?;
            ensure!(read == written, "{job}:\n{read:#?}\ninstead of\n{written:#?}");
        }
        Ok(())
    });
}

#[test]
fn every_panel_of_the_dashboard_shows_something() {
    scenario(&[Need::Prometheus], || {
        let server = Server::start(&serve(SystemTime::now())?)?;
        deadline::until("three scrapes", || {
            let scrapes = server.query(r#"count_over_time(up{job="text"}[1m])"#)?;
            Ok(scrapes.into_values().any(|count| count >= 3.0).then_some(()))
        })?;
        let expressions = dashboard::expressions(&dashboard::read()?);
        for expression in expressions.iter().filter(|text| !text.starts_with("label_values(")) {
            let asked = expression.replace("$__rate_interval", "1m");
            let asked = ["$instance", "$interface", "$peer"]
                .iter()
                .fold(asked, |asked, variable| asked.replace(variable, ".*"));
            let shown = server.query(&asked).with_context(|| asked.clone())?;
            // Nothing moves here, so what is shown only while it moves is not.
            ensure!(!shown.is_empty() || asked.ends_with("> 0"), "nothing is shown by {asked}");
        }
        Ok(())
    });
}

/// Serves both formats until this process ends.
fn serve(now: SystemTime) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let pages = FORMATS.map(|(path, format, media_type)| {
        (format!("GET /{path} "), media_type, exposition::rendered(format, true, now))
    });
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Prometheus asks again if a connection fails.
            drop(answer(stream, &pages));
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream, pages: &[(String, &str, String)]) -> Result<()> {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        asked.extend(byte);
    }
    let asked = String::from_utf8_lossy(&asked);
    let page = pages.iter().find(|(path, ..)| asked.starts_with(path.as_str()));
    let (_, media_type, body) = page.context("no such page")?;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\nConnection: close\
         \r\n\r\n{body}",
        body.len()
    )?;
    Ok(())
}

/// A Prometheus on a port of its own, which ends when it is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Server {
    fn start(target: &SocketAddr) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let file = |name: &str| directory.path().join(name);
        let jobs = FORMATS.map(|(path, ..)| {
            format!(
                "  - job_name: {path}\n    metrics_path: /{path}\n    static_configs:\n      \
                 - targets: ['{target}']\n"
            )
        });
        let configuration =
            format!("global:\n  scrape_interval: 1s\nscrape_configs:\n{}", jobs.concat());
        fs::write(file("prometheus.yml"), configuration)?;
        let log = file("log");
        let mut command = Command::new(prometheus::program("prometheus").context("prometheus")?);
        command
            .arg(format!("--config.file={}", file("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", file("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?);
        let child = command.spawn().context("cannot start Prometheus")?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, address: any, _directory: directory };
        server.address = deadline::until("Prometheus's port", || {
            ensure!(server.child.try_wait()?.is_none(), "{}", fs::read_to_string(&log)?);
            Ok(fs::read_to_string(&log)?.lines().find_map(listening))
        })?;
        deadline::until("Prometheus", || Ok(server.get("/-/ready")?.0.then_some(())))?;
        Ok(server)
    }

    /// The samples that an expression has now, without the labels of the target.
    fn query(&self, expression: &str) -> Result<BTreeMap<(String, Labels), f64>> {
        let (is_right, body) = self.get(&format!("/api/v1/query?query={}", escaped(expression)))?;
        ensure!(is_right, "{body}");
        let answer: Value = serde_json::from_str(&body)?;
        let samples = answer["data"]["result"].as_array().context("a list")?.iter();
        let samples = samples.map(|sample| {
            let mut labels: Labels = serde_json::from_value(sample["metric"].clone())?;
            labels.retain(|name, _| !OF_TARGET.contains(&name.as_str()));
            let name = labels.remove("__name__").unwrap_or_default();
            let value = sample["value"][1].as_str().context("a value")?.parse()?;
            Ok::<_, anyhow::Error>(((name, labels), value))
        });
        samples.collect()
    }

    /// Whether the answer is a success, and its body.
    fn get(&self, path: &str) -> Result<(bool, String)> {
        let mut stream = TcpStream::connect(self.address)?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        Ok((head.split(' ').nth(1) == Some("200"), body.to_owned()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has already exited.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The address in `msg="Listening on" address=127.0.0.1:36603`.
fn listening(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("Listening on")?;
    let at = rest.find("127.0.0.1:")?;
    let address: String =
        rest[at..].chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':')).collect();
    address.parse().ok()
}

/// As part of an address.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
