use super::interned::Interned;
use crate::{
    model::{Relay, Rule, RuleName},
    policy::service_set::ServiceSet,
};

/// What becomes of some services between two parties, from one policy to the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Change {
    /// The services. If lists let them through in one policy and nothing in the other: everything,
    /// but what is kept between the same parties.
    pub services: ServiceSet,
    /// What lets them through before.
    pub before: Option<Ground>,
    /// What lets them through after.
    pub after: Option<Ground>,
}

/// What lets something through.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ground {
    /// Both lists hold each other; beyond the overlay, the peer's list the address.
    Lists,
    /// The setting `host_access`.
    HostAccess,
    /// A rule.
    Rule {
        /// Its name.
        name: RuleName,
        /// When it ends, seconds since 1970-01-01T00:00:00Z.
        until: Option<u64>,
    },
}

/// What a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sign {
    /// Let through by the second policy only.
    Gained,
    /// Let through by the first policy only.
    Lost,
    /// Let through by both, with another end or by another ground.
    Kept,
}

/// A ground of one policy, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Numbered {
    Lists,
    Host,
    Rule(usize),
}

/// The changes that grounds of two policies make together. Equal grounds are found once.
#[derive(Debug)]
pub(super) struct Changes<'a> {
    relays: [&'a Relay; 2],
    host: [ServiceSet; 2],
    rules: [Vec<ServiceSet>; 2],
    all: Interned<Change>,
    /// Chains of grounds, by number: the chain before, the policy, and the ground.
    chains: Interned<(u32, usize, Numbered)>,
    /// Changes of each chain.
    known: Vec<Option<Vec<u32>>>,
    last: ((u32, usize, Numbered), u32),
}

impl Changes<'_> {
    /// The chain without grounds.
    pub(super) const NOTHING: u32 = 0;
}

impl<'a> Changes<'a> {
    pub(super) fn of(relays: [&'a Relay; 2]) -> Self {
        let mut chains = Interned::new();
        // No rule has this place, so that no other chain has number 0.
        let nothing = (Self::NOTHING, 0, Numbered::Rule(usize::MAX));
        let number = chains.number(nothing);
        let of_rules =
            |relay: &Relay| relay.rules.iter().map(|rule| ServiceSet::of(&rule.services)).collect();
        Self {
            relays,
            host: relays.map(|relay| ServiceSet::of_host(&relay.host_access)),
            rules: relays.map(of_rules),
            all: Interned::new(),
            chains,
            known: Vec::new(),
            last: (nothing, number),
        }
    }

    /// What peers may begin with the relay.
    pub(super) const fn host(&self) -> &[ServiceSet; 2] {
        &self.host
    }

    /// The chain with one more ground.
    pub(super) fn chained(&mut self, chain: u32, policy: usize, ground: Numbered) -> u32 {
        let key = (chain, policy, ground);
        if self.last.0 != key {
            self.last = (key, self.chains.number(key));
        }
        self.last.1
    }

    /// Numbers of the changes that the grounds of a chain make.
    pub(super) fn made_by(&mut self, chain: u32) -> &[u32] {
        let at = chain as usize;
        if self.known.len() <= at {
            self.known.resize(at + 1, None);
        }
        if self.known[at].is_none() {
            let made = self.make(chain);
            self.known[at] = Some(made);
        }
        self.known[at].as_deref().unwrap_or_default()
    }

    pub(super) fn all(&self) -> &[Change] {
        self.all.values()
    }

    fn make(&mut self, mut chain: u32) -> Vec<u32> {
        let mut grounds = [Vec::new(), Vec::new()];
        while chain != Self::NOTHING {
            let (before, policy, ground) = *self.chains.get(chain);
            grounds[policy].push(ground);
            chain = before;
        }
        let [before, after] = [0, 1].map(|policy: usize| self.shares(policy, &mut grounds[policy]));
        let union = |shares: &[(ServiceSet, Ground)]| {
            shares.iter().fold(ServiceSet::default(), |sum, (set, _)| sum.union(set))
        };
        let (all_before, all_after) = (union(&before), union(&after));
        let mut changes = Vec::new();
        for (set, ground) in &before {
            let services = ground.share(set, &all_after);
            changes.push(Change { services, before: Some(ground.clone()), after: None });
            for (other, then) in &after {
                let is_same = ground.until() == then.until()
                    && (ground == then || after.iter().any(|(_, any)| any == ground));
                if !is_same {
                    let services = set.intersection(other);
                    let (before, after) = (Some(ground.clone()), Some(then.clone()));
                    changes.push(Change { services, before, after });
                }
            }
        }
        for (set, ground) in &after {
            let services = ground.share(set, &all_before);
            changes.push(Change { services, before: None, after: Some(ground.clone()) });
        }
        changes.retain(|change| !change.services.is_empty());
        changes.into_iter().map(|change| self.all.number(change)).collect()
    }

    /// What each ground lets through that none before it does. The one that ends last comes first.
    fn shares(&self, policy: usize, grounds: &mut [Numbered]) -> Vec<(ServiceSet, Ground)> {
        let relay = self.relays[policy];
        let until = |rule: usize| relay.rules[rule].until.unwrap_or(u64::MAX);
        grounds.sort_by_key(|ground| match *ground {
            Numbered::Lists | Numbered::Host => (0, 0, 0),
            Numbered::Rule(rule) => (1, u64::MAX - until(rule), rule),
        });
        let everything = ServiceSet::everything();
        let mut left = everything.clone();
        let mut shares = Vec::new();
        for ground in grounds {
            let (services, ground) = match *ground {
                Numbered::Lists => (&everything, Ground::Lists),
                Numbered::Host => (&self.host[policy], Ground::HostAccess),
                Numbered::Rule(rule) => {
                    let services = &self.rules[policy][rule];
                    let Rule { name, until, .. } = &relay.rules[rule];
                    (services, Ground::Rule { name: name.clone(), until: *until })
                }
            };
            let share = services.intersection(&left);
            left = left.without(&share);
            if !share.is_empty() {
                shares.push((share, ground));
            }
        }
        shares
    }
}

impl Change {
    /// What it is.
    pub const fn sign(&self) -> Sign {
        match (&self.before, &self.after) {
            (None, _) => Sign::Gained,
            (Some(_), None) => Sign::Lost,
            (Some(_), Some(_)) => Sign::Kept,
        }
    }

    /// Whether lists let it through in one of both policies.
    pub(super) fn lists(&self) -> bool {
        [&self.before, &self.after].contains(&&Some(Ground::Lists))
    }

    /// Whether it is what stays of lists that are gained or lost.
    pub(super) fn keeps(&self, sign: Sign) -> bool {
        let by_lists = match sign {
            Sign::Gained => &self.after,
            Sign::Lost => &self.before,
            Sign::Kept => return false,
        };
        self.sign() == Sign::Kept && *by_lists == Some(Ground::Lists)
    }
}

impl Ground {
    /// What of a set that it lets through is named as gained or lost, if the other policy lets others
    /// through. For lists that is everything, so that all pairs by lists have the same change; what
    /// stays of it is a change of its own.
    fn share(&self, set: &ServiceSet, others: &ServiceSet) -> ServiceSet {
        let share = set.without(others);
        if *self == Self::Lists && !share.is_empty() { set.clone() } else { share }
    }

    /// When it ends.
    const fn until(&self) -> Option<u64> {
        match self {
            Self::Rule { until, .. } => *until,
            Self::Lists | Self::HostAccess => None,
        }
    }
}
