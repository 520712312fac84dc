//! Exit codes, and the sentence that goes with them.

use std::io;

use super::claim::ClaimError;
use crate::{
    config::{EditError, Fault, ImportError, NoFreeAddress, Problems, WriteError},
    datapath::DatapathError,
    net::NetError,
    wireguard::WireguardError,
};

/// Done, or allowed.
pub(super) const DONE: u8 = 0;
/// Failed, or denied.
pub(super) const FAILED: u8 = 1;
/// Usage or configuration.
pub(super) const USAGE: u8 = 2;
/// The host lacks something.
pub(super) const HOST: u8 = 3;

/// Something the host lacks, that no module's own error says.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostError {
    /// A capability.
    #[error(
        "this process lacks {missing}; run `relay {verb}` as root, or give it CAP_NET_ADMIN, \
         CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN"
    )]
    Capability {
        /// Which ones, comma-separated.
        missing: String,
        /// What was to be done.
        verb: &'static str,
    },
    /// An old kernel.
    #[error("found kernel {found}, expected {}.{} or newer; boot a newer kernel", expected.0, expected.1)]
    Kernel {
        /// Its release.
        found: String,
        /// The oldest that serves.
        expected: (u32, u32),
    },
    /// A port of the underlay.
    #[error(
        "UDP port {port} is in use by another socket; stop what holds it (`ss -ulpn sport = \
         :{port}`) or choose another listen_port"
    )]
    Port {
        /// Which one.
        port: u16,
    },
    /// IPv6 is switched off.
    #[error("IPv6 is off ({found}), and {interface} is to have {address}; {remedy}")]
    NoIpv6 {
        /// The interface.
        interface: String,
        /// What cannot be added to it.
        address: String,
        /// By what it is off.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// No relay runs under that name.
    #[error("interface {interface} is not there; run `relay up`")]
    NotUp {
        /// Its name.
        interface: String,
    },
}

/// A call that cannot be meant so, which only the surroundings tell.
#[derive(Debug, thiserror::Error)]
pub(super) enum UsageError {
    /// Two ends that are asked about in vain.
    #[error("{a} and {b} have no family of addresses in common")]
    NoFamily {
        /// The one.
        a: String,
        /// The other.
        b: String,
    },
    /// Two ends that no peer owns.
    #[error("no peer owns {a} or {b}, and relay decides about packets of peers only; name a peer")]
    NoPeerAtEither {
        /// The one.
        a: String,
        /// The other.
        b: String,
    },
    /// An end that is neither a peer nor an address.
    #[error("{end}: found no peer of that name, and it is no address{hint}")]
    NoSuchEnd {
        /// As it was written.
        end: String,
        /// The nearest name.
        hint: String,
    },
    /// Traffic of pairs where it is not counted.
    #[error("pairs are not counted; write `pair_stats = true` below [relay] and run `relay up`")]
    PairsNotCounted,
    /// A live table into a pipe or a file.
    #[error(
        "--watch draws on a terminal, and standard output is none; use --json, --dump or \
         --prometheus for a pipe or a file"
    )]
    NoTerminal,
    /// A request that cannot be carried out as it is written.
    #[error("{0}")]
    Request(String),
}

/// A file that this process may not read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(pub(super) Fault);

/// A secret that was made and did not reach anybody.
#[derive(Debug, thiserror::Error)]
#[error("the new private key could not be delivered to {to}, so nothing was changed")]
pub(super) struct Undelivered {
    /// Where it was to go.
    pub(super) to: String,
    /// What the system said.
    pub(super) source: io::Error,
}

/// What `relay doctor` found has to be put right first.
#[derive(Debug, thiserror::Error)]
#[error(
    "{problems} problem{} in the way of a relay here",
    if *.problems == 1 { "" } else { "s" }
)]
pub(super) struct Unfit {
    /// How many problems.
    pub(super) problems: usize,
    /// Whether they are all of the configuration.
    pub(super) of_config: bool,
}

/// What `relay status --check` found, one sentence each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(super) struct NotAsConfigured(pub(super) Vec<String>);

/// A packet that was asked about does not pass; what was found is printed already.
#[derive(Debug, thiserror::Error)]
#[error("denied")]
pub(super) struct Denied;

/// The exit code for an error.
pub(super) fn code(error: &anyhow::Error) -> u8 {
    if is_denied(error) {
        return HOST;
    }
    if error.is::<Problems>() || error.is::<UsageError>() {
        return USAGE;
    }
    // Only what follows something for ever is ended by its reader.
    if !error.is::<Undelivered>() && kind(error.as_ref()) == Some(io::ErrorKind::BrokenPipe) {
        return DONE;
    }
    if let Some(unfit) = error.downcast_ref::<Unfit>() {
        return if unfit.of_config { USAGE } else { HOST };
    }
    let host = error.downcast_ref::<HostError>().is_some()
        || error.downcast_ref::<NetError>().is_some_and(NetError::is_lack)
        || error.downcast_ref::<DatapathError>().is_some_and(DatapathError::is_lack)
        || error.downcast_ref::<WireguardError>().is_some_and(WireguardError::is_lack);
    let config = matches!(error.downcast_ref(), Some(WireguardError::OwnKey { .. }))
        || matches!(error.downcast_ref(), Some(WriteError::Exists(_)))
        || error.is::<UsageError>()
        || error.is::<ClaimError>()
        || error.is::<EditError>()
        || error.is::<NoFreeAddress>()
        || error.is::<ImportError>();
    match (host, config) {
        (true, _) => HOST,
        (false, true) => USAGE,
        (false, false) => FAILED,
    }
}

/// Whether the system kept this process from a file: not root, most likely.
fn is_denied(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Problems>().is_some_and(Problems::is_denied)
        || error.downcast_ref::<Unreadable>().is_some()
        || error.chain().any(|cause| kind(cause) == Some(io::ErrorKind::PermissionDenied))
}

fn kind(error: &(dyn std::error::Error + 'static)) -> Option<io::ErrorKind> {
    let json = error.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
    error.downcast_ref::<io::Error>().map(io::Error::kind).or(json)
}

/// An error with its causes: `relay: …: …`. Problems of a configuration come a line each.
pub(super) fn describe(error: &anyhow::Error) -> String {
    if let Some(problems) = error.downcast_ref::<Problems>() {
        return problems.to_string().trim_end().to_owned();
    }
    if let Some(found) = error.downcast_ref::<NotAsConfigured>() {
        return found.to_string();
    }
    let said = causes(error);
    match is_denied(error) && !said.contains("as root") {
        true => format!("relay: {said}; run this as root"),
        false => format!("relay: {said}"),
    }
}

/// An error and its causes.
pub(super) fn causes(error: &anyhow::Error) -> String {
    chain(error.as_ref())
}

/// An error and its causes: `…: …`.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut last = String::new();
    let mut is_kernels = false;
    let mut next = Some(error);
    while let Some(error) = next {
        let cause = error.to_string();
        // Transparent errors say what their source says.
        if !last.ends_with(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&if is_kernels { end_of(&cause) } else { cause.clone() });
        }
        is_kernels |= error.is::<DatapathError>();
        last = cause;
        next = error.source();
    }
    text
}

/// The end of a text of many lines, which is where a verifier's log has its point.
fn end_of(text: &str) -> String {
    const LINES: usize = 16;
    let lines: Vec<&str> = text.trim_end().lines().collect();
    match lines.len().checked_sub(LINES) {
        None | Some(0) => lines.join("\n"),
        Some(cut) => {
            format!("{}\n… {cut} lines …\n{}", lines[0], lines[cut..].join("\n"))
        }
    }
}
