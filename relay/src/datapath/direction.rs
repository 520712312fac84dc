use aya::programs::TcAttachType;
use relay_common::names::{EGRESS_PROGRAM, INGRESS_PROGRAM};

use crate::model::Direction;

impl Direction {
    pub(super) const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// Name of our program.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Ingress => INGRESS_PROGRAM,
            Self::Egress => EGRESS_PROGRAM,
        }
    }

    /// Name of the pin of our link.
    pub(super) const fn link(self) -> &'static str {
        match self {
            Self::Ingress => "ingress_link",
            Self::Egress => "egress_link",
        }
    }

    pub(super) const fn attach_type(self) -> TcAttachType {
        match self {
            Self::Ingress => TcAttachType::Ingress,
            Self::Egress => TcAttachType::Egress,
        }
    }
}
