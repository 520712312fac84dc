//! A history: the program and the model side by side.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use proptest::sample::Index;
use relay::model::{Relay, Service};
use relay_common::{
    Reason,
    flow::{Record, tcp},
    icmp::Answer,
    verdict::Verdict,
};
use relay_tests::{
    generations::Generations,
    inner::Inner,
    program_run::{REDIRECT, SHOT},
};

use super::{
    configuration::{Edit, addresses},
    counted::Counted,
    flow::Flow,
    formula::{Decided, Formula, Moment},
    fragments::Cut,
    model::Model,
    outcome::Outcome,
    sent::{Conversation, Kind, Sent},
    step::Step,
};

/// Program and model.
pub(super) struct History {
    first: Relay,
    pub(super) programs: Generations,
    pub(super) model: Model,
    addresses: [Vec<IpAddr>; 2],
    /// Those of which rules decide what the first may send to the second.
    ruled: Vec<[IpAddr; 2]>,
    /// The latest packets.
    sent: VecDeque<Sent>,
    pub(super) cut: Option<Cut>,
    /// Sets in which flows have been.
    pub(super) sets: BTreeSet<u32>,
    counted: Counted,
    packets: u64,
    pub(super) identification: u16,
    seen: BTreeMap<&'static str, u64>,
    /// How long it takes to load a generation.
    loading: Duration,
}

/// Packets that later steps refer to.
const REMEMBERED: usize = 200;

impl History {
    pub(super) fn begin(relay: Relay) -> Result<Self> {
        let addresses = [true, false].map(|is_v4| addresses(&relay, is_v4));
        let (first, begun) = (relay.clone(), Moment::now().date);
        let mut history = Self {
            first,
            programs: Generations::begin(relay)?,
            model: Model::default(),
            addresses,
            ruled: Vec::new(),
            sent: VecDeque::new(),
            cut: None,
            sets: BTreeSet::new(),
            counted: Counted::default(),
            packets: 0,
            identification: 0,
            seen: BTreeMap::new(),
            loading: Moment::now().date.saturating_sub(begun),
        };
        history.find_ruled();
        Ok(history)
    }

    /// Number of packets until now.
    pub(super) const fn packets(&self) -> u64 {
        self.packets
    }

