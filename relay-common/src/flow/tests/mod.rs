//! Random histories of packets: the table against plain lists of flows and rules.

extern crate std;

mod memory;
mod model;
mod sent;

use core::cell::Cell;
use std::{vec, vec::Vec};

use proptest::prelude::*;

use self::{
    memory::{Memory, OPENINGS, PEERS, Policy, Rule, SECOND, SETS, any_rule},
    model::{Known, Model},
    sent::{Kind, Sent, any_flags, any_sent, pair},
};
use super::{FlowOf, FlowSet, Passed, Side, State, begin, judge, judge_error, steady, tcp, ticks};
use crate::Reason;

#[derive(Debug, Clone)]
enum Step {
    /// A packet.
    Send(Sent),
    /// An answer to an earlier packet, with these flags.
    Reply(prop::sample::Index, u8),
    /// More of an earlier one.
    Again(prop::sample::Index, u8),
    /// An error about an earlier one.
    Error(prop::sample::Index),
    /// A probe like an earlier one.
    Probe(prop::sample::Index, u8),
    /// Connections from twenty ports that are answered.
    Connect((u8, u8), bool),
    Wait(u64),
    /// Rules whose bit is set are in force.
    Reload(u16),
}

/// A run of both.
struct Run {
    memory: Memory,
    model: Model,
    sent: Vec<Sent>,
}

impl Run {
    fn new(rules: Vec<Rule>) -> Self {
        let memory = Memory {
            sets: (0..SETS).map(|_| FlowSet::default()).collect(),
            openings: vec![Cell::new(0); usize::from(PEERS) + 1],
            now_ns: 1_000 * SECOND,
            generation: 1,
            is_probe: false,
            policy: Policy { rules, in_force: u16::MAX },
        };
        Self { memory, model: Model::default(), sent: Vec::new() }
    }

    fn step(&mut self, step: Step) {
        let earlier = |index: prop::sample::Index, flags| {
            (!self.sent.is_empty()).then(|| index.get(&self.sent).with_flags(flags))
        };
        match step {
            Step::Send(sent) => self.send(sent),
            Step::Again(index, flags) => {
                earlier(index, flags).into_iter().for_each(|sent| self.send(sent))
            }
            Step::Reply(index, flags) => {
                earlier(index, flags).into_iter().for_each(|sent| self.send(sent.reply()));
            }
            Step::Probe(index, flags) => {
                earlier(index, flags).into_iter().for_each(|sent| self.probe(&sent))
            }
            Step::Error(index) => {
                earlier(index, tcp::ACK).into_iter().for_each(|sent| self.report(&sent))
            }
            Step::Connect((from, to), is_v4) => {
                for port in 1100..1120 {
                    let kind = Kind::Tcp { ports: [port, 22], flags: tcp::SYN };
                    let syn = Sent { from, to, is_v4, kind };
                    self.send(syn);
                    self.send(syn.reply().with_flags(tcp::SYN | tcp::ACK));
                }
            }
            Step::Wait(ns) => self.memory.now_ns += ns,
            Step::Reload(in_force) => {
                self.memory.policy.in_force = in_force;
                self.memory.generation += 1;
            }
        }
        self.model.is_in(&self.memory);
    }

