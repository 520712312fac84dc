//! The configuration, and the files, interface and port that it names.

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
    findings.extend(mesh(facts, relay));
    findings.push(rule_ends(facts, relay));
    findings.extend(claims(facts, relay));
    findings.push(programs(facts, relay));
    findings.push(port(facts, relay));
    findings
}

fn mesh(facts: &Facts, relay: &Relay) -> Vec<Finding> {
    let Some(mesh) = &relay.mesh else {
        return vec![Finding::ok("mesh", "the only relay of its site")];
    };
    if facts.mesh.is_empty() {
        let relays = mesh.relays.len();
        return vec![Finding::ok("mesh", format!("{relays} relays, none with a problem"))];
    }
    let remedy = "`relay mesh status` shows all relays of the site";
    facts.mesh.iter().map(|problem| Finding::problem("mesh", problem, remedy)).collect()
}

fn rule_ends(facts: &Facts, relay: &Relay) -> Finding {
    match &facts.retimed {
        Some(why) => Finding::warning("rule-ends", why, "run `relay up`, which corrects it"),
        None if relay.has_ends() => Finding::ok("rule-ends", "by this host's clock"),
        None => Finding::ok("rule-ends", "no rule has until"),
    }
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
            format!(
                "run `relay check {path}` for all; checks that need a configuration were skipped"
            ),
        )];
    }
    let warnings = match configured.warnings.len() {
        1 => "1 warning: ".to_owned(),
        many => format!("{many} warnings; the first: "),
    };
    vec![match configured.warnings.first() {
        None => Finding::ok("config", format!("{path} is valid")),
        Some(first) => Finding::warning(
            "config",
            format!("{path} is valid, with {warnings}{first}"),
            format!("run `relay check {path}` for all"),
        ),
    }]
}

fn key_files(facts: &Facts) -> Vec<Finding> {
    let configured = &facts.configured;
    if configured.key_problems.is_empty() && configured.key_warnings.is_empty() {
        return vec![Finding::ok("key-files", "readable by their owner alone")];
    }
    // The texts of the configuration contain their remedies.
    let problems = configured.key_problems.iter();
    let problems = problems.map(|problem| Finding::problem("key-files", problem, ""));
    let warnings = configured.key_warnings.iter();
    problems.chain(warnings.map(|warning| Finding::warning("key-files", warning, ""))).collect()
}

fn interface(facts: &Facts, relay: &Relay) -> Finding {
    let name = &relay.interface;
    match &facts.occupant {
        Occupant::Nobody => {
            Finding::ok("interface", format!("{name} does not exist; `relay up` creates it"))
        }
        Occupant::Relay => Finding::ok("interface", format!("{name} belongs to a relay")),
        Occupant::Wireguard => Finding::warning(
            "interface",
            format!("{name} is a WireGuard interface without relay's programs"),
            "if another program uses it, choose another interface name; `relay up --adopt` takes it \
             over, and removes peers that are not configured",
        ),
        Occupant::Other(kind) => Finding::problem(
            "interface",
            format!("{name} is a link of kind {kind}, expected wireguard"),
            "rename or remove it, or choose another interface name",
        ),
        Occupant::Unknown(why) => Finding::problem(
            "interface",
            format!("{name} cannot be read: {why}"),
            "run relay doctor as root",
        ),
    }
}

/// A summary of what `relay status` shows.
fn lost(facts: &Facts) -> Vec<Finding> {
    let lost = facts.lost.iter().map(|lost| {
        Finding::problem("running", lost, "run `relay up` to repair it; `relay status` shows all")
    });
    let found = match facts.occupant {
        _ if !facts.lost.is_empty() => return lost.collect(),
        Occupant::Relay => "programs and fence are in place",
        Occupant::Nobody | Occupant::Wireguard | Occupant::Other(_) | Occupant::Unknown(_) => {
            "no relay runs on this interface"
        }
    };
    vec![Finding::ok("running", found)]
}

fn claims(facts: &Facts, relay: &Relay) -> Vec<Finding> {
    let claim = |path: &std::path::PathBuf| {
        let name = &relay.interface;
        Finding::warning(
            "interface",
            format!("{} configures {name} for another program", path.display()),
            match path.extension().is_some_and(|extension| extension == "network") {
                true => format!(
                    "systemd-networkd removes addresses and routes from {name} at each reload: write \
                     the lines `[Match]`, `Name={name}`, `[Link]`, `Unmanaged=yes` to \
                     /etc/systemd/network/00-{name}.network, then run networkctl reload"
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
        Programs::NoInterface => Finding::ok("programs", "the interface does not exist"),
        Programs::Found(found) if found.is_empty() => {
            Finding::ok("programs", format!("no other program is attached to {}", relay.interface))
        }
        Programs::Found(found) => Finding::warning(
            "programs",
            format!("{} has other programs: {}", relay.interface, found.join("; ")),
            format!(
                "find their owners with `bpftool net show dev {}`; they may decide instead of relay",
                relay.interface
            ),
        ),
        Programs::Unknown(why) => Finding::warning(
            "programs",
            format!("the programs on {} cannot be read: {why}", relay.interface),
            "run relay doctor as root",
        ),
    }
}

fn port(facts: &Facts, relay: &Relay) -> Finding {
    let port = relay.listen_port;
    match facts.is_port_taken {
        false => Finding::ok("port", format!("UDP {port} is free, or in use by the relay")),
        true => Finding::problem(
            "port",
            format!("UDP {port} is in use by another socket"),
            format!("stop its owner (`ss -ulpn sport = :{port}`) or choose another listen_port"),
        ),
    }
}
