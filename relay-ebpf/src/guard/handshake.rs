//! Handshake messages: first what their source may send, then MAC1.

use relay_common::guard::{INITIATION_LEN, Initiation, Outcome, ROOM, Response, is_right};

use crate::{
    blake2s,
    frame::Frame,
    judge::{Source, now},
    maps, settings,
};

/// Bytes of a MAC.
const MAC_LEN: usize = 16;

/// A response at a place of the frame.
#[inline(always)]
pub fn response(frame: &Frame<'_>, at: usize) -> Outcome {
    match is_signed(frame, at, maps::message::<Response>()) {
        true => Outcome::Response,
        false => Outcome::BadMac1,
    }
}

/// An initiation at a place of the frame.
#[inline(always)]
pub fn initiation(frame: &Frame<'_>, at: usize, source: &Source) -> Outcome {
    let Some(admitted) = admit(frame, at, source) else { return Outcome::Limited };
    if !is_signed(frame, at, maps::message::<Initiation>()) {
        return Outcome::BadMac1;
    }
    maps::add_flow(&source.flow);
    admitted
}

/// Whether MAC1 of the message at a place of the frame is right, of which this is to be a copy.
#[inline(always)]
fn is_signed<const N: usize>(
    frame: &Frame<'_>,
    at: usize,
    copy: Option<&'static mut [u32; N]>,
) -> bool {
    let (Some(identity), Some(copy)) = (maps::identity(), copy) else { return false };
    frame.copy(at, &mut copy[ROOM..]) && is_right(&identity.mac1_state, copy, blake2s::rounds)
}

/// What an initiation is, its MAC1 being right; `None` when its source has sent too many.
#[inline(always)]
fn admit(frame: &Frame<'_>, at: usize, source: &Source) -> Option<Outcome> {
    if has_mac2(frame, at + INITIATION_LEN as usize - MAC_LEN) {
        return Some(Outcome::InitiationWithMac2);
    }
    let now = now();
    let Some(bucket) = maps::source(&source.key) else {
        maps::add_source(&source.key, &settings::limit().take(0, now)?);
        return Some(Outcome::Initiation);
    };
    // SAFETY: a map value; another source may have taken its place, which then has the tokens of
    // this one.
    if let Some(then) = settings::limit().take(unsafe { *bucket }, now) {
        // SAFETY: as above.
        unsafe { *bucket = then };
        return Some(Outcome::Initiation);
    }
    let flow = maps::flow(&source.flow)?;
    // SAFETY: a map value; another flow may have taken its place, which then has a token less.
    let then = unsafe { *flow }.take(now)?;
    // SAFETY: as above.
    unsafe { *flow = then };
    Some(Outcome::InitiationOfFlow)
}

/// Whether there is a MAC2 at a place of the frame.
#[inline(always)]
fn has_mac2(frame: &Frame<'_>, at: usize) -> bool {
    let mut mac2 = [0u32; MAC_LEN / 4];
    match frame.words(at) {
        Some(words) => mac2 = words,
        // In a further buffer; the length was looked at.
        None => drop(frame.copy(at, &mut mac2)),
    }
    mac2.iter().fold(0, |all, word| all | word) != 0
}
