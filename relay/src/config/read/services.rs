//! `ports` of rules, `allow` and `deny` of tests.

use super::{fault::Fault, shown::shown, value::decimal};
use crate::model::{PROTOCOLS, Service, Services, Transport};

const EXAMPLES: &str = "write ports such as \"tcp/22\" or \"udp/8000-8100\", \"icmp/echo\", \"icmp\", the name of a \
                        protocol, or \"proto/N\"";

/// Protocols that have words of their own.
const WORDS: [(u16, &str); 4] = [(1, "icmp"), (6, "tcp"), (17, "udp"), (58, "icmp")];

/// IPv6 extension headers, behind which the protocol stands (RFC 8200, section 4).
const EXTENSIONS: [u16; 4] = [0, 43, 44, 60];

/// Some services, as `tcp/22`, `tcp/8000-8100`, `icmp/echo` or `sctp`.
///
/// # Errors
/// It is none.
pub fn services(text: &str) -> Result<Services, Fault> {
    let (protocol, part) = match text.split_once('/') {
        Some((protocol, part)) => (protocol, Some(part)),
        None => (text, None),
    };
    match (protocol, part) {
        ("tcp", part) => ports(text, Transport::Tcp, part),
        ("udp", part) => ports(text, Transport::Udp, part),
        ("icmp", None) => Ok(Services::Icmp),
        ("icmp", Some("echo")) => Ok(Services::Echo),
        ("icmp", Some(_)) => {
            let problem = format!("{} is neither \"icmp\" nor \"icmp/echo\"", shown(text));
            let remedy = "write \"icmp/echo\" for ping, or \"icmp\" for every message; both hold for \
                          ICMPv6, too";
            Err(Fault::new(problem, remedy))
        }
        ("proto", Some(number)) => numbered(text, number),
        (name, part) => named(text, name, part),
    }
}

/// One service, as `tcp/22`, `icmp/echo` or `sctp`.
///
/// # Errors
/// It is none, or several.
pub fn service(text: &str) -> Result<Service, Fault> {
    match services(text)? {
        Services::Ports { transport, first, last } if first == last => {
            Ok(Service::Port(transport, first))
        }
        Services::Ports { transport, first, .. } => {
            let problem = format!("{} is more than one port", shown(text));
            let example = if first == 0 { 22 } else { first };
            let remedy = format!("write single ports of it, such as \"{transport}/{example}\"");
            Err(Fault::new(problem, remedy))
        }
        Services::Echo => Ok(Service::Echo),
        Services::Icmp => Ok(Service::Icmp),
        Services::Protocol(number) => Ok(Service::Protocol(number)),
    }
}

fn ports(text: &str, transport: Transport, part: Option<&str>) -> Result<Services, Fault> {
    let Some(part) = part else {
        return Ok(Services::Ports { transport, first: 0, last: u16::MAX });
    };
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    match (decimal(first), decimal(last)) {
        (Some(0), Some(_)) | (Some(_), Some(0)) => {
            let problem = format!("{} has port 0, which nothing listens on", shown(text));
            let remedy = format!("write ports from 1, or \"{transport}\" for all ports");
            Err(Fault::new(problem, remedy))
        }
        (Some(first), Some(last)) if last < first => {
            let problem = format!("{} has its range reversed", shown(text));
            Err(Fault::new(problem, format!("write \"{transport}/{last}-{first}\"")))
        }
        (Some(first), Some(last)) => Ok(Services::Ports { transport, first, last }),
        (None, _) | (_, None) => {
            let problem = format!("{} has no port from 1 to 65535", shown(text));
            let remedy = format!(
                "write \"{transport}/22\", a range such as \"{transport}/8000-8100\", or \"{transport}\" \
                 for all ports"
            );
            Err(Fault::new(problem, remedy))
        }
    }
}

