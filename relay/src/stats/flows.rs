//! Live flows.

use std::{
    cmp::Reverse,
    io::{self, Write},
    net::{IpAddr, SocketAddr},
};

use serde::Serialize;

use super::columns::columns;
use crate::units::bytes;

/// Version of the JSON.
const SCHEMA_VERSION: u32 = 1;

/// Flows that have not expired, most bytes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Flows {
    schema_version: u32,
    interface: String,
    flows: Vec<Flow>,
}

/// One flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Flow {
    /// The side that began it.
    pub from: FlowEnd,
    /// The other side.
    pub to: FlowEnd,
    /// What it asked for, as in `ports` of a rule.
    pub service: String,
    /// The rule that allowed it when a packet was last judged; a number for one that is gone.
    pub rule: String,
    /// How far it has come: `opening`, `open`, `closing` or `reset`.
    pub state: &'static str,
    /// Since it began, seconds.
    pub age_seconds: u64,
    /// Until it expires, unless the beginner sends something, seconds.
    pub expires_in_seconds: u64,
    /// Packets in both directions.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// An end of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowEnd {
    /// Name of the peer; its key if it is not configured.
    pub peer: Option<String>,
    /// Its address.
    pub address: IpAddr,
    /// Its port, if the protocol has ports.
    pub port: Option<u16>,
}

impl Flows {
    /// These flows of an interface.
    pub fn new(interface: &str, flows: Vec<Flow>) -> Self {
        let (interface, flows) = (interface.to_owned(), Self::most_first(flows));
        Self { schema_version: SCHEMA_VERSION, interface, flows }
    }

    /// Sorted: most bytes first, then the youngest.
    pub fn most_first(mut flows: Vec<Flow>) -> Vec<Flow> {
        flows.sort_by_key(|flow| (Reverse(flow.bytes), flow.age_seconds));
        flows
    }
}

/// Renders a line for each flow, in columns.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_flows_into(out: &mut impl Write, shown: &Flows) -> io::Result<()> {
    render_flow_rows_into(out, &shown.flows)
}

/// Renders a line for each of these flows, in columns.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_flow_rows_into(out: &mut impl Write, flows: &[Flow]) -> io::Result<()> {
    let head = ["from", "to", "service", "rule", "state", "age", "expires", "bytes"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(flows.iter().map(|flow| {
        [
            end(&flow.from),
            end(&flow.to),
            flow.service.clone(),
            flow.rule.clone(),
            flow.state.to_owned(),
            clock(flow.age_seconds),
            clock(flow.expires_in_seconds),
            bytes(flow.bytes),
        ]
    }));
    columns(out, &rows, 5)
}

fn end(end: &FlowEnd) -> String {
    let address = match end.port {
        Some(port) => SocketAddr::new(end.address, port).to_string(),
        None => end.address.to_string(),
    };
    match &end.peer {
        Some(peer) => format!("{peer} {address}"),
        None => address,
    }
}

/// A duration in its two largest units: `1d 2h`, `3m 4s`, `5s`.
fn clock(seconds: u64) -> String {
    const UNITS: [(u64, char); 4] = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
    let first = UNITS.iter().position(|(size, _)| seconds >= *size).unwrap_or(UNITS.len() - 1);
    let mut left = seconds;
    let mut parts = Vec::new();
    for (size, unit) in &UNITS[first..UNITS.len().min(first + 2)] {
        let count = left / size;
        left %= size;
        if count > 0 || parts.is_empty() {
            parts.push(format!("{count}{unit}"));
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_their_two_largest_units() {
        assert_eq!([clock(0), clock(59), clock(60)], ["0s", "59s", "1m"]);
        assert_eq!([clock(3_725), clock(93_600)], ["1h 2m", "1d 2h"]);
    }

    #[test]
    fn the_flow_with_most_bytes_comes_first() {
        let end = |peer: &str, address: &str, port| FlowEnd {
            peer: Some(peer.to_owned()),
            address: address.parse().expect("an address"),
            port,
        };
        let ssh = Flow {
            from: end("ann", "10.3.2.2", Some(40_000)),
            to: end("web-1", "10.3.2.10", Some(22)),
            service: "tcp/22".to_owned(),
            rule: "ops-ssh".to_owned(),
            state: "open",
            age_seconds: 3_725,
            expires_in_seconds: 431_990,
            packets: 1200,
            bytes: 1_500_000,
        };
        let ping = Flow {
            from: end("ann", "fd00::3:2:2", None),
            to: end("web-1", "fd00::3:2:10", None),
            service: "icmp/echo".to_owned(),
            rule: "ping".to_owned(),
            age_seconds: 2,
            expires_in_seconds: 29,
            packets: 4,
            bytes: 416,
            ..ssh.clone()
        };
        let shown = Flows::new("relay0", vec![ping, ssh]);
        let mut text = Vec::new();
        render_flows_into(&mut text, &shown).expect("a Vec takes everything");
        let json = serde_json::to_string_pretty(&shown).expect("numbers and names");
        insta::assert_snapshot!(format!("{}{json}", String::from_utf8(text).expect("UTF-8")));
    }
}
