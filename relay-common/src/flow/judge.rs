use core::cell::Cell;

use super::{Entry, FlowSet, NO_SERVICE, Packet, Side, place, ticks};
use crate::{
    Reason,
    rules::{Directions, Rules, allowing},
    service,
};

/// What the decision reads and changes beside the rules.
pub trait Flows: Rules {
    /// A set of the table; `None` if there is none of this number.
    fn set_of_flows(&self, number: u32) -> Option<&FlowSet>;

    /// A set of the memory of datagrams in fragments.
    fn set_of_datagrams(&self, number: u32) -> Option<&FlowSet>;

    /// Replaces `old` by `new` atomically; `false` if the word is not `old`.
    fn replace(&self, word: &Cell<u64>, old: u64, new: u64) -> bool;

    /// Takes a token of the flows that a peer may begin, by its slot.
    fn may_begin(&self, slot: u32) -> bool;

    /// The boot clock, nanoseconds.
    fn now_ns(&self) -> u64;

    /// The same in ticks, which may lag behind by milliseconds.
    fn now(&self) -> u64 {
        ticks(self.now_ns()).into()
    }

    /// Whether a rule has ended, by the time of day.
    fn has_ended(&self, rule: u32) -> bool;

    /// The lower half of the number of the generation.
    fn generation(&self) -> u32;

    /// The seed of the table.
    fn seed(&self) -> u64;

    /// The number, which the compiler knows nothing about any more.
    fn opaque(&self, number: u64) -> u64;

    /// Whether to change nothing: the packet is a probe.
    fn is_probe(&self) -> bool;
}

/// A packet that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// The rule that allows it.
    pub rule: u32,
    /// The side that it comes from.
    pub side: Side,
    /// Its flow.
    pub flow: FlowOf,
}

/// The flow of a packet that passes.
///
/// VERIFIER: all of it is always written. Of an enum the compiler also stores the place that a variant
/// does not have, from a register that nothing has written, which 6.18 rejects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowOf {
    kind: u32,
    set: u32,
    way: u32,
}

impl FlowOf {
    /// It has none.
    pub const NONE: Self = Self { kind: 0, set: 0, way: 0 };

    /// It begins one: [`super::begin`] has to find a place for it.
    pub const BEGINS: Self = Self { kind: 1, set: 0, way: 0 };

    /// The one of this set and way.
    #[inline(always)]
    pub const fn at(set: u32, way: u32) -> Self {
        Self { kind: 2, set, way }
    }

    /// Set and way.
    #[inline(always)]
    pub const fn place(&self) -> Option<(u32, u32)> {
        if self.kind == 2 { Some((self.set, self.way)) } else { None }
    }
}

/// Decides about a packet between peers that rules let begin something with each other.
///
/// # Errors
/// Why the packet is dropped.
#[inline(always)]
pub fn judge(
    flows: &impl Flows,
    packet: &Packet,
    directions: Directions,
) -> Result<Passed, Reason> {
    let now_ns = flows.now_ns();
    let mut reason = Reason::NoRule;
    if directions.backward != 0 && packet.answered != NO_SERVICE {
        match answer(flows, packet, directions.backward, now_ns) {
            Some(Ok(passed)) => return Ok(passed),
            Some(Err(why)) => reason = why,
            None => {}
        }
    }
    if directions.forward != 0 && packet.asked != NO_SERVICE {
        match ask(flows, packet, directions.forward, now_ns) {
            Err(Reason::NoRule) => {}
            decided => return decided,
        }
    }
    Err(reason)
}

/// Decides about an ICMP error, by the packet that it quotes, whose sender is its receiver.
/// `directions` are those of the quoted packet's source and destination.
///
/// # Errors
/// The quoted packet belongs to no flow that is allowed.
#[inline(always)]
pub fn judge_error(
    flows: &impl Flows,
    quoted: &Packet,
    directions: Directions,
) -> Result<Passed, Reason> {
    let now_ns = flows.now_ns();
    for side in [Side::Beginner, Side::Answerer] {
        let (set, beginner, service) = match side {
            Side::Beginner => (directions.forward, quoted.source, quoted.asked),
            Side::Answerer => (directions.backward, quoted.destination, quoted.answered),
        };
        if set == 0 || service >= service::ICMP {
            continue;
        }
        let key = quoted.key.from(side);
        let (number, tag) = place(&key, flows.seed(), beginner);
        let Some((way, entry)) = flows.set_of_flows(number).and_then(|set| set.find(tag, &key))
        else {
            continue;
        };
        if entry.expires() <= ticks(now_ns) {
            continue;
        }
        if let Ok(rule) = standing(flows, entry, set, service) {
            return Ok(Passed { rule, side, flow: FlowOf::at(number, way) });
        }
    }
    Err(Reason::UnrelatedError)
}

