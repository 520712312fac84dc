//! Why a policy cannot be compiled.

use super::{
    class,
    services::{self, MAX_GRANTS},
};

/// Limit of cells in one generation: 128 MiB of map.
pub(super) const MAX_CELLS: u64 = 1 << 25;

/// Most different combinations of rules that pairs of peers are covered by.
pub(super) const MAX_RULE_SETS: usize = u16::MAX as usize;

/// More is needed of what a generation holds than there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}; {}", self.problem(), self.remedy())]
pub enum CompileError {
    /// Too many different lists.
    TooManyCells {
        /// Needed cells.
        found: u64,
    },
    /// Too many different combinations of rules.
    TooManyRuleSets {
        /// Sets found so far.
        found: usize,
    },
    /// Too many different ports.
    TooManyServices {
        /// Classes found so far.
        found: usize,
    },
    /// Too many rules with too many ports each.
    TooManyGrants {
        /// Grants found so far.
        found: usize,
    },
}

impl CompileError {
    /// What was found, and what was expected.
    pub fn problem(&self) -> String {
        match self {
            Self::TooManyCells { found } => {
                format!("lists and rules need {found} cells, expected at most {MAX_CELLS}")
            }
            Self::TooManyRuleSets { found } => format!(
                "the rules need {found} rule sets, expected at most {MAX_RULE_SETS}: that many pairs \
                 of peers are covered by different combinations of rules"
            ),
            Self::TooManyServices { found } => format!(
                "the ports of the rules form {found} classes, expected at most {}",
                u16::MAX
            ),
            Self::TooManyGrants { found } => format!(
                "the rules need {found} grants, one for each rule set and class of ports, expected at \
                 most {MAX_GRANTS}"
            ),
        }
    }

    /// What to write instead.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::TooManyCells { .. } => {
                "give peers that may talk to the same others the same list, list one range instead of \
                 many addresses, and write rules between fewer peers"
            }
            Self::TooManyRuleSets { .. } => "write rules between groups instead of single peers",
            Self::TooManyServices { .. } => "use ranges, or the same ports in more rules",
            Self::TooManyGrants { .. } => {
                "let fewer rules have ranges that overlap the ports of many others"
            }
        }
    }
}

impl From<class::TooMany> for CompileError {
    fn from(too_many: class::TooMany) -> Self {
        match too_many {
            class::TooMany::Cells(found) => Self::TooManyCells { found },
            class::TooMany::RuleSets(found) => Self::TooManyRuleSets { found },
        }
    }
}

impl From<services::TooMany> for CompileError {
    fn from(too_many: services::TooMany) -> Self {
        match too_many {
            services::TooMany::Services(found) => Self::TooManyServices { found },
            services::TooMany::Grants(found) => Self::TooManyGrants { found },
        }
    }
}
