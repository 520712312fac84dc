use rcgen::{CertificateParams, DnType, KeyPair};
use tokio::sync::broadcast;
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::{
    receiver::{Received, Receiver},
    *,
};
use crate::{
    engine::chain,
    serve::webhooks::{
        delivery::Delivery,
        message::Message,
        post::{Answer, Limits, Post, request, send},
        signature::signature,
        trust::trusting,
    },
};

/// Sends one event to a receiver with these answers.
async fn sent(answers: &[&'static str]) -> (Result<Answer, PostError>, Receiver) {
    let receiver = Receiver::start(answers, None).await;
    let site = Site::new(false, receiver.port);
    let answer = Client::default().post(&site.webhook, &message()).await;
    (answer, receiver)
}

fn message() -> Message {
    Message { id: ids().next(), event: offline(7), since: tokio::time::Instant::now() }
}

/// Checks the signature as a receiver has to.
fn assert_signed(received: &Received) {
    let [id, timestamp, signed] =
        ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| received.header(name));
    let secret = SECRET.parse().expect("a secret");
    let timestamp = timestamp.parse().expect("a number");
    assert_eq!(signed, signature(&secret, id, timestamp, &received.body));
    assert!(crate::engine::now().abs_diff(timestamp) < 300, "{timestamp}");
}

