use super::{Entry, Flows, Key, Side, State, place};

/// The flow of a packet, if it spends its life: answered, closed by nobody, and judged in this
/// generation, so that [`super::judge`] would let a packet pass that neither opens nor closes.
/// A packet of the beginner, whose slot this is, keeps it for `lifetime`, [`State::lifetime`] of
/// [`State::STEADY`].
#[inline(always)]
pub fn steady<'f>(
    flows: &'f impl Flows,
    key: &Key,
    side: Side,
    beginner: u32,
    lifetime: u32,
) -> Option<&'f Entry> {
    let (number, tag) = place(key, flows.seed(), beginner);
    let entry = flows.set_of_flows(number)?.find_at_once(tag, key)?;
    // In 64 bits, which the target compares without clearing the upper half first.
    let now = flows.now();
    let is_steady = entry.generation() == flows.generation()
        && entry.state() == State::STEADY
        && u64::from(entry.expires()) > now
        && !flows.has_ended(entry.rule());
    if !is_steady {
        return None;
    }
    if side == Side::Beginner {
        entry.keep_until(now + u64::from(lifetime));
    }
    Some(entry)
}