fn numbered(text: &str, number: &str) -> Result<Services, Fault> {
    let number = decimal(number);
    let word = WORDS.iter().find(|(known, _)| Some(*known) == number);
    if let Some((_, word)) = word {
        let problem = format!("{} has a word of its own", shown(text));
        return Err(Fault::new(problem, format!("write \"{word}\"")));
    }
    if number.is_some_and(|number| EXTENSIONS.contains(&number)) {
        let problem = format!("{} is an IPv6 extension header, not a protocol", shown(text));
        return Err(Fault::new(problem, "write the protocol behind it"));
    }
    match number.and_then(|number| u8::try_from(number).ok()) {
        Some(number) => Ok(Services::Protocol(number)),
        None => {
            let problem = format!("{} has no protocol number from 0 to 255", shown(text));
            Err(Fault::new(problem, "write a number of IANA's list, such as \"proto/132\""))
        }
    }
}

fn named(text: &str, name: &str, part: Option<&str>) -> Result<Services, Fault> {
    let known = PROTOCOLS.iter().find(|(known, _)| *known == name);
    match (known, part) {
        (Some((_, number)), None) => Ok(Services::Protocol(*number)),
        (Some((name, _)), Some(_)) => {
            let problem =
                format!("{} has a port, and rules know ports of tcp and udp only", shown(text));
            Err(Fault::new(problem, format!("write \"{name}\" for all of it")))
        }
        (None, _) => {
            let problem = format!("{} is not a service", shown(text));
            let plain = text.to_ascii_lowercase().replace([':', ' '], "/");
            let remedy = match name {
                "icmpv6" | "icmp6" | "ping" => {
                    "write \"icmp/echo\" for ping, or \"icmp\" for every message; both hold for ICMPv6, \
                     too"
                    .to_owned()
                }
                _ if plain != text && services(&plain).is_ok() => format!("write \"{plain}\""),
                _ => match decimal(text) {
                    Some(port) if port > 0 => format!("write \"tcp/{port}\" or \"udp/{port}\""),
                    Some(_) | None => EXAMPLES.to_owned(),
                },
            };
            Err(Fault::new(problem, remedy))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_read() {
        for text in [
            "tcp",
            "udp",
            "tcp/22",
            "tcp/1-65535",
            "udp/8000-8100",
            "icmp",
            "icmp/echo",
            "sctp",
            "esp",
            "proto/255",
        ] {
            assert_eq!(services(text).expect("services").to_string(), text);
        }
        assert_eq!(services("proto/132"), Ok(Services::Protocol(132)));
        assert_eq!(services("tcp/22-22"), services("tcp/22"));
    }

    #[test]
    fn what_is_no_service_has_its_message() {
        let texts = [
            "",
            "tcp/",
            "tcp/0",
            "tcp/0-5",
            "tcp/65536",
            "udp/80-22",
            "tcp/22-",
            "tcp/022",
            "tcp/+1",
            "TCP/22",
            "tcp:22",
            "tcp 22",
            "22",
            "0",
            "http",
            "sctp/80",
            "icmp/80",
            "icmp/echo-reply",
            "icmpv6",
            "ping",
            "proto/6",
            "proto/17",
            "proto/1",
            "proto/58",
            "proto/256",
            "proto/x",
            "proto/44",
            "proto",
            "gre/",
        ];
        let report: String = texts
            .iter()
            .map(|text| format!("{text:?}: {}\n", services(text).expect_err("a fault")))
            .collect();
        insta::assert_snapshot!(report);
    }

    #[test]
    fn a_test_asks_for_one_service_at_a_time() {
        assert_eq!(service("udp/53"), Ok(Service::Port(Transport::Udp, 53)));
        assert_eq!(service("icmp/echo"), Ok(Service::Echo));
        assert_eq!(service("sctp"), Ok(Service::Protocol(132)));
        for text in ["tcp", "tcp/22-23", "icmp/80"] {
            assert!(service(text).is_err(), "{text}");
        }
    }
}
