//! The decision by the formula, and a plain list of flows.

use std::{collections::BTreeMap, net::IpAddr};

use relay::model::Service;
use relay_common::{
    Reason,
    flow::{OPENINGS, OWN_WAYS, Side, WAYS, ticks_of},
};

use super::{
    flow::Flow,
    formula::{Decided, Formula, Moment},
    outcome::Outcome,
    sent::{Conversation, Sent},
};

/// A datagram whose first fragment has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Datagram {
    pub(super) side: Side,
    /// What it asks for, or answers.
    pub(super) service: Service,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) flows: BTreeMap<Conversation, Flow>,
    /// Flows that each slot has begun in this generation.
    pub(super) begun: BTreeMap<u32, u64>,
}

/// Flows that a peer may begin at once.
const AT_ONCE: u64 = OPENINGS.tolerance_ns / OPENINGS.interval_ns + 1;

impl Model {
    /// What may become of a packet: more than one thing where it is not worth saying more.
    pub(super) fn judge(
        &self,
        formula: &Formula<'_>,
        sent: &Sent,
        now: &Moment,
        is_fragment: bool,
    ) -> Vec<Outcome> {
        let leaves = |outcome: Outcome| match outcome.verdict {
            Ok(()) if sent.ttl <= 1 => Outcome { verdict: Err(Reason::TtlExceeded), ..outcome },
            _ => outcome,
        };
        let outcomes = match formula.decide(sent.ends, sent.asked(), now) {
            Decided::ByLists(Ok(_)) => vec![Outcome::passed(None)],
            Decided::ByLists(Err(reason)) => vec![Outcome::dropped(reason)],
            Decided::ByRules(verdict) => {
                let mut outcomes = self.judge_by_rules(formula, verdict, sent, now);
                if !is_fragment && sent.goes_on() {
                    outcomes.extend(self.on_the_fast_path(formula, verdict, sent, now));
                }
                outcomes
            }
        };
        outcomes.into_iter().map(leaves).collect()
    }

    fn judge_by_rules(
        &self,
        formula: &Formula<'_>,
        verdict: Result<u32, Reason>,
        sent: &Sent,
        now: &Moment,
    ) -> Vec<Outcome> {
        let [from, to] = sent.ends;
        let generation = formula.0.number();
        let mut outcome = Outcome::dropped(Reason::NoRule);
        let answered = self.live(&sent.conversation().answered(), now);
        if let (Some(service), Some(mut flow)) = (sent.answered(), answered)
            && formula.opens([to, from])
        {
            match formula.rule([to, from], service, now) {
                Ok(rule) => {
                    flow.is_answered_by(sent.flags(), now.tick);
                    (flow.rule, flow.generation) = (rule, generation);
                    let kept = vec![flow];
                    let side = Side::Answerer;
                    return vec![Outcome { kept, side, ..Outcome::passed(Some(rule)) }];
                }
                Err(reason) => {
                    outcome.gone.push(flow);
                    outcome.verdict = Err(reason);
                }
            }
        }
        if !formula.opens([from, to]) {
            return vec![outcome];
        }
        // Of ICMP, echoes alone have flows.
        let has_flow = sent.asked() != Service::Icmp;
        let flow = self.live(&sent.conversation(), now).filter(|_| has_flow);
        match (verdict, flow) {
            (Err(reason), flow) => {
                outcome.gone.extend(flow);
                if reason != Reason::NoRule {
                    outcome.verdict = Err(reason);
                }
                vec![outcome]
            }
            (Ok(rule), Some(mut flow)) => {
                flow.goes_on(sent.flags(), now.tick);
                (flow.rule, flow.generation) = (rule, generation);
                outcome.kept.push(flow);
                vec![Outcome { verdict: Ok(()), rule: Some(rule), ..outcome }]
            }
            (Ok(rule), None) if !has_flow => {
                vec![Outcome { verdict: Ok(()), rule: Some(rule), ..outcome }]
            }
            (Ok(rule), None) => self.begin(formula, rule, sent, now, &outcome),
        }
    }

    /// A flow begins, unless there is no place for it; another one of its peer may give way.
    fn begin(
        &self,
        formula: &Formula<'_>,
        rule: u32,
        sent: &Sent,
        now: &Moment,
        outcome: &Outcome,
    ) -> Vec<Outcome> {
        let of = sent.conversation();
        let slot = formula.0.compiled().counted_slot(sent.ends[0]);
        let set = formula.0.set(&of.key(), slot);
        let mut flow = Flow {
            of,
            set,
            slot,
            rule,
            generation: formula.0.number(),
            expires: 0,
            is_answered: false,
            is_closing: false,
            is_reset: false,
            packets: 0,
            bytes: 0,
        };
        flow.goes_on(sent.flags(), now.tick);
        let limited =
            || Outcome { verdict: Err(Reason::FlowLimit), rule: Some(rule), ..outcome.clone() };
        let begun = |gone: Option<Flow>| Outcome {
            verdict: Ok(()),
            rule: Some(rule),
            begins: true,
            kept: vec![flow],
            gone: outcome.gone.iter().copied().chain(gone).collect(),
            side: Side::Beginner,
        };
        let is_gone = |flow: &Flow| outcome.gone.contains(flow) || flow.expires <= now.tick;
        let in_set = || self.flows.values().filter(|flow| flow.set == set && !is_gone(flow));
        let own = || in_set().filter(|flow| flow.slot == slot);
        let mut outcomes = Vec::new();
        if own().count() < OWN_WAYS as usize && in_set().count() < WAYS {
            outcomes.push(begun(None));
        } else {
            // The first to expire, unless it is an open connection; of several any one.
            let first = own().map(|flow| flow.expires).min();
            let first = first.filter(|expires| *expires <= now.tick + ticks_of(600));
            let first = own().filter(|flow| Some(flow.expires) == first);
            outcomes.extend(first.map(|flow| begun(Some(*flow))));
        }
        // Its tokens come back with time.
        if outcomes.is_empty() || self.begun.get(&slot).is_some_and(|begun| *begun >= AT_ONCE) {
            outcomes.push(limited());
        }
        outcomes
    }

