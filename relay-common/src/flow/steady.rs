use super::{Entry, Flows, Key, Side, State, place, ticks};

/// The flow of a packet, if it spends its life: answered, closed by nobody, and judged in this
/// generation, so that [`super::judge`] would let a packet pass that neither opens nor closes.
/// A packet of the beginner, whose slot this is, keeps it from expiring.
#[inline(always)]
pub fn steady<'f>(
    flows: &'f impl Flows,
    key: &Key,
    side: Side,
    beginner: u32,
    now_ns: u64,
) -> Option<&'f Entry> {
    let now = ticks(now_ns);
    let (number, tag) = place(key, flows.seed(), beginner);
    let (_, entry) = flows.set_of_flows(number)?.find(tag, key)?;
    let is_steady = entry.generation() == flows.generation()
        && entry.state() == State::STEADY
        && entry.expires() > now
        && now_ns < flows.ends(entry.rule());
    if !is_steady {
        return None;
    }
    if side == Side::Beginner {
        entry.set_expires(now + State::STEADY.lifetime(key.protocol()));
    }
    Some(entry)
}
