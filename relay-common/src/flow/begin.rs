use super::{Flows, Packet, State, place, ticks};
use crate::Reason;

/// Gives a flow that a packet begins, which this rule allows, a place in the table: set and way;
/// `None` if another processor takes the place just now. The beginner's next packet finds another
/// then.
///
/// # Errors
/// The peer has begun too many flows, or there is no place for one more of it.
#[inline(always)]
pub fn begin(flows: &impl Flows, packet: &Packet, rule: u32) -> Result<Option<(u32, u32)>, Reason> {
    let now = ticks(flows.now_ns());
    if !flows.may_begin(packet.source) {
        return Err(Reason::FlowLimit);
    }
    let (number, tag) = place(&packet.key, flows.seed(), packet.source);
    let set = flows.set_of_flows(number).ok_or(Reason::Inconsistent)?;
    let room = set.room(packet.source, now, |number| flows.opaque(number));
    if !room.exists() {
        return Err(Reason::FlowLimit);
    }
    let Some(entry) = set.claim(room, |word, old, new| flows.replace(word, old, new)) else {
        return Ok(None);
    };
    let state = State::OPENING.after_beginner(packet.flags);
    entry.begin(&packet.key, packet.source, now);
    entry.set_state(state);
    entry.set_expires(now + state.lifetime(packet.key.protocol()));
    entry.allow(rule, flows.generation());
    set.publish(room, tag, |word, old, new| flows.replace(word, old, new));
    Ok(Some((number, room.way)))
}
