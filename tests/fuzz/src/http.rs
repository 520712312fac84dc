//! What clients send to `relay serve`: each gets an answer or an end, nobody one that needs a token
//! without it, and on loopback nobody by the name of another host.

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use relay::{
    engine::Source,
    serve::{self, Credentials, Metrics, Options},
};
use tempfile::TempDir;

use crate::{choices::Choices, run::Run};

/// In the inputs that have one.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Until a client that is not answered says no more.
const PATIENCE: Duration = Duration::from_millis(100);
/// Then it is over at once.
const DEADLINE: Duration = Duration::from_secs(20);

/// What the names of a relay without a token have in them.
const OURS: [&str; 3] = ["localhost", "127.", "1]"];

/// Bytes that are read of an answer. Some have no end.
const ENOUGH: usize = 1 << 20;

pub(crate) fn start() -> Run {
    let files = tempfile::tempdir().expect("a directory");
    let open = serving(&files, None);
    let closed = serving(&files, Some(TOKEN));
    Box::new(move |input| {
        // They are there as long as the servers.
        let _files = &files;
        let mut choices = Choices::of(input);
        let needs_token = choices.below(2) == 1;
        let request = choices.rest();
        let answer = ask(if needs_token { closed } else { open }, request);
        let says = String::from_utf8_lossy(request).to_ascii_lowercase();
        let may_look = match needs_token {
            true => has_token(request),
            false => OURS.iter().any(|ours| says.contains(ours)),
        };
        assert!(answer.is_empty() || answer.starts_with("HTTP/1."), "{answer:?}");
        let looks = ["HTTP/1.1 2", "HTTP/1.0 2", "HTTP/1.1 3", "HTTP/1.0 3"];
        let is_answered = looks.iter().any(|status| answer.contains(status));
        assert!(may_look || !is_answered, "{answer}");
    })
}

/// Starts a server that lasts as long as the process.
fn serving(files: &TempDir, token: Option<&str>) -> SocketAddr {
    let config = files.path().join("relay.toml");
    fs::write(&config, include_str!("preamble.toml")).expect("a file");
    let token = token.map(|token| {
        let path = files.path().join("token");
        fs::write(&path, token).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
        path
    });
    let options = Options {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        hosts: Vec::new(),
        credentials: Credentials { certificate: None, key: None, token },
        source: source(&config, files.path()),
        metrics: Metrics { most_pairs: 10, compat: true },
        records: false,
    };
    let (ready, address) = mpsc::channel();
    thread::spawn(move || {
        let said = |address, _is_tls| {
            ready.send(address).expect("somebody waits");
            Ok(())
        };
        let ended = serve::run(options, said, async || std::future::pending().await);
        panic!("the server has ended: {:?}", ended.err().map(|error| error.chain()));
    });
    address.recv().expect("it listens")
}

fn source(config: &Path, files: &Path) -> Source {
    Source {
        config: config.to_owned(),
        bpffs: files.to_owned(),
        state: files.to_owned(),
        interface: None,
        verb: "serve",
        notice: |_| {},
    }
}

/// What comes back. A request whose head has no end is given one. Who is answered or has waited says
/// no more, and then it has to be over, unless the answer is a stream.
fn ask(server: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(DEADLINE)).expect("a socket");
    // A server that has seen enough may close before all of it is written.
    drop(stream.write_all(request));
    if !request.windows(4).any(|end| end == b"\r\n\r\n") {
        drop(stream.write_all(b"\r\n\r\n"));
    }
    let mut answer = Vec::new();
    let mut part = [0; 16 << 10];
    let mut has_ended = false;
    while answer.len() <= ENOUGH {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(len) => answer.extend_from_slice(&part[..len]),
            // The fuzzer has an alarm.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => {
                let is_late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                assert!(is_late, "{error}");
                if !answer.is_empty() {
                    break;
                }
                assert!(!has_ended, "neither an answer nor an end");
                stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
            }
        }
        if !has_ended {
            has_ended = true;
            // The other side may have closed already.
            drop(stream.shutdown(Shutdown::Write));
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Whether any word of a request is the token, or a user's name and the token in base64.
fn has_token(request: &[u8]) -> bool {
    let has = |bytes: &[u8]| bytes.windows(TOKEN.len()).any(|word| word == TOKEN.as_bytes());
    let words = request.split(u8::is_ascii_whitespace);
    has(request) || words.into_iter().any(|word| STANDARD.decode(word).is_ok_and(|it| has(&it)))
}
