use std::net::{IpAddr, Ipv6Addr};

use super::{dns::is_dns_name, fault::Fault, value::decimal};
use crate::model::WebhookUrl;

/// The URL of a webhook: https, or http to a loopback address. Messages never quote it, because its
/// path may hold a token.
pub(super) fn webhook_url(text: &str) -> Result<WebhookUrl, Fault> {
    const EXAMPLE: &str =
        "write \"https://host/path\", such as \"https://hooks.example.org/relay\"";
    let fault = |problem: &str| Fault::new(problem, EXAMPLE);
    let (is_tls, rest) = match text.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        Some(_) | None => return Err(fault("does not begin with https://")),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    if authority.contains('@') {
        let remedy = "leave it out; the receiver knows requests by their signature";
        return Err(Fault::new("has a user or a password in it", remedy));
    }
    let (host, port) = match authority.rsplit_once(':') {
        // The last part of an IPv6 address is not a port.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    };
    let address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => match inner.parse::<Ipv6Addr>() {
            Ok(address) => Some(IpAddr::V6(address)),
            Err(_) => return Err(fault("has no IPv6 address between its brackets")),
        },
        None => host.parse().ok().map(IpAddr::V4),
    };
    if address.is_none() && !is_dns_name(host) {
        return Err(fault("has neither a DNS name nor an IP address"));
    }
    let port = match port.map(decimal) {
        None if is_tls => 443,
        None => 80,
        Some(Some(port)) if port > 0 => port,
        Some(_) => return Err(fault("has no port from 1 to 65535 behind its colon")),
    };
    let is_local = address.map_or(host == "localhost", |address| address.is_loopback());
    if !is_tls && !is_local {
        let remedy = "write https://, or http:// to a loopback address";
        return Err(Fault::new("is http to another host, where others can read it", remedy));
    }
    // RFC 3986, section 3.3 and 3.4. A fragment is never sent.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=:@/?".contains(c);
    if !target.chars().all(is_plain) {
        let remedy = "write other characters as %XX, and no # part";
        return Err(Fault::new("has a character that no path or query has", remedy));
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok(WebhookUrl {
        is_tls,
        host: address.map_or_else(|| host.to_owned(), |address| address.to_string()),
        port,
        target: format!("{slash}{target}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let of = |text: &str| {
            let url = webhook_url(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
            (url.to_string(), url.host, url.port, url.target)
        };
        let cases = [
            ("https://a.example", ("https://a.example", "a.example", 443, "/")),
            (
                "https://a.example:444/b?c=%20d",
                ("https://a.example:444", "a.example", 444, "/b?c=%20d"),
            ),
            ("https://192.0.2.1?x", ("https://192.0.2.1", "192.0.2.1", 443, "/?x")),
            ("https://[2001:DB8::1]/", ("https://[2001:db8::1]", "2001:db8::1", 443, "/")),
            ("http://[::1]:8080/", ("http://[::1]:8080", "::1", 8080, "/")),
            ("http://localhost/a", ("http://localhost", "localhost", 80, "/a")),
            ("http://127.0.0.2:80", ("http://127.0.0.2", "127.0.0.2", 80, "/")),
        ];
        for (text, (origin, host, port, target)) in cases {
            assert_eq!(of(text), (origin.into(), host.into(), port, target.into()), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_an_error_that_does_not_show_it() {
        for text in [
            "",
            "a.example",
            "ftp://token",
            "http://token",
            "http://192.0.2.1/token",
            "https://",
            "https:///token",
            "https://me:token@a.example/",
            "https://a.example:/token",
            "https://a.example:0/token",
            "https://a.example:65536/token",
            "https://[::1/token",
            "https://::1/token",
            "https://[token]/",
            "https://a.example/#token",
            "https://a.example/to ken",
            "https://a.example/tokené",
            "https://1.2.3/token",
            "HTTPS://a.example/token",
            "https://-token-.example",
        ] {
            let fault = webhook_url(text).expect_err(text).to_string();
            assert!(!fault.contains("token"), "{text}: {fault}");
        }
    }
}
