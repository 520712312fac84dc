//! A receiver on this host, and `relay webhook test`.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
};

use rcgen::{CertificateParams, DnType, KeyPair};
use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::{
    schema,
    site::{OTHERS, Run, Site},
};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// What a receiver was sent: head and body.
type Received = JoinHandle<Option<(String, String)>>;

/// Gives one connection an answer. Returns its port, and what it was sent.
fn receiver(answer: &'static str, tls: Option<ServerConfig>) -> (u16, Received) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let port = listener.local_addr().expect("its address").port();
    let received = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        match tls {
            None => serve(stream, answer),
            Some(config) => {
                let session = ServerConnection::new(Arc::new(config)).expect("a session");
                serve(StreamOwned::new(session, stream), answer)
            }
        }
    });
    (port, received)
}

fn serve(mut stream: impl Read + Write, answer: &str) -> Option<(String, String)> {
    let mut text = String::new();
    loop {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).ok().filter(|read| *read > 0)?;
        text.push_str(str::from_utf8(&bytes[..read]).expect("text"));
        // The object is the whole body.
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.ends_with('}')
        {
            let received = (head.to_owned(), body.to_owned());
            stream.write_all(answer.as_bytes()).ok()?;
            return Some(received);
        }
    }
}

fn site(url: &str) -> Site {
    let text = format!(
        "[relay]\naddress = [\"10.3.2.1/24\"]\n[[peer]]\nname = \"a\"\npublic_key = \"{}\"\n\
         address = [\"10.3.2.2\"]\n[[webhook]]\nname = \"ops\"\nurl = \"{url}\"\n\
         secret_file = \"ops.secret\"\n",
        OTHERS[0]
    );
    let site = Site::with(&text);
    site.write("ops.secret", SECRET, 0o600);
    site
}

fn require_hidden(run: &Run) {
    for hidden in [&SECRET[6..], "token"] {
        assert!(!run.out.contains(hidden) && !run.err.contains(hidden), "{run}");
    }
}

#[test]
fn a_try_is_one_signed_event_and_changes_nothing() {
    let (port, received) = receiver("HTTP/1.1 204 No Content\r\n\r\n", None);
    let site = site(&format!("http://127.0.0.1:{port}/token"));
    let before = site.tree();
    let run = site.relay("webhook test ops").ended(0);
    let answered = format!("http://127.0.0.1:{port} answered 204 No Content in ");
    assert!(run.out.starts_with(&answered), "{run}");
    require_hidden(&run);
    let (head, body) = received.join().expect("a receiver").expect("a request");
    assert!(head.starts_with("POST /token HTTP/1.1\r\n"), "{head}");
    for header in ["webhook-id: evt_", "webhook-timestamp: ", "webhook-signature: v1,"] {
        assert!(head.contains(header), "{head}");
    }
    let event = schema::parse("events", &body);
    assert_eq!((&event["type"], &event["interface"]), (&"test".into(), &"relay0".into()));
    assert_eq!(site.tree(), before);
}

#[test]
fn whatever_is_no_success_is_a_failure_that_says_why() {
    let (port, received) = receiver("HTTP/1.1 403 Forbidden\r\n\r\n", None);
    let site = site(&format!("http://localhost:{port}/token"));
    let run = site.relay("webhook test ops").ended(1);
    assert!(run.out.contains(" answered 403 Forbidden in "), "{run}");
    assert_eq!(run.err, "relay: webhook ops: the event was not accepted\n");
    received.join().expect("a receiver");
    let run = site.relay("webhook test ops").ended(1);
    let refused = format!("relay: http://localhost:{port}: cannot connect: Connection refused");
    assert!(run.err.starts_with(&refused), "{run}");
    require_hidden(&run);

    let run = site.relay("webhook test opps").ended(2);
    assert!(run.err.contains("found no webhook opps, expected one of ops"), "{run}");
    site.relay("webhook test Ops").ended(2);
}

#[test]
fn a_receiver_is_trusted_if_its_issuer_is() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let config = || {
        let pem = made.cert.pem();
        let chain = vec![CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes());
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        builder.with_no_client_auth().with_single_cert(chain, key.expect("a key")).expect("TLS")
    };
    for (is_trusted, code) in [(true, 0), (false, 1)] {
        let (port, received) = receiver("HTTP/1.1 200 OK\r\n\r\n", Some(config()));
        let site = site(&format!("https://localhost:{port}/token"));
        let roots = if is_trusted { made.cert.pem() } else { other_certificate() };
        site.write("roots.pem", &roots, 0o644);
        let mut command = site.command("webhook test ops");
        let output = command.env("SSL_CERT_FILE", site.path("roots.pem")).output();
        let output = output.expect("relay ends");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert_eq!(received.join().expect("a receiver").is_some(), is_trusted);
        let why = "the issuer of its certificate is not trusted; if it should be, add";
        assert_eq!(text.contains(why), !is_trusted, "{text}");
    }
}

/// One with another issuer's name.
fn other_certificate() -> String {
    let mut made = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    made.distinguished_name.push(DnType::CommonName, "somebody else");
    let key = KeyPair::generate().expect("a key");
    made.self_signed(&key).expect("a certificate").pem()
}

#[test]
fn a_secret_is_checked_with_the_configuration() {
    let site = site("https://hooks.example.org/token");
    site.relay("check").ended(0);
    site.write("ops.secret", SECRET, 0o644);
    let run = site.relay("check").ended(0);
    assert!(
        run.err.contains("webhook.ops.secret_file: ") && run.err.contains("mode 0644"),
        "{run}"
    );
    for (content, why) in [
        (
            "whsec_token",
            "the content of /etc/relay/ops.secret is not base64, with or without whsec_",
        ),
        ("whsec_aGVsbG8=", "the content of /etc/relay/ops.secret has 5 bytes, not 24 to 64"),
    ] {
        site.write("ops.secret", content, 0o600);
        let run = site.relay("check").ended(2);
        let text = run.to_string();
        assert!(text.contains("relay.toml:10:15: webhook.ops.secret_file: "), "{text}");
        assert!(text.contains(why), "{text}");
        require_hidden(&run);
    }
    std::fs::remove_file(site.path("ops.secret")).expect("removed");
    let run = site.relay("check").ended(2);
    assert!(run.err.contains("does not exist; create it with (umask 077; echo whsec_"), "{run}");
}
