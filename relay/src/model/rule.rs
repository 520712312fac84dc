use ipnet::IpNet;

use super::{GroupName, RuleName, Services};

/// Most rules of a relay.
pub const MAX_RULES: usize = 16_383;

/// Who may begin what with whom. Rules only add to what lists allow: there is no order, and none
/// takes anything away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Unique.
    pub name: RuleName,
    /// What it is for; one line.
    pub description: Option<String>,
    /// Who may begin.
    pub from: Vec<Selector>,
    /// With whom.
    pub to: Vec<Selector>,
    /// Taken out of both sides.
    pub except: Vec<Selector>,
    /// What may be begun; if empty, everything.
    pub services: Vec<Services>,
    /// Whether either side may begin.
    pub both_ways: bool,
    /// When the rule ends, seconds since 1970-01-01T00:00:00Z. From then on it allows nothing, and
    /// its flows end.
    pub until: Option<u64>,
}

/// Addresses of peers, as a rule names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// Everything that peers own.
    Any,
    /// Everything that a peer owns, by its place in [`super::Relay::peers`].
    Peer(usize),
    /// Everything that the members of a group own, by its place in [`super::Relay::groups`].
    Group(usize),
    /// What peers own of a prefix. Host bits are zero.
    Prefix(IpNet),
}

/// A named set of peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Unique.
    pub name: GroupName,
    /// Its peers, those of nested groups included: places in [`super::Relay::peers`], ascending.
    pub members: Vec<usize>,
}

impl Rule {
    /// A rule that covers nobody. Everything else is what the configuration means by leaving it out.
    pub const fn new(name: RuleName) -> Self {
        Self {
            name,
            description: None,
            from: Vec::new(),
            to: Vec::new(),
            except: Vec::new(),
            services: Vec::new(),
            both_ways: false,
            until: None,
        }
    }

    /// Whether the rule allows nothing at this time, seconds since 1970-01-01T00:00:00Z.
    pub fn has_ended(&self, now: u64) -> bool {
        self.until.is_some_and(|until| now >= until)
    }
}