    /// Both sides have begun the same, and only the flow of the sender is steady: the fast path takes
    /// that one, and leaves the other alone.
    fn on_the_fast_path(
        &self,
        formula: &Formula<'_>,
        verdict: Result<u32, Reason>,
        sent: &Sent,
        now: &Moment,
    ) -> Option<Outcome> {
        let mut flow = self.live(&sent.conversation(), now)?;
        let other = self.live(&sent.conversation().answered(), now);
        let rule = verdict.ok().filter(|_| formula.opens(sent.ends))?;
        let is_steady = flow.is_steady() && flow.generation == formula.0.number();
        if other.is_none() || !is_steady {
            return None;
        }
        flow.goes_on(sent.flags(), now.tick);
        Some(Outcome { kept: vec![flow], ..Outcome::passed(Some(rule)) })
    }

    /// What becomes of a fragment other than the first.
    pub(super) fn judge_later(
        &self,
        formula: &Formula<'_>,
        ends: [IpAddr; 2],
        datagram: Option<&Datagram>,
        now: &Moment,
    ) -> Outcome {
        let Datagram { side, service } = match (formula.decide(ends, Service::Icmp, now), datagram)
        {
            (Decided::ByLists(Ok(_)), _) => return Outcome::passed(None),
            (Decided::ByLists(Err(reason)), _) => return Outcome::dropped(reason),
            (Decided::ByRules(_), None) => return Outcome::dropped(Reason::NoFirstFragment),
            (Decided::ByRules(_), Some(datagram)) => *datagram,
        };
        let [from, to] = ends;
        let begun = if side == Side::Beginner { [from, to] } else { [to, from] };
        match formula.rule(begun, service, now) {
            Ok(rule) => Outcome { side, ..Outcome::passed(Some(rule)) },
            Err(reason) => Outcome::dropped(reason),
        }
    }

    /// What becomes of an ICMP error about a packet.
    pub(super) fn judge_error(
        &self,
        formula: &Formula<'_>,
        ends: [IpAddr; 2],
        quoted: &Sent,
        now: &Moment,
    ) -> Outcome {
        let otherwise = match formula.decide(ends, Service::Icmp, now) {
            Decided::ByLists(Ok(_)) => return Outcome::passed(None),
            Decided::ByRules(Ok(rule)) => return Outcome::passed(Some(rule)),
            Decided::ByLists(Err(
                reason @ (Reason::NotInEitherList
                | Reason::NotInSourceList
                | Reason::NotInDestinationList),
            )) => reason,
            Decided::ByLists(Err(reason)) => return Outcome::dropped(reason),
            Decided::ByRules(Err(_)) => Reason::UnrelatedError,
        };
        let [from, to] = quoted.ends;
        let slot = |address| formula.0.compiled().counted_slot(address);
        if from != ends[1] || slot(to) != slot(ends[0]) {
            return Outcome::dropped(otherwise);
        }
        let asked = (quoted.asked() != Service::Icmp).then(|| quoted.asked());
        let sides = [
            (quoted.conversation(), [from, to], asked),
            (quoted.conversation().answered(), [to, from], quoted.answered()),
        ];
        for (of, ends, service) in sides {
            if let (Some(flow), Some(service)) = (self.live(&of, now), service)
                && let Ok(rule) = formula.rule(ends, service, now)
            {
                return Outcome { kept: vec![flow], ..Outcome::passed(Some(rule)) };
            }
        }
        Outcome::dropped(otherwise)
    }

    /// Notes what has become of a packet of this length.
    pub(super) fn note(&mut self, outcome: &Outcome) {
        self.flows.retain(|_, flow| !outcome.gone.contains(flow));
        for flow in &outcome.kept {
            if outcome.begins {
                *self.begun.entry(flow.slot).or_default() += 1;
            }
            self.flows.insert(flow.of, *flow);
        }
    }

    /// Lets this many ticks pass.
    pub(super) fn age(&mut self, by: u32, now: &Moment) {
        for flow in self.flows.values_mut() {
            flow.expires = flow.expires.saturating_sub(by);
        }
        self.flows.retain(|_, flow| flow.expires > now.tick);
    }

    /// The flows that have not expired.
    pub(super) fn live_flows(&self, now: &Moment) -> impl Iterator<Item = &Flow> {
        let tick = now.tick;
        self.flows.values().filter(move |flow| flow.expires > tick)
    }

    fn live(&self, of: &Conversation, now: &Moment) -> Option<Flow> {
        self.flows.get(of).copied().filter(|flow| flow.expires > now.tick)
    }
}
