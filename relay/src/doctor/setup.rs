//! What the operator wrote, and what it asks of the host by name.

use super::{
    Finding,
    facts::{Facts, Occupant, Programs},
};
use crate::model::Relay;

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = config(facts);
    let Some(relay) = &facts.relay else { return findings };
    findings.extend(key_files(facts));
    findings.push(interface(facts, relay));
    findings.extend(lost(facts));
    findings.extend(claims(facts, relay));
    findings.push(programs(facts, relay));
    findings.push(port(facts, relay));
    findings
}

fn config(facts: &Facts) -> Vec<Finding> {
    let configured = &facts.configured;
    let path = configured.path.display();
    if let Some((first, more)) = configured.problems.split_first() {
        let more = match more.len() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        return vec![Finding::problem(
            "config",
            format!("{first}{more}"),
            format!("relay check {path} has all; checks that need a configuration were left out"),
        )];
    }
    let warnings = match configured.warnings.len() {
        1 => "1 warning: ".to_owned(),
        many => format!("{many} warnings; the first: "),
    };
    vec![match configured.warnings.first() {
        None => Finding::ok("config", format!("{path} is right")),
        Some(first) => Finding::warning(
            "config",
            format!("{path} can be used, with {warnings}{first}"),
            format!("relay check {path} has all"),
        ),
    }]
}

fn key_files(facts: &Facts) -> Vec<Finding> {
    let configured = &facts.configured;
    if configured.key_problems.is_empty() && configured.key_warnings.is_empty() {
        return vec![Finding::ok("key-files", "readable, and by their owner alone")];
    }
    // What the reader of the configuration says ends in what to do.
    let problems = configured.key_problems.iter();
    let problems = problems.map(|problem| Finding::problem("key-files", problem, ""));
    let warnings = configured.key_warnings.iter();
    problems.chain(warnings.map(|warning| Finding::warning("key-files", warning, ""))).collect()
}

fn interface(facts: &Facts, relay: &Relay) -> Finding {
    let name = &relay.interface;
    match &facts.occupant {
        Occupant::Nobody => {
            Finding::ok("interface", format!("{name} is not there; `relay up` creates it"))
        }
        Occupant::Relay => Finding::ok("interface", format!("{name} is a relay's")),
        Occupant::Wireguard => Finding::warning(
            "interface",
            format!("{name} is WireGuard, but nothing of a relay is attached to it"),
            format!(
                "if it is another program's, choose another interface name; `relay up` takes \
                 {name} over, and peers go that are not configured"
            ),
        ),
        Occupant::Other(kind) => Finding::problem(
            "interface",
            format!("{name} exists and is {kind}, not wireguard"),
            "rename or remove it, or choose another interface name",
        ),
        Occupant::Unknown(why) => {
            Finding::problem("interface", format!("{name} cannot be read: {why}"), "run as root")
        }
    }
}

/// What `relay status` tells in full.
fn lost(facts: &Facts) -> Vec<Finding> {
    let lost = facts.lost.iter().map(|lost| {
        Finding::problem("running", lost, "`relay up` repairs it; `relay status` has all")
    });
    let found = match facts.occupant {
        _ if !facts.lost.is_empty() => return lost.collect(),
        Occupant::Relay => "the relay has its programs and its fence",
        Occupant::Nobody | Occupant::Wireguard | Occupant::Other(_) | Occupant::Unknown(_) => {
            "no relay runs on that interface"
        }
    };
    vec![Finding::ok("running", found)]
}

fn claims(facts: &Facts, relay: &Relay) -> Vec<Finding> {
    let claim = |path: &std::path::PathBuf| {
        let name = &relay.interface;
        Finding::warning(
            "interface",
            format!("{} describes {name} to another program, too", path.display()),
            match path.extension().is_some_and(|extension| extension == "network") {
                true => format!(
                    "systemd-networkd takes addresses and routes from {name} at each reload: put \
                     `[Match]`, `Name={name}`, `[Link]`, `Unmanaged=yes`, a line each, into \
                     /etc/systemd/network/00-{name}.network, then networkctl reload"
                ),
                false => {
                    format!(
                        "remove it, or disable that program for {name} (such as wg-quick@{name})"
                    )
                }
            },
        )
    };
    facts.claims.iter().map(claim).collect()
}

fn programs(facts: &Facts, relay: &Relay) -> Finding {
    match &facts.programs {
        Programs::NoInterface => Finding::ok("programs", "there is no interface to have any"),
        Programs::Found(found) if found.is_empty() => {
            Finding::ok("programs", format!("no other program is attached to {}", relay.interface))
        }
        Programs::Found(found) => Finding::warning(
            "programs",
            format!("{} has other programs: {}", relay.interface, found.join("; ")),
            format!(
                "see whose they are (`bpftool net show dev {}`): they may decide in relay's place",
                relay.interface
            ),
        ),
        Programs::Unknown(why) => Finding::warning(
            "programs",
            format!("what is attached to {} cannot be read: {why}", relay.interface),
            "run as root",
        ),
    }
}

fn port(facts: &Facts, relay: &Relay) -> Finding {
    let port = relay.listen_port;
    match facts.is_port_taken {
        false => Finding::ok("port", format!("UDP {port} is free, or the relay's")),
        true => Finding::problem(
            "port",
            format!("UDP {port} is in use by another socket"),
            format!(
                "stop what holds it (`ss -ulpn sport = :{port}`) or choose another listen_port"
            ),
        ),
    }
}
