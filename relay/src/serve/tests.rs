//! Requests over loopback to a relay that is not up, and what a client cannot do.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use axum::{
    extract::State,
    response::Response,
    routing::{MethodRouter, get},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    runtime,
    sync::oneshot,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore,
        pki_types::{CertificateDer, pem::PemObject as _},
    },
};

use super::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Short, so that what takes longer is seen soon.
const LIMITS: Limits =
    Limits { connections: 4, head: Duration::from_millis(300), write: Duration::from_millis(300) };

const METRICS: Metrics = Metrics { most_pairs: 10, compat: false };

/// No answer takes longer.
const DEADLINE: Duration = Duration::from_secs(30);

/// A server on a thread of its own, until it is dropped.
struct Serving {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
    _files: TempDir,
}

/// An answer: its status, its head, its content.
struct Answer {
    status: u16,
    head: String,
    content: String,
}

impl Serving {
    fn start(token: Option<&str>) -> Self {
        Self::with(token, |app| app)
    }

    fn with(token: Option<&str>, change: impl FnOnce(Router) -> Router + Send + 'static) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let reader = Reader::start(Sight::new(source(files.path())), false).expect("a thread");
        let token = token.map(|token| token::Token::parse(token.as_bytes()).expect("a token"));
        let (end, ended) = oneshot::channel();
        let (ready, address) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listening = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
                let listener = listening.expect("a socket");
                let address = listener.local_addr().expect("its address");
                ready.send(address).expect("somebody waits");
                let gate = Gate::new(address, vec!["relay.example".to_owned()], token);
                let app = change(gated(
                    Served::new(reader, Tallies::new().1, Answering::new(), METRICS),
                    gate,
                ));
                tokio::select! {
                    never = listener::accept(listener, None, app, LIMITS) => match never {},
                    _ = ended => {}
                }
            });
        });
        let address = address.recv().expect("it listens");
        Self { address, end: Some(end), thread: Some(thread), _files: files }
    }

    /// Which answers /big so.
    fn answering(big: MethodRouter<Served>) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let reader = Reader::start(Sight::new(source(files.path())), false).expect("a thread");
        let served = Served::new(reader, Tallies::new().1, Answering::new(), METRICS);
        Self::with(None, |app| app.merge(Router::new().route("/big", big).with_state(served)))
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        stream
    }

    fn get(&self, path: &str) -> Answer {
        // By HTTP/1.0, an answer of unknown length comes as it is, not in chunks.
        self.ask(&format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"))
    }

    fn ask(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        // A server that has seen enough may close before all of it is written.
        drop(stream.write_all(request.as_bytes()));
        let mut text = Vec::new();
        match stream.read_to_end(&mut text) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("no answer: {error}"),
        }
        let text = String::from_utf8(text).expect("text");
        let (head, content) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Answer { status: status.unwrap_or(0), head: head.to_owned(), content: content.to_owned() }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Dropped, it ends the thread.
        self.end = None;
        drop(self.thread.take().map(thread::JoinHandle::join));
    }
}

fn source(files: &Path) -> Source {
    let config = files.join("relay.toml");
    std::fs::write(&config, "this is no configuration").expect("a file");
    Source {
        config,
        bpffs: files.to_owned(),
        state: files.to_owned(),
        interface: None,
        verb: "serve",
        notice: |_| {},
    }
}

#[test]
fn a_relay_that_cannot_be_read_is_an_error_with_its_reason() {
    let serving = Serving::start(None);
    for path in ["/metrics", "/api/v1/stats", "/api/v1/explain?from=a&to=b"] {
        let answer = serving.get(path);
        assert!(matches!(answer.status, 400 | 503), "{path}: {}", answer.head);
        let error: Value = serde_json::from_str(&answer.content).expect("JSON");
        assert!(error["error"].as_str().is_some_and(|why| !why.is_empty()), "{error}");
    }
}

