//! Names, keys and words: each function parses one string into the model's type.

use std::path::PathBuf;

use super::{
    fault::Fault,
    shown::{looks_secret, shown},
    unknown::unknown_value,
};
use crate::model::{
    ClientRoutes, Egress, EventType, GroupName, GuardMode, InterfaceName, KeyError, NameError,
    PeerName, Port, PublicKey, RelayName, RuleName, Transport, WebhookName,
};

/// Longest name of an interface, bytes (`IFNAMSIZ` without its NUL, include/uapi/linux/if.h).
const INTERFACE_NAME_MAX: usize = 15;
/// Longest `description`, characters.
pub(in crate::config) const DESCRIPTION_MAX: usize = 200;

pub(super) fn interface_name(text: &str) -> Result<InterfaceName, Fault> {
    text.parse().map_err(|error| {
        let remedy = match error {
            NameError::Reserved(_) => "choose another name, such as \"relay0\"",
            NameError::Empty
            | NameError::TooLong(_)
            | NameError::Character(_)
            | NameError::Address => "write 1 to 15 of A-Z a-z 0-9 _ -, a letter first",
        };
        Fault::new(invalid_name(text, error), remedy)
    })
}

/// A peer's name.
///
/// # Errors
/// What is wrong with it.
pub fn peer_name(text: &str) -> Result<PeerName, Fault> {
    text.parse().map_err(|error| {
        let remedy = match error {
            NameError::Reserved(_) => "choose another name",
            NameError::Empty
            | NameError::TooLong(_)
            | NameError::Character(_)
            | NameError::Address => "write 1 to 63 of a-z 0-9 _ . -, a letter or digit first",
        };
        Fault::new(invalid_name(text, error), remedy)
    })
}

/// A group's name.
///
/// # Errors
/// What is wrong with it.
pub fn group_name(text: &str) -> Result<GroupName, Fault> {
    let remedy = "write 1 to 63 of a-z 0-9 _ . -, a letter or digit first";
    text.parse().map_err(|error| Fault::new(invalid_name(text, error), remedy))
}

/// A rule's name.
///
/// # Errors
/// What is wrong with it.
pub fn rule_name(text: &str) -> Result<RuleName, Fault> {
    let remedy = "write 1 to 32 of a-z 0-9 _ . -, a letter or digit first";
    text.parse().map_err(|error| Fault::new(invalid_name(text, error), remedy))
}

/// A webhook's name.
///
/// # Errors
/// What is wrong with it.
pub fn webhook_name(text: &str) -> Result<WebhookName, Fault> {
    let remedy = "write 1 to 63 of a-z 0-9 _ . -, a letter or digit first";
    text.parse().map_err(|error| Fault::new(invalid_name(text, error), remedy))
}

/// The name of a relay of a mesh.
pub fn relay_name(text: &str) -> Result<RelayName, Fault> {
    let remedy = "write 1 to 13 of a-z 0-9 -, a letter or digit first";
    text.parse().map_err(|error| Fault::new(invalid_name(text, error), remedy))
}

/// A type of event that a webhook can ask for.
pub(super) fn event_type(text: &str) -> Result<EventType, Fault> {
    if text == "lost" {
        let problem = "contains \"lost\", which is told of what the others have lost";
        return Err(Fault::new(problem, "leave it out"));
    }
    let found = EventType::ALL.into_iter().find(|event| event.label() == text);
    found.ok_or_else(|| {
        let known = EventType::ALL.map(EventType::label);
        unknown_value(text, &format!("{} is not an event type", shown(text)), &known)
    })
}

pub(super) fn client_routes(text: &str) -> Result<ClientRoutes, Fault> {
    match text {
        "exact" => Ok(ClientRoutes::Exact),
        "overlay" => Ok(ClientRoutes::Overlay),
        other => Err(Fault::new(
            format!("{} is neither \"exact\" nor \"overlay\"", shown(other)),
            "write \"exact\", or \"overlay\" so that a change of the rules needs no new client files",
        )),
    }
}