#[tokio::test]
async fn an_event_is_a_signed_request() {
    let (answer, mut receiver) = sent(&[]).await;
    assert_eq!(answer.expect("an answer").status.as_u16(), 204);
    let received = receiver.next().await;
    assert!(received.head.starts_with("POST /relay?from=here HTTP/1.1\r\n"), "{}", received.head);
    assert_eq!(received.header("content-type"), "application/json");
    assert_eq!(received.header("host"), format!("localhost:{}", receiver.port));
    assert!(received.body.contains(r#""type":"peer_offline","peer":"7"}"#), "{}", received.body);
    assert_signed(&received);
    assert!(!format!("{received:?}").contains(&SECRET[6..]), "{received:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (answer, mut receiver) =
        sent(&["HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\n\r\n"]).await;
    assert_eq!(answer.expect("an answer").status.as_u16(), 307);
    receiver.next().await;
    assert!(receiver.requests.try_recv().is_err(), "it was followed");
}

#[tokio::test]
async fn a_receiver_says_when_it_wants_to_be_tried_again() {
    let (answer, _receiver) =
        sent(&["HTTP/1.1 503 Service Unavailable\r\nretry-after: 77\r\n\r\n"]).await;
    assert_eq!(answer.expect("an answer").retry_after, Some(Duration::from_secs(77)));
}

#[tokio::test]
async fn a_body_without_an_end_is_not_read() {
    let (answer, _receiver) = sent(&["forever"]).await;
    assert!(answer.expect("an answer").status.is_success());
}

#[tokio::test]
async fn a_receiver_that_says_nothing_has_its_time() {
    let receiver = Receiver::start(&["silence"], None).await;
    let site = Site::new(false, receiver.port);
    let limits = Limits { answer: Duration::from_millis(50), ..Limits::DEFAULT };
    let request = request(&site.webhook, &message()).expect("a request");
    let slow = send(&site.webhook.url, None, request, limits).await.expect_err("no answer");
    assert!(matches!(slow, PostError::Slow { what: "no answer", .. }), "{slow}");
}

#[tokio::test]
async fn what_is_no_answer_is_an_error_that_does_not_show_the_path() {
    let (wrong, receiver) = sent(&["SSH-2.0-OpenSSH_9.2\r\n\r\n"]).await;
    let text = chain(&wrong.expect_err("no HTTP"));
    let port = receiver.port;
    assert!(text.starts_with(&format!("http://localhost:{port}: no answer: ")), "{text}");
    drop(receiver);
    let site = Site::new(false, port);
    let refused = Client::default().post(&site.webhook, &message()).await.expect_err("nobody");
    let text = chain(&refused);
    assert!(text.starts_with(&format!("http://localhost:{port}: cannot connect: ")), "{text}");
    assert!(!format!("{:?}", site.webhook).contains("from="), "{:?}", site.webhook);
}

#[tokio::test]
async fn without_a_secret_nothing_is_sent() {
    let mut receiver = Receiver::start(&[], None).await;
    let mut site = Site::new(false, receiver.port);
    let trying = async |webhook: &Webhook| {
        let failed = Client::default().post(webhook, &message()).await.expect_err("no secret");
        chain(&failed)
    };
    fs::write(&site.webhook.secret_file, &SECRET[..20]).expect("a file");
    let text = trying(&site.webhook).await;
    assert!(text.contains("is not base64") && !text.contains(&SECRET[..20]), "{text}");
    site.webhook.secret_file = site.files.path().join("nothing");
    let text = trying(&site.webhook).await;
    assert!(text.contains("does not exist; create it with"), "{text}");
    assert!(receiver.requests.try_recv().is_err(), "it was sent all the same");
}

#[tokio::test]
async fn a_failed_request_is_repeated_with_the_same_id() {
    const ERROR: &str = "HTTP/1.1 500 Internal Server Error\r\n\r\n";
    let mut receiver = Receiver::start(&[ERROR, ERROR], None).await;
    let site = Site::new(false, receiver.port);
    let (feed, _) = broadcast::channel(16);
    let (_settings, read) = watch::channel(site.webhook.clone());
    let (ending, ended) = watch::channel(());
    let tally = Arc::new(Tally::new(site.webhook.name.clone()));
    let inbox = Inbox::new(read, feed.clone(), ended, Queue::new(ids()), Arc::clone(&tally));
    let pace = Pace { first: Duration::from_millis(1), most: Duration::from_millis(2) };
    let delivery = Delivery::new(inbox, Client::default(), pace, Arc::clone(&tally), |_| {});
    feed.send(offline(7)).expect("a delivery");
    let test = async {
        let received = [receiver.next().await, receiver.next().await, receiver.next().await];
        for request in &received {
            assert_eq!(request.header("webhook-id"), received[0].header("webhook-id"));
            assert_eq!(request.body, received[0].body);
            assert_signed(request);
        }
        while tally.delivered.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        drop(ending);
    };
    tokio::join!(delivery.run(), test);
    let [delivered, failed, waiting] = [&tally.delivered, &tally.failed, &tally.waiting]
        .map(|count| count.load(Ordering::Relaxed));
    assert_eq!((delivered, failed, waiting), (1, 2, 0));
    assert!(receiver.requests.try_recv().is_err(), "it was sent again");
}

#[tokio::test]
async fn a_certificate_that_nobody_knows_is_not_accepted() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let made = made.expect("a certificate");
    let own = CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).expect("a certificate");
    let key = made.signing_key.serialize_pem();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![own.clone()], key));
    let mut receiver = Receiver::start(&[], Some(server.expect("a server"))).await;
    let site = Site::new(true, receiver.port);
    let mut other = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    other.distinguished_name.push(DnType::CommonName, "somebody else");
    let key = KeyPair::generate().expect("a key");
    let other = other.self_signed(&key).expect("a certificate").der().clone();
    let trying = async |root: CertificateDer<'static>| {
        let mut roots = RootCertStore::empty();
        roots.add(root).expect("a root");
        let tls = Some(Arc::new(trusting(roots).expect("TLS")));
        let request = request(&site.webhook, &message()).expect("a request");
        send(&site.webhook.url, tls, request, Limits::DEFAULT).await
    };
    let untrusted = trying(other).await.expect_err("not trusted");
    let text = chain(&untrusted);
    assert!(
        text.contains("the issuer of its certificate is not trusted; if it should be"),
        "{text}"
    );
    assert!(receiver.requests.try_recv().is_err(), "it was sent all the same");
    assert_eq!(trying(own).await.expect("an answer").status.as_u16(), 204);
    assert_signed(&receiver.next().await);
}
