use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{failure::Failure, token::Token};

/// What a request passes before anything answers it.
pub(super) struct Gate {
    /// Names that a request may be for; `None` is any.
    hosts: Option<Vec<String>>,
    token: Option<Token>,
}

/// Bytes of the longest path with its query.
const LONGEST_PATH: usize = 2048;

/// Headers of every answer. The page and its files come from here, and nothing from elsewhere; no
/// other page shows, reads or embeds it.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
             connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

impl Gate {
    /// For what listens on this address. On a loopback address without a token, only requests for
    /// that address, `localhost` or one of `hosts` pass: a page from elsewhere can make a browser
    /// ask its own host by a name that it resolves to 127.0.0.1 (DNS rebinding).
    pub(super) fn new(listen: SocketAddr, hosts: Vec<String>, token: Option<Token>) -> Self {
        let is_open = token.is_none() && listen.ip().is_loopback();
        Self { hosts: is_open.then_some(hosts), token }
    }

    fn judge(&self, request: &Request) -> Result<(), Failure> {
        let uri = request.uri();
        let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
        if path > LONGEST_PATH {
            let why = format!("the path has {path} bytes, of at most {LONGEST_PATH}");
            return Err(Failure::new(StatusCode::URI_TOO_LONG, why));
        }
        if let Some(hosts) = &self.hosts {
            let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
            let named = uri.authority().map(Authority::as_str).or(host).unwrap_or_default();
            if !is_for(named, hosts) {
                let why = "this relay does not go by the name in the Host header; ask for \
                           localhost, or start `relay serve` with --host";
                return Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, why));
            }
        }
        let Some(token) = &self.token else { return Ok(()) };
        let given = request.headers().get(header::AUTHORIZATION);
        if given.is_some_and(|given| token.is_in(given.as_bytes())) {
            return Ok(());
        }
        let why = "the token is missing or wrong; send it as a bearer token, or as the password of \
                   any user";
        Err(Failure::new(StatusCode::UNAUTHORIZED, why))
    }
}

/// Lets a request pass, or answers it; sets the headers of the answer.
pub(super) async fn check(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let mut response = match gate.judge(&request) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    set(response.headers_mut());
    response
}

fn set(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
}

/// Whether `name`, with or without a port, is an address of this host's loopback, `localhost`, or one
/// of `hosts`.
fn is_for(name: &str, hosts: &[String]) -> bool {
    let Ok(authority) = name.parse::<Authority>() else { return false };
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_loopback = address.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    is_loopback
        || host.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|known| host.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_anybody_can_point_here_is_not_ours() {
        let hosts = ["relay.example".to_owned()];
        let ours = [
            "127.0.0.1",
            "127.0.0.1:9586",
            "[::1]:9586",
            "[::1]",
            "localhost",
            "LOCALHOST:80",
            "relay.example:9586",
        ];
        for name in ours {
            assert!(is_for(name, &hosts), "{name}");
        }
        let theirs = [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.1",
            "0.0.0.0",
            "[::]",
            "user@relay.example.evil",
            "relay.example relay.example",
        ];
        for name in theirs {
            assert!(!is_for(name, &hosts), "{name}");
        }
    }
}
