use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hyper::{HeaderMap, Request, StatusCode, client::conn::http1, header, http};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, CertificateError, ClientConfig,
        pki_types::{InvalidDnsNameError, ServerName},
    },
};

use super::{
    message::Message,
    signature::signature,
    trust::{Trust, TrustError},
};
use crate::{
    config::{Fault, read_signing_secret},
    engine::{self, Classified},
    model::{Webhook, WebhookUrl},
};

/// Sends events to a webhook.
pub(super) trait Post {
    /// Sends one, once.
    async fn post(&mut self, webhook: &Webhook, message: &Message) -> Result<Answer, PostError>;
}

/// Sends them over HTTP, each on a connection of its own.
#[derive(Default)]
pub(super) struct Client {
    trust: Trust,
}

/// What a receiver may take of the time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For name, connection and TLS.
    pub(super) connect: Duration,
    /// For request and answer.
    pub(super) answer: Duration,
}

/// What a receiver answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// When it wants to be tried again.
    pub(super) retry_after: Option<Duration>,
}

/// A receiver did not answer. The text never has a path, a query or a secret in it.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// There is nothing to sign with.
    #[error("{0}")]
    Secret(Fault),
    /// The event is no JSON.
    #[error("the event cannot be written as JSON")]
    Encode(#[from] serde_json::Error),
    /// The request is none.
    #[error("the request cannot be written")]
    Request(#[from] http::Error),
    /// No certificate can be trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Its name has no address.
    #[error("{url}: its name has no address")]
    Resolve {
        /// Where it was to be sent.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// Plain HTTP would leave the host.
    #[error("{url}: its name has no loopback address, which http needs")]
    NotLocal {
        /// Where it was to be sent.
        url: String,
    },
    /// Nobody listens there, or it cannot be reached.
    #[error("{url}: cannot connect")]
    Connect {
        /// Where it was to be sent.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// Its certificate is not for a name like this.
    #[error("{url}: no certificate can be for its name")]
    Name {
        /// Where it was to be sent.
        url: String,
        /// Why.
        source: InvalidDnsNameError,
    },
    /// Its certificate is from somebody whom this host does not know.
    #[error(
        "{url}: the issuer of its certificate is not trusted; if it should be, add the issuer's \
         certificate to those of this host with update-ca-certificates"
    )]
    Untrusted {
        /// Where it was to be sent.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// It speaks no TLS, or its certificate is wrong.
    #[error("{url}: no TLS connection")]
    Tls {
        /// Where it was to be sent.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// It answered with something else than HTTP, or not at all.
    #[error("{url}: no answer")]
    Http {
        /// Where it was to be sent.
        url: String,
        /// Why.
        source: hyper::Error,
    },
    /// It took too long.
    #[error("{url}: {what} within {} seconds", .limit.as_secs())]
    Slow {
        /// Where it was to be sent.
        url: String,
        /// What did not happen.
        what: &'static str,
        /// The time it had.
        limit: Duration,
    },
}

impl Classified for PostError {}

impl Limits {
    /// For everyday use.
    pub(super) const DEFAULT: Self =
        Self { connect: Duration::from_secs(10), answer: Duration::from_secs(20) };
}

/// Bytes and lines of the longest head of an answer. Its body is not read.
const HEAD_BYTES: usize = 16 << 10;
const HEAD_LINES: usize = 64;

impl Post for Client {
    async fn post(&mut self, webhook: &Webhook, message: &Message) -> Result<Answer, PostError> {
        let request = request(webhook, message)?;
        let tls = if webhook.url.is_tls { Some(self.trust.config()?) } else { None };
        let sent = send(&webhook.url, tls, request, Limits::DEFAULT).await;
        if sent.is_err() {
            self.trust.forget();
        }
        sent
    }
}

/// The request, signed now.
pub(super) fn request(webhook: &Webhook, message: &Message) -> Result<Request<String>, PostError> {
    let body = serde_json::to_string(&*message.event)?;
    let timestamp = engine::now();
    let secret = read_signing_secret(&webhook.secret_file).map_err(PostError::Secret)?;
    let signature = signature(&secret, &message.id, timestamp, &body);
    let request = Request::post(&webhook.url.target)
        .header(header::HOST, webhook.url.authority())
        .header(header::USER_AGENT, concat!("relay/", env!("CARGO_PKG_VERSION")))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature);
    Ok(request.body(body)?)
}

/// Sends a request to a URL, with TLS if it is https.
pub(super) async fn send(
    url: &WebhookUrl,
    tls: Option<Arc<ClientConfig>>,
    request: Request<String>,
    limits: Limits,
) -> Result<Answer, PostError> {
    let slow = |what, limit| move |_elapsed| PostError::Slow { url: url.to_string(), what, limit };
    let connected = async {
        let stream = connect(url).await?;
        Ok::<_, PostError>(match tls {
            None => Connection::Plain(stream),
            Some(tls) => Connection::Secured(Box::new(secured(url, tls, stream).await?)),
        })
    };
    let connected = timeout(limits.connect, connected).await;
    let connected = connected.map_err(slow("no connection", limits.connect))??;
    let answer = async {
        match connected {
            Connection::Plain(stream) => exchange(url, stream, request).await,
            Connection::Secured(stream) => exchange(url, stream, request).await,
        }
    };
    timeout(limits.answer, answer).await.map_err(slow("no answer", limits.answer))?
}

enum Connection {
    Plain(TcpStream),
    Secured(Box<TlsStream<TcpStream>>),
}

async fn connect(url: &WebhookUrl) -> Result<TcpStream, PostError> {
    let to = || url.to_string();
    let found = lookup_host((url.host.as_str(), url.port)).await;
    let found = found.map_err(|source| PostError::Resolve { url: to(), source })?;
    let usable = |address: &SocketAddr| url.is_tls || address.ip().is_loopback();
    let addresses: Vec<_> = found.filter(usable).collect();
    if addresses.is_empty() {
        return Err(PostError::NotLocal { url: to() });
    }
    let stream = TcpStream::connect(addresses.as_slice()).await;
    stream.map_err(|source| PostError::Connect { url: to(), source })
}

async fn secured(
    url: &WebhookUrl,
    tls: Arc<ClientConfig>,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, PostError> {
    let to = || url.to_string();
    let name = ServerName::try_from(url.host.clone());
    let name = name.map_err(|source| PostError::Name { url: to(), source })?;
    let secured = TlsConnector::from(tls).connect(name, stream).await;
    secured.map_err(|source| {
        let cause = source.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        match cause {
            Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                PostError::Untrusted { url: to(), source }
            }
            Some(_) | None => PostError::Tls { url: to(), source },
        }
    })
}

async fn exchange(
    url: &WebhookUrl,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    request: Request<String>,
) -> Result<Answer, PostError> {
    let failed = |source| PostError::Http { url: url.to_string(), source };
    let mut client = http1::Builder::new();
    client.max_buf_size(HEAD_BYTES).max_headers(HEAD_LINES);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let mut answer = pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // Where the connection ends first, the answer is there already, or why there is none.
        _ = connection => answer.await,
    };
    let answer = answer.map_err(failed)?;
    let retry_after = retry_after(answer.headers(), SystemTime::now());
    Ok(Answer { status: answer.status(), retry_after })
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_receiver_says_when_to_come_back_in_seconds_or_by_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().expect("a value"));
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(of("120"), Some(120));
        assert_eq!(of("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30));
        for text in ["Sun, 06 Nov 1994 08:49:07 GMT", "soon", "-1", ""] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
