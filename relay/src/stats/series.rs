use serde::Serialize;

/// Version of the JSON.
const SCHEMA_VERSION: u32 = 1;

/// Counts step by step, from the history: the JSON of `/api/v1/history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    schema_version: u32,
    interface: String,
    step_seconds: u64,
    from: u64,
    to: u64,
    series: Vec<CountSeries>,
}

/// By how much counts grew in each step; `None` where nothing was recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CountSeries {
    /// What counted: a peer, a rule, `FROM → TO`, or nothing for the whole relay.
    pub name: String,
    /// Bytes from it, or from the first to the second.
    pub rx_bytes: Vec<Option<u64>>,
    /// Bytes to it, or back.
    pub tx_bytes: Vec<Option<u64>>,
    /// Packets from it.
    pub rx_packets: Vec<Option<u64>>,
    /// Packets to it.
    pub tx_packets: Vec<Option<u64>>,
    /// Packets from it that were dropped.
    pub dropped: Vec<Option<u64>>,
    /// Flows begun by it, if it is a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flows: Option<Vec<Option<u64>>>,
}

impl History {
    /// Series with steps of so many seconds. `from` is the beginning of the first and `to` the end of
    /// the last, seconds since 1970-01-01T00:00:00Z.
    pub fn new(
        interface: &str,
        step_seconds: u64,
        [from, to]: [u64; 2],
        series: Vec<CountSeries>,
    ) -> Self {
        let (schema_version, interface) = (SCHEMA_VERSION, interface.to_owned());
        Self { schema_version, interface, step_seconds, from, to, series }
    }
}