    fn send(&mut self, sent: Sent) {
        self.sent.push(sent);
        let packet = sent.packet();
        let (memory, now_ns) = (&self.memory, self.memory.now_ns);
        let directions = memory.policy.directions(sent.from, sent.to);
        let before = self.model.clone();
        let expected = self.model.judge(&memory.policy, &sent, &packet, now_ns);
        // As the fast path does.
        let lifetime = State::STEADY.lifetime(packet.key.protocol());
        let side = [Side::Answerer, Side::Beginner].into_iter().find(|side| {
            let (set, beginner) = match side {
                Side::Beginner => (directions.forward, packet.source),
                Side::Answerer => (directions.backward, packet.destination),
            };
            set != 0
                && sent.goes_on()
                && steady(memory, &packet.key.from(*side), *side, beginner, lifetime).is_some()
        });
        if let Some(side) = side {
            let (_, first, begins) = expected.expect("the fast path passes what the list passes");
            assert!(!begins, "{sent:?}");
            if first != side {
                // Both have begun the same: of two such flows the fast path takes a steady one.
                assert_eq!((first, side), (Side::Answerer, Side::Beginner));
            }
            if side == Side::Beginner {
                // It leaves the flow that the other side has begun alone, allowed or not.
                self.model = before;
                self.model.goes_on(&packet, ticks(now_ns));
            }
            return;
        }
        let judged = judge(memory, &packet, directions);
        assert_eq!(judged.map(seen), expected, "{sent:?}");
        let Ok((rule, _, true)) = expected else { return };
        let has_token = OPENINGS.has(memory.openings[packet.source as usize].get(), now_ns);
        let new = Known::begin(packet.key, packet.source, packet.key.protocol());
        match begin(memory, &packet, rule) {
            Ok(Some(_)) => self.model.began(new, packet.flags, memory),
            Ok(None) => panic!("nobody else takes places"),
            Err(reason) => {
                assert_eq!(reason, Reason::FlowLimit);
                let latest = ticks(now_ns) + State::LONGEST_TO_GIVE_WAY;
                let mut own = self.model.own(&new);
                let is_full = self.model.is_full(&new) && own.all(|flow| flow.expires > latest);
                assert!(!has_token || is_full, "{sent:?}");
            }
        }
    }

    fn probe(&mut self, sent: &Sent) {
        let packet = sent.packet();
        self.memory.is_probe = true;
        let memory = &self.memory;
        let directions = memory.policy.directions(sent.from, sent.to);
        let expected = self.model.clone().judge(&memory.policy, sent, &packet, self.memory.now_ns);
        let judged = judge(memory, &packet, directions).map(seen);
        let is = |(rule, side, _)| (rule, side);
        assert_eq!(judged.map(is), expected.map(is), "{sent:?}");
        self.memory.is_probe = false;
    }

    fn report(&self, sent: &Sent) {
        let packet = sent.packet();
        let directions = self.memory.policy.directions(sent.from, sent.to);
        let judged = judge_error(&self.memory, &packet, directions);
        let known = self.model.knows(&self.memory.policy, sent, &packet, self.memory.now_ns);
        assert_eq!(judged.map(drop), if known { Ok(()) } else { Err(Reason::UnrelatedError) });
    }
}

fn seen(passed: Passed) -> (u32, Side, bool) {
    (passed.rule, passed.side, passed.flow == FlowOf::BEGINS)
}

fn any_step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    let wait = prop_oneof![
        6 => 0..SECOND / 20,
        3 => 0..20 * SECOND,
        1 => 0..700 * SECOND,
        1 => Just(5 * 24 * 3_600 * SECOND),
    ];
    prop_oneof![
        30 => any_sent().prop_map(Step::Send),
        30 => (index(), any_flags()).prop_map(|(index, flags)| Step::Reply(index, flags)),
        20 => (index(), any_flags()).prop_map(|(index, flags)| Step::Again(index, flags)),
        5 => index().prop_map(Step::Error),
        5 => (index(), any_flags()).prop_map(|(index, flags)| Step::Probe(index, flags)),
        1 => (pair(), any::<bool>()).prop_map(|(pair, is_v4)| Step::Connect(pair, is_v4)),
        10 => wait.prop_map(Step::Wait),
        1 => any::<u16>().prop_map(|some| Step::Reload(some | some.rotate_left(3))),
    ]
}

proptest! {
    /// 256 histories, of more than 500 packets each.
    #[test]
    fn the_table_decides_as_a_list_of_flows_and_rules(
        rules in prop::collection::vec(any_rule(), 1..16),
        steps in prop::collection::vec(any_step(), 500..700),
    ) {
        let mut run = Run::new(rules);
        steps.into_iter().for_each(|step| run.step(step));
    }
}