    /// How often each thing has become of them.
    pub(super) const fn seen(&self) -> &BTreeMap<&'static str, u64> {
        &self.seen
    }

    /// Edits the configuration, and puts it in force.
    pub(super) fn reload(&mut self, edits: &[Edit]) -> Result<()> {
        let mut relay = self.programs.relay().clone();
        let begun = Moment::now().date;
        let soon = (begun + self.loading).as_secs() + 2;
        edits.iter().for_each(|edit| edit.apply(&mut relay, &self.first, soon));
        self.model.begun.clear();
        self.programs.switch(relay)?;
        self.loading = Moment::now().date.saturating_sub(begun);
        self.find_ruled();
        self.touch()
    }

    /// Sends the next packet of every flow, from one side or the other: it shows whether the flow goes
    /// on.
    pub(super) fn touch(&mut self) -> Result<()> {
        let flows: Vec<Conversation> = self.model.flows.keys().copied().collect();
        for (number, of) in flows.iter().enumerate() {
            let sent = of.sent(tcp::ACK);
            self.send(if number % 2 == 0 { sent } else { sent.reply() })?;
        }
        Ok(())
    }

    fn find_ruled(&mut self) {
        let (formula, now) = (Formula(&self.programs), Moment::now());
        let pairs = self.addresses.iter().flat_map(|of_family| {
            of_family.iter().flat_map(|from| of_family.iter().map(|to| [*from, *to]))
        });
        let is_ruled = |ends: &[IpAddr; 2]| {
            matches!(formula.decide(*ends, Service::Echo, &now), Decided::ByRules(_))
        };
        self.ruled = pairs.filter(is_ruled).collect();
    }

    pub(super) fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Send { ends, elsewhere, kind, ttl, has_options } => {
                let ends = match elsewhere {
                    None if self.ruled.is_empty() => return Ok(()),
                    None => *ends.get(&self.ruled),
                    Some((is_v4, other)) => {
                        let addresses = &self.addresses[usize::from(!is_v4)];
                        [*ends.get(addresses), *other.get(addresses)]
                    }
                };
                self.send(Sent { ends, kind, ttl, has_options })
            }
            Step::More { flow, is_answer, flags } => {
                let flows = &self.model.flows;
                if flows.is_empty() {
                    return Ok(());
                }
                let of = flows.keys().nth(flow.index(flows.len())).context("a flow")?;
                let sent = of.sent(flags);
                self.send(if is_answer { sent.reply() } else { sent })
            }
            Step::Reply(index, flags) => match self.earlier(index) {
                Some(sent) => self.send(sent.reply().with_flags(flags)),
                None => Ok(()),
            },
            Step::Again(index, flags) => match self.earlier(index) {
                Some(sent) => self.send(sent.with_flags(flags)),
                None => Ok(()),
            },
            Step::Error { about, is_whole, from } => match self.earlier(about) {
                Some(sent) => self.report(&sent, is_whole, from),
                None => Ok(()),
            },
            Step::Probe(index, flags) => match self.earlier(index) {
                Some(sent) => self.probe(&sent.with_flags(flags)),
                None => Ok(()),
            },
            Step::Fragments(index, order) => match self.earlier(index) {
                Some(sent) => self.cut(&sent, &order),
                None => Ok(()),
            },
            Step::Late => self.late(true),
            Step::Crowd(index, answered) => match self.earlier(index) {
                Some(sent) => self.crowd(&sent, &answered),
                None => Ok(()),
            },
            Step::Wait(by) => self.wait(by),
            Step::End => self.end(),
        }
    }

    /// Counters and table are what the model says.
    pub(super) fn is_as_counted(&mut self) -> Result<()> {
        self.counted.is_what(&mut self.programs)?;
        let now = Moment::now();
        let key = |record: &Record| (record.beginner, record.answerer, record.tail);
        let mut expected: Vec<Record> =
            self.model.live_flows(&now).map(|flow| flow.record(0)).collect();
        let mut found = self.programs.flows()?;
        found.iter_mut().for_each(|record| record.started = 0);
        // What expires just now.
        let is_live = |record: &Record| record.expires > now.tick + 2;
        expected.retain(is_live);
        found.retain(is_live);
        expected.sort_by_key(key);
        found.sort_by_key(key);
        ensure!(found == expected, "the table has {found:#?}, expected {expected:#?}");
        Ok(())
    }

    fn earlier(&self, index: Index) -> Option<Sent> {
        (!self.sent.is_empty()).then(|| self.sent[index.index(self.sent.len())])
    }

    fn send(&mut self, sent: Sent) -> Result<()> {
        if !self.is_between_peers(&sent) {
            return Ok(());
        }
        let is_compiled =
            Formula(&self.programs).is_compiled(sent.ends, sent.asked(), &Moment::now());
        ensure!(is_compiled, "the compiled tables differ from the formula on {sent:?}");
        let outcome = self
            .try_packet(&sent.inner(), sent.ends, |model, formula, now| {
                model.judge(formula, &sent, now, false)
            })
            .with_context(|| format!("{sent:?}"))?;
        // Mostly such as pass by rules.
        if (outcome.verdict.is_ok() && outcome.rule.is_some()) || self.packets.is_multiple_of(8) {
            self.sent.push_back(sent);
        }
        if self.sent.len() > REMEMBERED {
            self.sent.pop_front();
        }
        Ok(())
    }

    /// Whether its verdict does not depend on the host's routing, which other tests are about.
    pub(super) fn is_between_peers(&self, sent: &Sent) -> bool {
        let decided = Formula(&self.programs).decide(sent.ends, Service::Icmp, &Moment::now());
        !matches!(
            decided,
            Decided::ByLists(
                Ok(Verdict::ToHost | Verdict::ToStack) | Err(Reason::DestinationUnknown)
            )
        )
    }

    fn report(&mut self, about: &Sent, is_whole: bool, from: Option<Index>) -> Result<()> {
        let [to, receiver] = about.ends;
        let from =
            from.map_or(receiver, |from| *from.get(&self.addresses[usize::from(!about.is_v4())]));
        let error = Sent { ends: [from, to], kind: Kind::Icmp, ttl: 64, has_options: false };
        if !self.is_between_peers(&error) {
            return Ok(());
        }
        let quoted = about.inner();
        let len = if is_whole { quoted.bytes().len() } else { about.headers_len() + 8 };
        // Without its flags a segment may be an answer.
        let about = if is_whole { *about } else { about.with_flags(0) };
        let error_type = if about.is_v4() { 3 } else { 1 };
        let inner = Inner::error(error.ends, error_type, &quoted.bytes()[..len]);
        self.try_packet(&inner, error.ends, |model, formula, now| {
            vec![model.judge_error(formula, error.ends, &about, now)]
        })
        .with_context(|| format!("error from {from} about {about:?}"))
        .map(drop)
    }

    fn probe(&mut self, sent: &Sent) -> Result<()> {
        if !self.is_between_peers(sent) {
            return Ok(());
        }
        self.wait_for_ends()?;
        let before = Moment::now();
        let answer = self.programs.ask(&sent.inner())?;
        let after = Moment::now();
        let expected: Vec<_> = [before, after]
            .iter()
            .flat_map(|now| self.model.judge(&Formula(&self.programs), sent, now, true))
            .map(|outcome| match outcome.verdict {
                // It begins nothing.
                Err(Reason::FlowLimit) => Ok(Verdict::Relay),
                verdict => verdict.map(|()| Verdict::Relay),
            })
            .collect();
        ensure!(expected.contains(&answer), "probe {sent:?}: {answer:?}, expected {expected:?}");
        Ok(())
    }

    fn crowd(&mut self, sent: &Sent, answered: &[bool]) -> Result<()> {
        if !matches!(sent.kind, Kind::Tcp { .. } | Kind::Udp { .. }) {
            return Ok(());
        }
        let slot = self.programs.compiled().counted_slot(sent.ends[0]);
        let set = |port| {
            let of = sent.with_port(port).conversation();
            self.programs.set(&of.key(), slot)
        };
        let first = set(10_000);
        let ports = (10_000..u16::MAX).filter(|port| set(*port) == first);
        let ports: Vec<u16> = ports.take(answered.len()).collect();
        for (port, is_answered) in ports.into_iter().zip(answered) {
            let begin = sent.with_port(port).with_flags(tcp::SYN);
            self.send(begin)?;
            if *is_answered {
                self.send(begin.reply().with_flags(tcp::SYN | tcp::ACK))?;
                self.send(begin.with_flags(tcp::ACK))?;
            }
        }
        Ok(())
    }

    /// Runs the program on a packet, and finds which of the outcomes it is.
    pub(super) fn try_packet(
        &mut self,
        inner: &Inner,
        ends: [IpAddr; 2],
        judge: impl Fn(&Model, &Formula<'_>, &Moment) -> Vec<Outcome>,
    ) -> Result<Outcome> {
        self.wait_for_ends()?;
        self.packets += 1;
        let before = Moment::last_jiffy();
        let run = self.programs.ingress(inner)?;
        let after = Moment::now();
        let slots = ends.map(|end| self.programs.compiled().counted_slot(end));
        let has_passed = run.verdict == REDIRECT && run.packet == with_hop(inner);
        let found = if has_passed {
            Ok(())
        } else {
            Err(self.counted.dropped(&mut self.programs, slots[0])?)
        };
        if let Err(reason) = found {
            let is_answered = run.verdict == REDIRECT && Answer::to(reason).is_some();
            ensure!(run.verdict == SHOT || is_answered, "{reason:?}, and returned {}", run.verdict);
        }
        let len = u64::try_from(inner.bytes().len())?;
        let formula = Formula(&self.programs);
        let mut outcomes = judge(&self.model, &formula, &before);
        if (before.tick, before.date.as_secs()) != (after.tick, after.date.as_secs()) {
            outcomes.extend(judge(&self.model, &formula, &after));
        }
        let outcomes: Vec<_> = outcomes.into_iter().map(|outcome| outcome.counted(len)).collect();
        let mut seen = Vec::new();
        for outcome in outcomes.iter().filter(|outcome| outcome.verdict == found) {
            let wrong = self.wrong_in_table(outcome)?;
            if wrong.is_empty() {
                self.note(outcome, slots, len);
                return Ok(outcome.clone());
            }
            seen.extend(wrong);
        }
        bail!("{found:?} with {seen:#?} in the table, expected {outcomes:#?}")
    }

    /// Records of flows that are not as an outcome says.
    fn wrong_in_table(&self, outcome: &Outcome) -> Result<Vec<Option<Record>>> {
        let mut wrong = Vec::new();
        for flow in &outcome.kept {
            let found = self.record(flow)?;
            if found != Some(flow.record(found.map_or(0, |found| found.started))) {
                wrong.push(found);
            }
        }
        for flow in &outcome.gone {
            wrong.extend(self.record(flow)?.map(Some));
        }
        Ok(wrong)
    }

    /// The record of a flow in the table.
    fn record(&self, flow: &Flow) -> Result<Option<Record>> {
        let key = |record: &Record| (record.beginner, record.answerer, record.tail);
        let found = self.programs.flows_at(&flow.of.key(), flow.slot)?;
        Ok(found.into_iter().find(|record| key(record) == key(&flow.record(0))))
    }

    fn note(&mut self, outcome: &Outcome, slots: [u32; 2], len: u64) {
        *self.seen.entry(outcome.label(self.programs.number())).or_default() += 1;
        self.sets.extend(outcome.kept.iter().map(|flow: &Flow| flow.set));
        self.model.note(outcome);
        self.counted.note(outcome, slots, len);
    }
}

/// The packet as it is relayed.
fn with_hop(inner: &Inner) -> Vec<u8> {
    let at = if inner.bytes()[0] >> 4 == 4 { 8 } else { 7 };
    let hops = inner.bytes()[at];
    inner.clone().with_ttl(hops.saturating_sub(1)).bytes().to_vec()
}
