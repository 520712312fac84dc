//! What a loaded generation is for.

use relay_common::names::{COMPARING_PROGRAM, LEARNING_PROGRAM, TRIAL_PROGRAM};

use crate::model::Direction;

/// What a generation is for, which decides which of the object's programs it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It is the policy in force.
    Alone,
    /// It is the policy in force, and compares what it decides with what a candidate would.
    Comparing,
    /// It is the policy in force, and counts what peers use of each other.
    Learning,
    /// It is a candidate in front of the policy in force: it decides, and does nothing.
    Trial,
}

impl Role {
    /// The sides of the interface that it has a program for.
    pub(super) const fn directions(self) -> &'static [Direction] {
        match self {
            Self::Alone | Self::Comparing | Self::Learning => &Direction::BOTH,
            Self::Trial => &[Direction::Ingress],
        }
    }

    /// Name of its program.
    pub(super) const fn program(self, direction: Direction) -> &'static str {
        match (self, direction) {
            (Self::Comparing, Direction::Ingress) => COMPARING_PROGRAM,
            (Self::Learning, Direction::Ingress) => LEARNING_PROGRAM,
            (Self::Trial, Direction::Ingress) => TRIAL_PROGRAM,
            (_, direction) => direction.program(),
        }
    }
}
