//! Every message to the relay's port moves exactly one counter.

use core::arch::asm;

use aya_ebpf::helpers::generated::bpf_get_smp_processor_id;
use relay_common::guard::Outcome;

use crate::maps;

/// Counts a message, in the lines of this processor: shared ones would be handed from one to the
/// other with every packet.
#[inline(always)]
pub fn one(outcome: Outcome) {
    // SAFETY: takes nothing, touches nothing.
    let processor = unsafe { bpf_get_smp_processor_id() };
    if let Some(counts) = maps::counts(processor) {
        let counter = counts.cast::<u64>().wrapping_add(outcome.index() as usize);
        // VERIFIER: as in the policy's `count.rs`, the instruction that `AtomicU64` would be.
        // SAFETY: a word of a map value, which lives as long as the program: outcomes are fewer
        // than the words of a row.
        unsafe {
            asm!("lock *(u64 *)({counter} + 0) += {by}", counter = in(reg) counter, by = in(reg) 1u64);
        }
    }
}
