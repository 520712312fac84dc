//! The decision by plain lists of flows and rules.

extern crate std;

use std::vec::Vec;

use super::memory::{Memory, Policy, SETS, class_of};
use super::sent::Sent;
use crate::{
    Reason,
    flow::{
        FlowSet, Flows as _, Key, NO_SERVICE, OWN_WAYS, Packet, Side, State, WAYS, place, tcp,
        ticks, ticks_of,
    },
    header::protocol,
    service,
};

/// A flow of the list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) key: Key,
    pub(super) slot: u32,
    pub(super) protocol: u8,
    pub(super) expires: u32,
    pub(super) is_answered: bool,
    pub(super) is_closing: bool,
    pub(super) is_reset: bool,
}

impl Known {
    pub(super) fn begin(key: Key, slot: u32, protocol: u8) -> Self {
        let [is_answered, is_closing, is_reset] = [false; 3];
        Self { key, slot, protocol, expires: 0, is_answered, is_closing, is_reset }
    }

    pub(super) fn lifetime(&self) -> u32 {
        ticks_of(match (self.protocol, self.is_answered) {
            (protocol::TCP, _) if self.is_reset => 10,
            (protocol::TCP, true) if !self.is_closing => 5 * 24 * 3600,
            (protocol::TCP, _) => 120,
            (protocol::UDP, true) => 120,
            (protocol::UDP | protocol::ICMP | protocol::ICMPV6, _) => 30,
            _ => 600,
        })
    }

    pub(super) fn goes_on(&mut self, flags: u8, now: u32) {
        if flags & tcp::RST != 0 {
            self.is_reset = true;
        } else if flags & tcp::SYN != 0 {
            *self = Self::begin(self.key, self.slot, self.protocol);
        } else {
            self.is_reset = false;
            self.is_closing |= flags & tcp::FIN != 0;
        }
        self.expires = now + self.lifetime();
    }

    pub(super) fn is_answered_by(&mut self, flags: u8, now: u32) {
        if flags & tcp::RST != 0 {
            self.is_reset = true;
        } else {
            self.is_answered = true;
        }
        if self.is_reset {
            self.expires = self.expires.min(now + self.lifetime());
        }
    }

    pub(super) fn state(&self) -> u32 {
        u32::from(self.is_answered)
            | u32::from(self.is_closing) << 1
            | u32::from(self.is_reset) << 2
    }

    /// The set that it is in.
    pub(super) fn set(&self) -> u32 {
        place(&self.key, 7, self.slot).0 % SETS
    }
}

/// The verdict of the list: the rule, the side, and whether a flow begins.
pub(super) type Verdict = Result<(u32, Side, bool), Reason>;

#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) flows: Vec<Known>,
}

impl Model {
    pub(super) fn judge(
        &mut self,
        policy: &Policy,
        sent: &Sent,
        packet: &Packet,
        now_ns: u64,
    ) -> Verdict {
        let now = ticks(now_ns);
        self.flows.retain(|flow| flow.expires > now);
        let judged = |from, to, asked| match policy.allowing(from, to, Some(class_of(asked))) {
            None => Err(Reason::NoRule),
            Some(rule) if policy.ends(rule) <= now_ns => Err(Reason::RuleEnded),
            Some(rule) => Ok(rule),
        };
        let mut reason = Reason::NoRule;
        let answered = packet.key.answered();
        let is_syn = packet.flags & (tcp::SYN | tcp::ACK) == tcp::SYN;
        if !is_syn
            && packet.answered != NO_SERVICE
            && policy.opens(sent.to, sent.from)
            && let Some(at) = self.flows.iter().position(|flow| flow.key == answered)
        {
            match judged(sent.to, sent.from, packet.answered) {
                Ok(rule) => {
                    self.flows[at].is_answered_by(packet.flags, now);
                    return Ok((rule, Side::Answerer, false));
                }
                Err(why) => {
                    self.flows.remove(at);
                    reason = why;
                }
            }
        }
        if packet.asked == NO_SERVICE || !policy.opens(sent.from, sent.to) {
            return Err(reason);
        }
        let verdict = judged(sent.from, sent.to, packet.asked);
        // Of ICMP, echoes alone have flows.
        let has_flow = packet.asked != service::ICMP;
        let at = self.flows.iter().position(|flow| has_flow && flow.key == packet.key);
        match (verdict, at) {
            (Err(why), at) => {
                if let Some(at) = at {
                    self.flows.remove(at);
                }
                Err(if why == Reason::NoRule { reason } else { why })
            }
            (Ok(rule), Some(at)) => {
                self.flows[at].goes_on(packet.flags, now);
                Ok((rule, Side::Beginner, false))
            }
            (Ok(rule), None) => Ok((rule, Side::Beginner, has_flow)),
        }
    }