/// Decides about a packet of the side that may begin by this set.
#[inline(always)]
fn ask(flows: &impl Flows, packet: &Packet, rules: u16, now_ns: u64) -> Result<Passed, Reason> {
    let verdict = in_force(flows, allowing(flows, rules, packet.asked));
    let passed = |flow| move |rule| Passed { rule, side: Side::Beginner, flow };
    // Of ICMP, echoes alone have flows.
    if packet.asked == service::ICMP || flows.is_probe() {
        return verdict.map(passed(FlowOf::NONE));
    }
    let now = ticks(now_ns);
    let (number, tag) = place(&packet.key, flows.seed(), packet.source);
    let set = flows.set_of_flows(number).ok_or(Reason::Inconsistent)?;
    let Some((way, entry)) = set.find(tag, &packet.key) else {
        return verdict.map(passed(FlowOf::BEGINS));
    };
    match verdict {
        // It begins anew, perhaps elsewhere.
        Ok(_) if entry.expires() <= now => {
            set.clear(way);
            return verdict.map(passed(FlowOf::BEGINS));
        }
        Ok(rule) => {
            let state = entry.state().after_beginner(packet.flags);
            entry.set_state(state);
            entry.set_expires(now + state.lifetime(packet.key.protocol()));
            entry.allow(rule, flows.generation());
        }
        Err(_) => set.clear(way),
    }
    verdict.map(passed(FlowOf::at(number, way)))
}

/// Decides about an answer in a flow that the receiver began by this set; `None` if there is no such
/// flow.
#[inline(always)]
fn answer(
    flows: &impl Flows,
    packet: &Packet,
    rules: u16,
    now_ns: u64,
) -> Option<Result<Passed, Reason>> {
    let key = packet.key.answered();
    let (number, tag) = place(&key, flows.seed(), packet.destination);
    let set = flows.set_of_flows(number)?;
    let (way, entry) = set.find(tag, &key)?;
    let now = ticks(now_ns);
    if entry.expires() <= now {
        return None;
    }
    let rule = match standing(flows, entry, rules, packet.answered) {
        Ok(rule) => rule,
        Err(reason) => {
            if !flows.is_probe() {
                set.clear(way);
            }
            return Some(Err(reason));
        }
    };
    if !flows.is_probe() {
        entry.allow(rule, flows.generation());
        let state = entry.state().after_answerer(packet.flags);
        entry.set_state(state);
        if state.is_reset() {
            let soon = now + state.lifetime(key.protocol());
            entry.set_expires(soon.min(entry.expires()));
        }
    }
    Some(Ok(Passed { rule, side: Side::Answerer, flow: FlowOf::at(number, way) }))
}

/// The rule that allows what an entry stands for: the one that did so when it was judged, or in
/// another generation the one of this set that allows the service now.
///
/// # Errors
/// There is none, or it has ended.
#[inline(always)]
pub(super) fn standing(
    flows: &impl Flows,
    entry: &Entry,
    rules: u16,
    service: u32,
) -> Result<u32, Reason> {
    let rule = match entry.generation() == flows.generation() {
        true => Some(entry.rule()),
        false => allowing(flows, rules, service),
    };
    in_force(flows, rule)
}

/// The rule, if there is one and it has not ended.
///
/// # Errors
/// There is none, or it has ended.
#[inline(always)]
fn in_force(flows: &impl Flows, rule: Option<u32>) -> Result<u32, Reason> {
    match rule {
        None => Err(Reason::NoRule),
        Some(rule) if flows.has_ended(rule) => Err(Reason::RuleEnded),
        Some(rule) => Ok(rule),
    }
}