#[test]
fn every_answer_forbids_what_the_page_does_not_need() {
    let serving = Serving::start(Some(TOKEN));
    for path in ["/", "/metrics", "/api/v1/openapi.json", "/nothing"] {
        let head = serving.get(path).head.to_ascii_lowercase();
        assert!(head.contains("content-security-policy: default-src 'none';"), "{head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
        assert!(head.contains("cache-control: no-"), "{head}");
    }
}

#[test]
fn the_page_is_sent_once_and_then_only_if_it_has_changed() {
    let serving = Serving::start(None);
    let first = serving.get("/");
    assert!(first.status == 200 && first.content.starts_with("<!doctype html>"), "{}", first.head);
    let tag = first.head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
    let head = format!("Host: localhost\r\nIf-None-Match: {tag}\r\nConnection: close");
    let second = serving.ask(&format!("GET / HTTP/1.1\r\n{head}\r\n\r\n"));
    assert_eq!((second.status, second.content.as_str()), (304, ""));
    let script = serving.get("/page/main.js");
    assert!(script.head.contains("content-type: text/javascript"), "{}", script.head);
    for path in ["/page/", "/page/../mod.rs", "/page/%2e%2e/mod.rs", "/page/nothing.js"] {
        assert_eq!(serving.get(path).status, 404, "{path}");
    }
}

#[test]
fn only_get_and_head_are_answered_and_only_where_something_is() {
    let serving = Serving::start(None);
    let of = |method: &str, path: &str| {
        let head = "Host: localhost\r\nContent-Length: 0\r\nConnection: close";
        serving.ask(&format!("{method} {path} HTTP/1.1\r\n{head}\r\n\r\n"))
    };
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"] {
        let answer = of(method, "/api/v1/openapi.json");
        assert!(matches!(answer.status, 400 | 404 | 405), "{method}: {}", answer.head);
    }
    let head = of("HEAD", "/api/v1/openapi.json");
    assert_eq!((head.status, head.content.as_str()), (200, ""));
    assert_eq!(serving.get("/api/v1/nothing").status, 404);
    assert_eq!(serving.get("/api/v1/../../etc/passwd").status, 404);
}

#[test]
fn a_request_for_another_host_is_not_answered() {
    let serving = Serving::start(None);
    let of = |host: &str| {
        let head = format!("{host}Connection: close");
        serving.ask(&format!("GET /api/v1/openapi.json HTTP/1.1\r\n{head}\r\n\r\n"))
    };
    for host in ["localhost", "127.0.0.1:1", "[::1]", "relay.example"] {
        assert_eq!(of(&format!("Host: {host}\r\n")).status, 200, "{host}");
    }
    for host in ["evil.example", "192.0.2.1", "localhost.evil.example"] {
        assert_eq!(of(&format!("Host: {host}\r\n")).status, 421, "{host}");
    }
    assert_eq!(of("").status, 421);
}

#[test]
fn without_the_token_nothing_is_answered() {
    let serving = Serving::start(Some(TOKEN));
    let of = |path: &str, header: &str| {
        let head = format!("Host: any.example\r\n{header}Connection: close");
        serving.ask(&format!("GET {path} HTTP/1.1\r\n{head}\r\n\r\n"))
    };
    for path in ["/", "/metrics", "/api/v1/openapi.json", "/api/v1/live", "/nothing"] {
        for header in ["", "Authorization: Bearer 0123456789abcdef0123456789abcdeg\r\n"] {
            let answer = of(path, header);
            assert_eq!(answer.status, 401, "{path}: {}", answer.head);
            assert!(answer.head.contains("Basic realm=\"relay\""), "{}", answer.head);
        }
    }
    let with = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(of("/api/v1/openapi.json", &with).status, 200);
}

#[test]
fn a_query_that_is_not_understood_is_an_error() {
    let serving = Serving::start(None);
    for path in [
        "/api/v1/explain",
        "/api/v1/explain?from=a",
        "/api/v1/explain?from=a&to=b&service=tcp/0x16",
        "/api/v1/stats?peer=a",
        "/api/v1/dropped?last=-1",
        "/api/v1/dropped?last=5000",
        "/api/v1/dropped?reason=bored",
        "/api/v1/flows?service=99",
        "/api/v1/quotas?peer=no%20name",
        "/api/v1/history",
        "/api/v1/history?since=long",
        "/api/v1/history?since=1h&from=a",
        "/api/v1/history?since=1h&peer=a&rule=b",
    ] {
        let answer = serving.get(path);
        assert_eq!(answer.status, 400, "{path}: {}", answer.content);
    }
}

