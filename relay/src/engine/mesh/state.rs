//! What the agent knows of the other relays, for whoever looks: a file that it writes each second.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::super::{
    ErrorContext as _, Result,
    instant::milliseconds,
    lock::{DIRECTORY, namespace},
    record,
};
use crate::model::InterfaceName;

/// Age from which on the file is of an agent that does not run any more.
const OLD: Duration = Duration::from_secs(5);

/// What the agent knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AgentState {
    /// When it was written, milliseconds since 1970-01-01.
    pub(super) written_ms: u64,
    /// This relay's public key towards peers.
    pub(super) public_key: Option<String>,
    pub(super) relays: Vec<AgentRelay>,
    /// What was ignored of gossip, by reason.
    pub(super) ignored: Vec<(String, u64)>,
}

/// What it knows of another relay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AgentRelay {
    pub(super) name: String,
    pub(super) alive: bool,
    /// Since when nothing was heard of it.
    pub(super) heard_age_ms: Option<u64>,
    /// Time until its answer.
    pub(super) delay_us: Option<u64>,
    /// Hash of its policy.
    pub(super) policy_hash: Option<String>,
    /// Its public key towards peers.
    pub(super) public_key: Option<String>,
}

impl AgentState {
    /// Writes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&mut self, interface: &InterfaceName) -> Result<()> {
        self.written_ms = milliseconds(SystemTime::now());
        let failed = || format!("write the state of the agent of {interface}");
        let text = serde_json::to_vec(self).map_err(std::io::Error::other);
        record::store(&name(interface)?, &text.with_context(failed)?)
    }

    /// Reads it, if an agent runs.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn read(interface: &InterfaceName) -> Result<Option<Self>> {
        let path = Path::new(DIRECTORY).join(name(interface)?);
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("read {}", path.display()))?,
        };
        let Ok(mut state) = serde_json::from_slice::<Self>(&text) else { return Ok(None) };
        let age = milliseconds(SystemTime::now()).abs_diff(state.written_ms);
        if u128::from(age) > OLD.as_millis() {
            return Ok(None);
        }
        for heard in state.relays.iter_mut().filter_map(|relay| relay.heard_age_ms.as_mut()) {
            *heard += age;
        }
        Ok(Some(state))
    }
}

/// Removes what an agent has left.
///
/// # Errors
/// The file cannot be removed.
pub(in crate::engine) fn forget(interface: &InterfaceName) -> Result<()> {
    record::discard(&name(interface)?)
}

fn name(interface: &InterfaceName) -> Result<String> {
    Ok(format!("{}-{interface}.mesh.json", namespace()?))
}