    /// Notes a packet of the beginner of a flow that is there.
    pub(super) fn goes_on(&mut self, packet: &Packet, now: u32) {
        self.flows.retain(|flow| flow.expires > now);
        let flow = self.flows.iter_mut().find(|flow| flow.key == packet.key);
        flow.expect("a flow of the sender").goes_on(packet.flags, now);
    }

    /// Whether the packet that an error quotes belongs to a flow that rules allow.
    pub(super) fn knows(&self, policy: &Policy, sent: &Sent, packet: &Packet, now_ns: u64) -> bool {
        let is_known = |key: Key, from, to, asked| {
            let rule = policy.allowing(from, to, Some(class_of(asked)));
            asked < service::ICMP
                && rule.is_some_and(|rule| now_ns < policy.ends(rule))
                && self.flows.iter().any(|flow| flow.key == key && flow.expires > ticks(now_ns))
        };
        is_known(packet.key, sent.from, sent.to, packet.asked)
            || is_known(packet.key.answered(), sent.to, sent.from, packet.answered)
    }

    /// Puts a flow in that the table has begun, and takes out which gave way to it.
    pub(super) fn began(&mut self, mut new: Known, flags: u8, memory: &Memory) {
        let now = ticks(memory.now_ns);
        new.goes_on(flags, now);
        let lost: Vec<Known> =
            self.flows.iter().filter(|flow| found(memory, flow).is_none()).copied().collect();
        let first = self.own(&new).map(|flow| flow.expires).min();
        match lost[..] {
            [] => assert!(!self.is_full(&new), "{new:?} has no place"),
            [lost] => {
                assert!(self.is_full(&new), "{lost:?} gave way to {new:?}");
                assert_eq!((lost.slot, lost.set()), (new.slot, new.set()));
                assert_eq!(Some(lost.expires), first, "another expires earlier");
                assert!(lost.expires <= now + State::LONGEST_TO_GIVE_WAY, "{lost:?} was open");
                self.flows.retain(|flow| flow.key != lost.key);
            }
            _ => panic!("{lost:?} gave way to one flow"),
        }
        self.flows.push(new);
    }

    /// Whether there is no place for this flow, unless one of its own peer gives way.
    pub(super) fn is_full(&self, new: &Known) -> bool {
        let in_set = self.flows.iter().filter(|flow| flow.set() == new.set()).count();
        self.own(new).count() >= OWN_WAYS as usize || in_set >= WAYS
    }

    /// The flows of the same peer in the same set.
    pub(super) fn own(&self, new: &Known) -> impl Iterator<Item = &Known> {
        let (slot, set) = (new.slot, new.set());
        self.flows.iter().filter(move |flow| flow.slot == slot && flow.set() == set)
    }

    /// The table has these flows, and no others.
    pub(super) fn is_in(&self, memory: &Memory) {
        let now = ticks(memory.now_ns);
        let mut live = 0;
        for flow in self.flows.iter().filter(|flow| flow.expires > now) {
            let state = found(memory, flow);
            assert_eq!(state, Some((flow.expires, flow.state())), "{flow:?}");
            live += 1;
        }
        let ways = || (0u32..).take(WAYS);
        let has = |set: &FlowSet, way| set.tag(way).get() > 1 && set.entry(way).expires() > now;
        let in_table = memory
            .sets
            .iter()
            .map(|set| ways().filter(|way| has(set, *way)).count())
            .sum::<usize>();
        assert_eq!(in_table, live);
    }
}

/// When a flow in the table expires, and its state.
pub(super) fn found(memory: &Memory, flow: &Known) -> Option<(u32, u32)> {
    let (number, tag) = place(&flow.key, memory.seed(), flow.slot);
    let (_, entry) = memory.set_of_flows(number)?.find(tag, &flow.key)?;
    Some((entry.expires(), entry.state().bits()))
}
