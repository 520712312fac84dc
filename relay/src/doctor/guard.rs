//! Whether the guard can be attached to its interfaces.

use super::{
    Finding,
    facts::{Facts, GuardPlaces},
};

const CHECK: &str = "guard";

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    if facts.relay.is_none() {
        return Vec::new();
    }
    let (free, taken, unusable, warnings) = match &facts.guard {
        GuardPlaces::Off => {
            let found = "not configured; forged handshakes reach WireGuard's queue";
            return vec![Finding::ok(CHECK, found)];
        }
        GuardPlaces::Unknown(why) => {
            let found = format!("the programs on the underlay cannot be read: {why}");
            return vec![Finding::warning(CHECK, found, "run relay doctor as root")];
        }
        GuardPlaces::Found { free, taken, unusable, warnings } => (free, taken, unusable, warnings),
    };
    // The texts of `up` contain their remedies.
    let unusable = unusable
        .iter()
        .map(|why| Finding::warning(CHECK, why, "the relay works without the guard there"));
    let taken = taken.iter().map(|(interface, other, remedy)| {
        Finding::warning(
            CHECK,
            format!("{interface} has {other}, which relay leaves in place"),
            format!("{remedy}, or name other interfaces in guard.interfaces"),
        )
    });
    let warnings = warnings.iter().map(|why| {
        Finding::warning(CHECK, why, "name interfaces in guard.interfaces, or set enabled = false")
    });
    let mut findings: Vec<_> = unusable.chain(taken).chain(warnings).collect();
    if !free.is_empty() {
        findings.push(Finding::ok(CHECK, format!("no obstacle on {}", free.join(", "))));
    }
    findings
}
