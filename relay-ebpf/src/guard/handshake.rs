//! Handshake messages: whether MAC1 is checked and valid, and what their source may send.

use relay_common::guard::{
    BY_CHANCE, COOKIE_REPLIES, INITIATION_LEN, Initiation, Outcome, ROOM, Response, is_share,
    is_valid,
};

use crate::{
    blake2s,
    flow::{self, Source},
    frame::Frame,
    maps, settings,
};

/// Bytes of a MAC.
const MAC_LEN: usize = 16;

/// The outcome of a response at an offset of the frame.
#[inline(always)]
pub fn response(frame: &Frame<'_>, at: usize, source: &Source) -> Outcome {
    let now = flow::now();
    match is_signed(frame, at, maps::message::<Response>(), source, now) {
        Ok(()) => Outcome::Response,
        Err(outcome) => outcome,
    }
}

/// The outcome of an initiation at an offset of the frame. Only one with a valid MAC1 takes a token
/// of its source, or leaves an entry in a table from which it could evict others.
#[inline(always)]
pub fn initiation(frame: &Frame<'_>, at: usize, source: &Source) -> Outcome {
    let now = flow::now();
    let signed = is_signed(frame, at, maps::message::<Initiation>(), source, now);
    if let Err(outcome) = signed {
        return outcome;
    }
    let outcome = admitted(frame, at, source, now);
    if !outcome.drops() {
        source.passed(now);
    }
    outcome
}

/// The outcome of a cookie reply, which only the kernel can verify, and which it queues with the
/// other handshake messages.
#[inline(always)]
pub fn cookie_reply(source: &Source) -> Outcome {
    let now = flow::now();
    if source.is_confirmed(now) || flow::takes(&COOKIE_REPLIES, maps::cookie_replies(), now) {
        Outcome::CookieReply
    } else {
        Outcome::CookieReplyLimited
    }
}

/// Checks MAC1 of the message at an offset of the frame, in a copy.
#[inline(always)]
fn is_signed<const N: usize>(
    frame: &Frame<'_>,
    at: usize,
    copy: Option<&'static mut [u32; N]>,
    source: &Source,
    now: u64,
) -> Result<(), Outcome> {
    if !source.is_checked(now) {
        return Err(Outcome::Unverified);
    }
    let (Some(identity), Some(copy)) = (maps::identity(), copy) else {
        return Err(Outcome::BadMac1);
    };
    if frame.copy(at, &mut copy[ROOM..]) && is_valid(&identity.mac1_state, copy, blake2s::rounds) {
        return Ok(());
    }
    source.forged(now);
    Err(Outcome::BadMac1)
}

/// The outcome of an initiation with a valid MAC1.
#[inline(always)]
fn admitted(frame: &Frame<'_>, at: usize, source: &Source, now: u64) -> Outcome {
    if has_mac2(frame, at + INITIATION_LEN as usize - MAC_LEN) {
        return Outcome::InitiationWithMac2;
    }
    let limit = settings::limit();
    match maps::source(&source.key) {
        None => {
            maps::add_source(&source.key, &(now + limit.interval_ns));
            Outcome::Initiation
        }
        Some(bucket) if flow::takes(&limit, Some(bucket), now) => Outcome::Initiation,
        Some(_) if source.takes_own(now) => Outcome::InitiationOfFlow,
        Some(_) if is_share(flow::random(), BY_CHANCE) => Outcome::InitiationByChance,
        Some(_) => Outcome::Limited,
    }
}

/// Whether there is a MAC2 at an offset of the frame.
#[inline(always)]
fn has_mac2(frame: &Frame<'_>, at: usize) -> bool {
    let mac2: Option<[u32; MAC_LEN / 4]> = frame.words(at);
    mac2.is_some_and(|words| words.iter().fold(0, |all, word| all | word) != 0)
}