#[test]
fn heads_and_paths_have_limits() {
    let serving = Serving::start(None);
    assert_eq!(serving.get(&format!("/?{}", "a".repeat(3000))).status, 414);
    let long = format!("X-Long: {}\r\n", "a".repeat(32 << 10));
    let many = "X-Many: a\r\n".repeat(100);
    for headers in [long, many] {
        let head = format!("Host: localhost\r\n{headers}Connection: close");
        let answer = serving.ask(&format!("GET /metrics HTTP/1.1\r\n{head}\r\n\r\n"));
        assert!(matches!(answer.status, 0 | 431), "{}", answer.head);
    }
    // It still answers.
    assert_eq!(serving.get("/api/v1/openapi.json").status, 200);
}

#[test]
fn who_says_nothing_makes_room_for_others() {
    let serving = Serving::start(None);
    let mut idle: Vec<_> = (0..LIMITS.connections * 3).map(|_| serving.connect()).collect();
    for stream in &mut idle {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: loc").expect("a connection");
    }
    assert_eq!(serving.get("/api/v1/openapi.json").status, 200);
}

/// More than the kernel holds of a connection that nobody reads.
const BIG: usize = 64 << 20;

#[test]
fn who_takes_no_answer_makes_room_for_others() {
    async fn big(State(served): State<Served>) -> Response {
        let Ok(place) = served.room.take().await else { panic!("no room") };
        place.answer("text/plain", vec![b'a'; BIG])
    }
    who_takes_nothing_makes_room(get(big));
}

#[test]
fn who_takes_no_rendered_answer_makes_room_for_others() {
    async fn big(State(served): State<Served>) -> Response {
        let Ok(place) = served.room.take().await else { panic!("no room") };
        place.stream("text/plain", |text| {
            io::copy(&mut io::repeat(b'a').take(BIG as u64), text).map(drop)
        })
    }
    who_takes_nothing_makes_room(get(big));
}

