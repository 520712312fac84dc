//! `relay status`: whether the running relay matches its configuration.

use std::io::{self, Write};

use serde::Serialize;

use super::{
    Dropped, FenceDropped, Guard, RuleEnds, Style,
    ends::rule_ends,
    snapshot::{Attendance, SCHEMA_VERSION, Snapshot, Traffic},
    text::{dropped, fence_dropped, guard, line, title},
};
use crate::units::{bytes, packets};

/// The state of a relay in one screen; its JSON is `relay status --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Version of this layout.
    pub schema_version: u32,
    /// Name of the interface.
    pub interface: String,
    /// Whether there is no problem.
    pub ok: bool,
    /// `up`, `down` or `absent`.
    pub state: &'static str,
    /// Number of the generation in force; 0 if there is none.
    pub generation: u64,
    /// Hash of its policy; empty if there is none.
    pub policy_hash: String,
    /// Whether that is the policy of the configuration.
    pub as_configured: bool,
    /// How the programs are attached.
    pub hooks: Hooks,
    /// `intact`, `absent`, `different`, `unknown`, or `off` if the configuration turns it off.
    pub fence: &'static str,
    /// How many peers are connected.
    pub peers: Attendance,
    /// Between peers.
    pub relayed: Traffic,
    /// Dropped packets by reason, with every reason.
    pub dropped: Dropped,
    /// Packets that the fence dropped since it was put up.
    pub fence_dropped: FenceDropped,
    /// The guard on the underlay.
    pub guard: Guard,
    /// The configured rules with an end.
    pub rule_ends: RuleEnds,
    /// Programs of others that run before relay's.
    pub foreign: Vec<String>,
    /// Stale programs: attached copies of relay's that no pin refers to.
    pub stale: Vec<String>,
    /// Differences from the configuration, one sentence each.
    pub problems: Vec<String>,
    /// Other remarks for the operator.
    pub warnings: Vec<String>,
}

/// How a program is attached at each side: `tcx`, `netlink` or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hooks {
    /// On packets from peers.
    pub ingress: &'static str,
    /// On packets to peers.
    pub egress: &'static str,
}

/// The state of a relay without its counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// See [`Status::state`].
    pub state: &'static str,
    /// See [`Status::as_configured`].
    pub as_configured: bool,
    /// See [`Status::hooks`].
    pub hooks: Hooks,
    /// See [`Status::fence`].
    pub fence: &'static str,
    /// See [`Status::foreign`].
    pub foreign: Vec<String>,
    /// See [`Status::stale`].
    pub stale: Vec<String>,
    /// See [`Status::problems`].
    pub problems: Vec<String>,
    /// See [`Status::warnings`].
    pub warnings: Vec<String>,
}

/// Reasons that are shown one by one.
const REASONS_SHOWN: usize = 5;

impl Status {
    /// Combines findings with the counters of a snapshot.
    pub fn new(
        findings: Findings,
        snapshot: Snapshot,
        peers: Attendance,
        rule_ends: RuleEnds,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            interface: snapshot.interface,
            ok: findings.problems.is_empty(),
            state: findings.state,
            generation: snapshot.generation,
            policy_hash: snapshot.policy_hash,
            as_configured: findings.as_configured,
            hooks: findings.hooks,
            fence: findings.fence,
            peers,
            relayed: snapshot.totals.relayed,
            dropped: snapshot.totals.dropped,
            fence_dropped: snapshot.fence_dropped,
            guard: snapshot.guard,
            rule_ends,
            foreign: findings.foreign,
            stale: findings.stale,
            problems: findings.problems,
            warnings: findings.warnings,
        }
    }
}

