//! Handshake messages: first what their source may send, then MAC1.

use core::ptr::read_volatile;

use relay_common::guard::{
    INITIATION_LEN, INITIATION_WORDS, Outcome, RESPONSE_WORDS, is_right_initiation,
    is_right_response,
};

use crate::{
    frame::Frame,
    judge::{Source, now},
    maps, settings,
};

/// Bytes of a MAC.
const MAC_LEN: usize = 16;

/// A response at a place of the frame.
#[inline(always)]
pub fn response(frame: &Frame<'_>, at: usize) -> Outcome {
    match message::<RESPONSE_WORDS>(frame, at) {
        Some(message) if is_response_signed(message) => Outcome::Response,
        Some(_) | None => Outcome::BadMac1,
    }
}

/// An initiation at a place of the frame.
#[inline(always)]
pub fn initiation(frame: &Frame<'_>, at: usize, source: &Source) -> Outcome {
    let Some(admitted) = admit(frame, at, source) else { return Outcome::Limited };
    match message::<INITIATION_WORDS>(frame, at) {
        Some(message) if is_initiation_signed(message) => {
            maps::add_flow(&source.flow);
            admitted
        }
        Some(_) | None => Outcome::BadMac1,
    }
}

/// A copy of the message at a place of the frame.
#[inline(always)]
fn message<const N: usize>(frame: &Frame<'_>, at: usize) -> Option<&'static [u32; N]> {
    const { assert!(N <= INITIATION_WORDS) };
    // SAFETY: a value that this processor alone has, and of at least N words.
    let message = unsafe { &mut *maps::message()?.cast::<[u32; N]>() };
    frame.copy(at, message).then_some(message)
}

/// What an initiation is, its MAC1 being right; `None` when its source has sent too many.
#[inline(always)]
fn admit(frame: &Frame<'_>, at: usize, source: &Source) -> Option<Outcome> {
    if has_mac2(frame, at + INITIATION_LEN as usize - MAC_LEN) {
        return Some(Outcome::InitiationWithMac2);
    }
    let now = now();
    if let Some(flow) = maps::flow(&source.flow) {
        // SAFETY: a map value; another flow may have taken its place, which then has a token less.
        if let Some(then) = unsafe { *flow }.take(now) {
            // SAFETY: as above.
            unsafe { *flow = then };
            return Some(Outcome::InitiationOfFlow);
        }
    }
    match maps::source(&source.key) {
        Some(bucket) => {
            // SAFETY: a map value; another source may have taken its place, which then has the
            // tokens of this one.
            let then = settings::limit().take(unsafe { *bucket }, now)?;
            // SAFETY: as above.
            unsafe { *bucket = then };
        }
        None => maps::add_source(&source.key, &settings::limit().take(0, now)?),
    }
    Some(Outcome::Initiation)
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

/// Functions of their own: each has the stack to itself.
#[inline(never)]
fn is_initiation_signed(message: &[u32; INITIATION_WORDS]) -> bool {
    let Some(identity) = maps::identity() else { return true };
    is_right_initiation(identity.mac1_state, |at| word(&message[at]))
}

#[inline(never)]
fn is_response_signed(message: &[u32; RESPONSE_WORDS]) -> bool {
    let Some(identity) = maps::identity() else { return true };
    is_right_response(identity.mac1_state, |at| word(&message[at]))
}

/// A word as a little-endian number.
///
/// VERIFIER: read when it is wanted, each time: the compiler would keep the message in registers,
/// of which there are ten, and what it spills of them takes more stack than there is.
#[inline(always)]
fn word(word: &u32) -> u32 {
    // SAFETY: a reference to an initialised word.
    u32::from_le(unsafe { read_volatile(word) })
}