/// Free text: one line of at most [`DESCRIPTION_MAX`] characters.
///
/// # Errors
/// What is wrong with it.
pub fn description(text: &str) -> Result<String, Fault> {
    if text.chars().any(char::is_control) {
        return Err(Fault::new("contains a control character", "write one line of text"));
    }
    if text.chars().count() > DESCRIPTION_MAX {
        let problem = format!("is longer than {DESCRIPTION_MAX} characters");
        return Err(Fault::new(problem, "shorten it"));
    }
    Ok(text.to_owned())
}

/// A public key. Messages never quote the text, which may be a private key.
///
/// # Errors
/// What is wrong with it.
pub fn public_key(text: &str) -> Result<PublicKey, Fault> {
    text.parse().map_err(|error: KeyError| {
        Fault::new(error.to_string(), "write what `wg pubkey` gives for the peer's private key")
    })
}

pub(super) fn key_file(text: &str) -> Result<PathBuf, Fault> {
    if text.is_empty() {
        return Err(Fault::new("is empty", "name a file"));
    }
    if text.parse::<PublicKey>().is_ok() || (looks_secret(text) && !text.contains(['.', '-'])) {
        return Err(Fault::new(
            "is a key, not a file name",
            "write the key into a file of mode 0600 and name that file here",
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::new("contains a control character", "name a file"));
    }
    Ok(PathBuf::from(text))
}

pub(super) fn egress(text: &str) -> Result<Egress, Fault> {
    match text {
        "deny" => Ok(Egress::Deny),
        "stack" => Ok(Egress::Stack),
        other => Err(Fault::new(
            format!("{} is neither \"deny\" nor \"stack\"", shown(other)),
            "write \"deny\", or \"stack\" to hand packets that leave the overlay to the host's routing",
        )),
    }
}

pub(super) fn guard_mode(text: &str) -> Result<GuardMode, Fault> {
    let modes = [GuardMode::Auto, GuardMode::Driver, GuardMode::Generic];
    modes.into_iter().find(|mode| mode.label() == text).ok_or_else(|| {
        let problem = format!("{} is not an XDP mode", shown(text));
        Fault::new(problem, "write \"auto\", \"driver\" or \"generic\"")
    })
}

/// The name of an interface that relay did not create, by the kernel's rules (`dev_valid_name`,
/// net/core/dev.c).
pub(super) fn underlay_interface(text: &str) -> Result<String, Fault> {
    let is_name = (1..=INTERFACE_NAME_MAX).contains(&text.len())
        && !matches!(text, "." | "..")
        && !text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
    match text {
        "auto" => Err(Fault::new(
            "contains \"auto\", which is not an interface",
            "write interfaces = \"auto\"",
        )),
        name if is_name => Ok(name.to_owned()),
        other => Err(Fault::new(
            format!("{} is not an interface name", shown(other)),
            "write names as `ip link` shows them, such as [\"eth0\"]",
        )),
    }
}

/// A port, as `tcp/22`.
pub(super) fn port(text: &str) -> Result<Port, Fault> {
    let parsed = text.split_once('/').and_then(|(transport, number)| {
        let transport = match transport {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            _ => return None,
        };
        Some(Port { transport, number: decimal(number).filter(|&number| number > 0)? })
    });
    parsed.ok_or_else(|| {
        let problem = format!("{} is not a port", shown(text));
        Fault::new(problem, "write \"tcp/N\" or \"udp/N\" with N from 1 to 65535")
    })
}

fn invalid_name(text: &str, error: NameError) -> String {
    if looks_secret(text) {
        // The error quotes a character of it.
        format!("{} is not a name", shown(text))
    } else {
        format!("{} {error}", shown(text))
    }
}

/// A decimal number without sign, space or leading zero.
pub(super) fn decimal(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    if plain && !leading_zero { text.parse().ok() } else { None }
}