/// Renders a status.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_status_into(out: &mut impl Write, status: &Status, style: Style) -> io::Result<()> {
    let s = status;
    title(out, style.color, "interface", &s.interface, "32")?;
    line(out, "state", s.state)?;
    let policy = match (s.generation, s.as_configured) {
        (0, _) => "NONE IN FORCE: no program decides".to_owned(),
        (number, true) => format!("generation {number} ({}), as configured", s.policy_hash),
        (number, false) => format!("generation {number} ({}), NOT AS CONFIGURED", s.policy_hash),
    };
    line(out, "policy", &policy)?;
    let hook = |name: &str, mode: &str| match mode {
        "none" => format!("{name} NOT ATTACHED"),
        mode => format!("{name} by {mode}"),
    };
    let (ingress, egress) = (hook("ingress", s.hooks.ingress), hook("egress", s.hooks.egress));
    line(out, "programs", &format!("{ingress}, {egress}"))?;
    line(out, "fence", s.fence)?;
    line(out, "peers", &s.peers.to_string())?;
    let (sent, length) = (packets(s.relayed.rx_packets), bytes(s.relayed.rx_bytes));
    line(out, "relayed", &format!("{sent}, {length}"))?;
    dropped(out, "dropped", &s.dropped, REASONS_SHOWN)?;
    fence_dropped(out, &s.fence_dropped)?;
    guard(out, &s.guard)?;
    rule_ends(out, &s.rule_ends)?;
    list(out, "programs of others ahead", &s.foreign)?;
    list(out, "stale programs", &s.stale)?;
    list(out, "warnings", &s.warnings)?;
    list(out, "problems", &s.problems)?;
    if s.problems.is_empty() {
        writeln!(out, "everything is as the configuration says")?;
    }
    Ok(())
}

fn list(out: &mut impl Write, key: &str, entries: &[String]) -> io::Result<()> {
    if !entries.is_empty() {
        writeln!(out, "{key}:")?;
    }
    entries.iter().try_for_each(|entry| writeln!(out, "  {entry}"))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::stats::{Guarded, Observation, Policy};

    #[test]
    fn a_relay_as_configured_fits_one_screen() {
        assert_eq!(
            shown(Findings { problems: vec![], ..findings() }),
            "interface: relay0\n  state: up\n  policy: generation 7 (c0de), as configured\n  \
             programs: ingress by tcx, egress NOT ATTACHED\n  fence: intact\n  peers: 0 online, 0 \
             offline, 0 never seen\n  relayed: 0 packets, 0 B\n  dropped: 3 not_in_either_list, 2 \
             broadcast, 2 hairpin, 1 ip_options, 1 multicast, 2 for 2 other reasons\n  \
             dropped by the fence: 4 to_peers\n  \
             guard: eth0 by driver, eth1 by generic, eth2 NOT GUARDED\n  passed by the guard: 0 \
             messages\n  dropped by the guard: 0 messages\neverything is \
             as the configuration says\n"
        );
    }

    #[test]
    fn problems_come_last_and_in_full() {
        let text = shown(findings());
        assert!(text.ends_with("problems:\n  egress is gone\n"), "{text}");
    }

    fn findings() -> Findings {
        Findings {
            state: "up",
            as_configured: true,
            hooks: Hooks { ingress: "tcx", egress: "none" },
            fence: "intact",
            foreign: Vec::new(),
            stale: Vec::new(),
            problems: vec!["egress is gone".to_owned()],
            warnings: Vec::new(),
        }
    }

    fn shown(findings: Findings) -> String {
        use relay_common::Reason;
        let policy = Policy { generation: 7, hash: "c0de".to_owned(), mode: "tcx" };
        let mut observation = Observation {
            interface: "relay0".to_owned(),
            policy: Some(policy),
            fence_dropped: [("from_peers", 0), ("to_peers", 4)].into(),
            guard: ["driver", "generic", "none"]
                .iter()
                .zip(["eth0", "eth1", "eth2"])
                .map(|(attached, name)| Guarded { interface: name.to_owned(), attached })
                .collect(),
            ..Observation::default()
        };
        let mut unattributed = [0; Reason::COUNT];
        for (reason, packets) in [
            (Reason::NotInEitherList, 3),
            (Reason::Hairpin, 2),
            (Reason::Broadcast, 2),
            (Reason::TtlExceeded, 1),
            (Reason::TooBig, 1),
            (Reason::Multicast, 1),
            (Reason::IpOptions, 1),
        ] {
            unattributed[reason.index() as usize] = packets;
        }
        observation.unattributed = Dropped::new(unattributed);
        let snapshot = Snapshot::new(observation);
        let attendance = snapshot.attendance(SystemTime::UNIX_EPOCH);
        let status = Status::new(findings, snapshot, attendance, RuleEnds::default());
        let mut text = Vec::new();
        let style = Style { color: false, now: SystemTime::UNIX_EPOCH };
        render_status_into(&mut text, &status, style).expect("memory is never full");
        String::from_utf8(text).expect("text")
    }
}
