//! Counters. Every message to the relay's port moves exactly one.

use core::arch::asm;

use aya_ebpf::{bindings::xdp_action::XDP_PASS, helpers::generated::bpf_get_smp_processor_id};
use relay_common::guard::Outcome;

use crate::maps;

/// Counts a message, in the cache lines of this processor: shared ones would move between processors
/// with every packet.
#[inline(always)]
pub fn one(outcome: Outcome) {
    // SAFETY: the helper takes no arguments.
    let processor = unsafe { bpf_get_smp_processor_id() };
    if let Some(counts) = maps::counts(processor) {
        let counter = counts.cast::<u64>().wrapping_add(outcome.index() as usize);
        // VERIFIER: as in the policy's `count.rs`, the instruction that `AtomicU64` would compile to.
        // SAFETY: a word of a map value, which lives as long as the program; there are fewer outcomes
        // than words in a row.
        unsafe {
            asm!("lock *(u64 *)({counter} + 0) += {by}", counter = in(reg) counter, by = in(reg) 1u64);
        }
    }
}

/// Counts a data message, and ends the program with XDP_PASS. The compiler would save the result of
/// the look-up before it puts the verdict into the same register, and jump.
#[inline(always)]
pub fn data_and_pass() -> ! {
    // SAFETY: the helper takes no arguments.
    let processor = unsafe { bpf_get_smp_processor_id() };
    let counts = maps::counts(processor).map_or(0, |counts| counts as usize);
    // SAFETY: as in [`one`]; ends the program with a verdict of XDP.
    unsafe {
        asm!(
            "if r0 == 0 goto +2",
            "r1 = 1",
            "lock *(u64 *)(r0 + {at}) += r1",
            "r0 = {pass}",
            "exit",
            at = const Outcome::Data.index() * 8,
            pass = const XDP_PASS,
            in("r0") counts,
            options(noreturn),
        );
    }
}

/// Ends the program with XDP_PASS, for a frame that is no message.
#[inline(always)]
pub fn nothing_and_pass() -> ! {
    // SAFETY: ends the program with a verdict of XDP.
    unsafe { asm!("r0 = {pass}", "exit", pass = const XDP_PASS, options(noreturn)) };
}