fn who_takes_nothing_makes_room(big: MethodRouter<Served>) {
    let serving = Serving::answering(big);
    let mut deaf: Vec<_> = (0..LIMITS.connections).map(|_| serving.connect()).collect();
    for stream in &mut deaf {
        stream.write_all(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a connection");
    }
    let answer = serving.get("/big");
    assert_eq!((answer.status, answer.content.len()), (200, BIG));
}

#[test]
fn an_answer_that_is_not_rendered_to_its_end_is_cut() {
    async fn whole(State(served): State<Served>) -> Response {
        let Ok(place) = served.room.take().await else { panic!("no room") };
        place.stream("text/plain", |text| text.write_all(&[b'a'; 100]))
    }
    async fn cut(State(served): State<Served>) -> Response {
        let Ok(place) = served.room.take().await else { panic!("no room") };
        place.stream("text/plain", |text| {
            text.write_all(&[b'a'; 100])?;
            Err(io::ErrorKind::Other.into())
        })
    }
    for (answers, is_whole) in [(get(whole), true), (get(cut), false)] {
        let serving = Serving::answering(answers);
        let head = "Host: localhost\r\nConnection: close";
        let answer = serving.ask(&format!("GET /big HTTP/1.1\r\n{head}\r\n\r\n"));
        // The last chunk of a whole answer has no content (RFC 9112, section 7.1).
        assert_eq!(answer.content.ends_with("\r\n0\r\n\r\n"), is_whole, "{}", answer.content);
    }
}

#[test]
fn an_address_that_others_reach_needs_tls_and_a_token() {
    let files = Files::new();
    let all = files.credentials();
    let exposed: SocketAddr = "192.0.2.1:9586".parse().expect("an address");
    let local: SocketAddr = "[::1]:9586".parse().expect("an address");
    let refused = |listen, credentials: Credentials| match Access::new(listen, &credentials) {
        Ok(_) => panic!("{credentials:?} is enough for {listen}"),
        Err(error) => error.to_string(),
    };
    for missing in [
        Credentials::default(),
        Credentials { token: None, ..all.clone() },
        Credentials { certificate: None, ..all.clone() },
        Credentials { key: None, ..all.clone() },
    ] {
        let why = refused(exposed, missing.clone());
        assert!(why.contains("needs TLS and a token; give --"), "{why}");
        let any = "0.0.0.0:0".parse().expect("an address");
        assert!(refused(any, missing).contains("needs TLS and a token"));
    }
    assert!(Access::new(exposed, &all).is_ok_and(|access| access.tls.is_some()));
    assert!(Access::new(local, &Credentials::default()).is_ok_and(|access| access.tls.is_none()));
    let half = refused(local, Credentials { key: None, ..all.clone() });
    assert!(half.contains("--certificate without --key"), "{half}");
    for (name, why) in [("token", "found mode 0644"), ("key", "found mode 0644")] {
        files.mode(name, 0o644);
        let found = refused(exposed, all.clone());
        assert!(found.contains(why) && !found.contains(TOKEN), "{found}");
        files.mode(name, 0o640);
    }
    std::fs::write(files.path("token"), "short").expect("a file");
    assert!(refused(exposed, all.clone()).contains("expected a token of at least 32"));
    std::fs::write(files.path("certificate"), "none").expect("a file");
    assert!(refused(exposed, all).contains("found no certificate in PEM"));
}

#[test]
fn tls_is_spoken_where_a_certificate_is_given() {
    let files = Files::new();
    let access = Access::new("127.0.0.1:0".parse().expect("an address"), &files.credentials());
    let access = access.unwrap_or_else(|error| panic!("{error}"));
    let root = files.certificate();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
        let address = listener.local_addr().expect("its address");
        let reader = Reader::start(Sight::new(source(files.0.path())), false).expect("a thread");
        let app = gated(
            Served::new(reader, Tallies::new().1, Answering::new(), METRICS),
            Gate::new(address, Vec::new(), access.token),
        );
        let talk = async {
            let request = format!(
                "GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \
                 {TOKEN}\r\nConnection: close\r\n\r\n"
            );
            let plain = tokio::net::TcpStream::connect(address).await.expect("a connection");
            let name = "localhost".try_into().expect("a name");
            let mut stream = connector(root).connect(name, plain).await.expect("TLS");
            stream.write_all(request.as_bytes()).await.expect("a connection");
            let mut text = Vec::new();
            stream.read_to_end(&mut text).await.expect("an answer");
            assert!(text.starts_with(b"HTTP/1.1 200 OK"));
            let mut plain = tokio::net::TcpStream::connect(address).await.expect("a connection");
            plain.write_all(request.as_bytes()).await.expect("a connection");
            let mut text = Vec::new();
            drop(plain.read_to_end(&mut text).await);
            assert!(!text.starts_with(b"HTTP"), "plain HTTP is answered");
        };
        tokio::select! {
            never = listener::accept(listener, access.tls, app, Limits::DEFAULT) => match never {},
            () = talk => {}
        }
    });
}

/// A certificate for localhost, its key and a token.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().expect("a directory"));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let made = made.expect("a certificate");
        let write = |name: &str, text: String| {
            std::fs::write(files.path(name), text).expect("a file");
            files.mode(name, 0o640);
        };
        write("certificate", made.cert.pem());
        write("key", made.signing_key.serialize_pem());
        write("token", format!("{TOKEN}\n"));
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn mode(&self, name: &str, mode: u32) {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.path(name), mode).expect("a file");
    }

    fn credentials(&self) -> Credentials {
        Credentials {
            certificate: Some(self.path("certificate")),
            key: Some(self.path("key")),
            token: Some(self.path("token")),
        }
    }

    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path("certificate")).expect("a certificate")
    }
}

fn connector(root: CertificateDer<'static>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(root).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}
