use std::net::Ipv4Addr;

use super::super::{Classified, Kind};
use crate::model::InterfaceName;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A relay would be disturbed.
    #[error(
        "a relay is up on this host ({}): measuring takes all processors, and both would be slower; \
         measure on a host without one, or all the same with --beside",
        interfaces.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    Beside {
        /// Its interface, or theirs.
        interfaces: Vec<InterfaceName>,
    },
    /// Two peers of the measurement do not reach each other.
    #[error("{from} has had no answer from {to} for {seconds} seconds, relayed by {way}")]
    NoAnswer {
        /// Overlay address of one.
        from: Ipv4Addr,
        /// Overlay address of the other.
        to: Ipv4Addr,
        /// For how long.
        seconds: u64,
        /// How they are relayed.
        way: &'static str,
    },
    /// Peers that had reached each other do not anymore.
    #[error("nothing has arrived for {seconds} seconds")]
    Silent {
        /// For how long.
        seconds: u64,
    },
    /// Counts of the kernel have another form.
    #[error("{path}: found no counts in a form that relay knows")]
    NoStatistics {
        /// The file.
        path: &'static str,
    },
    /// What `relay up` could not do in the namespace.
    #[error("the relay of the measurement is not whole: {what}")]
    NotWhole {
        /// What is missing, and why.
        what: String,
    },
}

impl Classified for BenchError {
    fn kind(&self) -> Kind {
        Kind::Failed
    }
}
