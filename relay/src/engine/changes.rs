use serde::Serialize;

use crate::model::InterfaceName;

/// What a verb has changed, or would change: the JSON of `up`, `reload` and `down`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    schema_version: u32,
    interface: String,
    changed: bool,
    dry_run: bool,
    changes: Vec<String>,
    warnings: Vec<String>,
}

impl Changes {
    /// The changes of one interface, a line each.
    pub fn new(
        interface: &InterfaceName,
        dry_run: bool,
        changes: Vec<String>,
        warnings: Vec<String>,
    ) -> Self {
        let (interface, changed) = (interface.to_string(), !changes.is_empty());
        Self { schema_version: 1, interface, changed, dry_run, changes, warnings }
    }
}
