//! The formula, as the programs number its rules, at a time.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use relay::{
    model::Service,
    policy::{Opening, Pass, eval_opening},
};
use relay_common::{Reason, flow::ticks, verdict::Verdict};
use relay_tests::{clock::since_boot, generations::Generations};

/// A time, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// [`ticks`] of the boot clock.
    pub(super) tick: u32,
    /// Since 1970-01-01T00:00:00Z.
    pub(super) date: Duration,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self::since(Duration::ZERO)
    }

    /// The earliest time at which the fast path may think it is: it reads the clock once a jiffy.
    pub(super) fn last_jiffy() -> Self {
        /// With the lowest frequency of the kernel's timer, 100 a second.
        const JIFFY: Duration = Duration::from_millis(10);
        Self::since(JIFFY)
    }

    fn since(lag: Duration) -> Self {
        let boot = since_boot().expect("the clock").saturating_sub(lag).as_nanos();
        let date = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        Self { tick: ticks(u64::try_from(boot).expect("few centuries")), date }
    }
}

/// What decides between two addresses.
pub(super) enum Decided {
    /// Lists, or what the addresses are.
    ByLists(Result<Verdict, Reason>),
    /// Rules: the number of the one that allows the service.
    ByRules(Result<u32, Reason>),
}

/// The formula, with the numbers that the programs know rules by.
pub(super) struct Formula<'g>(pub(super) &'g Generations);

impl Formula<'_> {
    pub(super) fn decide(&self, ends: [IpAddr; 2], service: Service, now: &Moment) -> Decided {
        let [source, destination] = ends;
        let opening = Opening { source, destination, service };
        match eval_opening(&self.0.sources(), &opening, now.date.as_secs()) {
            Ok(Pass::Rule(place)) => Decided::ByRules(Ok(self.0.rules()[place])),
            Err(reason @ (Reason::NoRule | Reason::RuleEnded)) => Decided::ByRules(Err(reason)),
            Ok(Pass::Lists(verdict)) => Decided::ByLists(Ok(verdict)),
            Err(reason) => Decided::ByLists(Err(reason)),
        }
    }

    /// Whether the compiled tables say the same.
    pub(super) fn is_compiled(&self, ends: [IpAddr; 2], service: Service, now: &Moment) -> bool {
        let ([source, destination], compiled) = (ends, self.0.compiled());
        let decided = compiled.decide(source, destination);
        let rule = compiled.allowing(source, destination, service);
        match self.decide(ends, service, now) {
            Decided::ByLists(listed) => decided == listed,
            Decided::ByRules(Err(Reason::NoRule)) => {
                decided == Ok(Verdict::ByRule) && rule.is_none()
            }
            Decided::ByRules(Err(_)) => decided == Ok(Verdict::ByRule) && rule.is_some(),
            Decided::ByRules(Ok(number)) => decided == Ok(Verdict::ByRule) && rule == Some(number),
        }
    }

    /// The rule by which the source may begin this, between addresses that rules decide about.
    pub(super) fn rule(
        &self,
        ends: [IpAddr; 2],
        service: Service,
        now: &Moment,
    ) -> Result<u32, Reason> {
        match self.decide(ends, service, now) {
            Decided::ByRules(rule) => rule,
            Decided::ByLists(_) => Err(Reason::NoRule),
        }
    }

    /// Whether any rule lets the source begin something.
    pub(super) fn opens(&self, [source, destination]: [IpAddr; 2]) -> bool {
        let sources = self.0.sources();
        sources.relay.rules.iter().any(|rule| rule.covers(&sources, source, destination))
    }
}
