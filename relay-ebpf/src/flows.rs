//! The tables and maps of flows, as [`relay_common::flow::judge`] reads them.

use core::{arch::asm, cell::Cell};

use aya_ebpf::helpers::generated::bpf_ktime_get_tai_ns;
use relay_common::{
    flow::{FlowSet, Flows, OPENINGS},
    names::ENDS,
    rules::{Grant, RuleSet, Rules},
};

use crate::{clock, maps, settings, tables};

/// The kernel's side of flows.
pub struct Kernel {
    is_probe: bool,
}

impl Kernel {
    /// For a packet, or a probe, which changes nothing.
    #[inline(always)]
    pub const fn new(is_probe: bool) -> Self {
        Self { is_probe }
    }
}

impl Rules for Kernel {
    #[inline(always)]
    fn class(&self, service: u32) -> u16 {
        tables::service_class(service)
    }

    #[inline(always)]
    fn set(&self, number: u16) -> RuleSet {
        tables::rule_set(number)
    }

    #[inline(always)]
    fn grant(&self, index: u64) -> Grant {
        tables::grant(index)
    }
}

impl Flows for Kernel {
    #[inline(always)]
    fn set_of_flows(&self, number: u32) -> Option<&FlowSet> {
        maps::flows(number)
    }

    #[inline(always)]
    fn set_of_datagrams(&self, number: u32) -> Option<&FlowSet> {
        maps::datagrams(number)
    }

    #[inline(always)]
    fn replace(&self, word: &Cell<u64>, old: u64, new: u64) -> bool {
        let mut found = old;
        // SAFETY: a word of a map value; one instruction (kernel 5.12).
        unsafe {
            asm!("r0 = cmpxchg_64({word} + 0, r0, {new})", word = in(reg) word.as_ptr(), new = in(reg) new, inout("r0") found);
        }
        found == old
    }

    #[inline(always)]
    fn may_begin(&self, slot: u32) -> bool {
        let Some(bucket) = maps::openings(slot) else { return false };
        // SAFETY: points into a map value. Two processors may both take the last token.
        match OPENINGS.taken(unsafe { *bucket }, self.now_ns()) {
            Some(taken) => {
                // SAFETY: as above.
                unsafe { *bucket = taken };
                true
            }
            None => false,
        }
    }

    #[inline(always)]
    fn now_ns(&self) -> u64 {
        clock::boot_ns()
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        clock::ticks()
    }

    #[inline(always)]
    fn has_ended(&self, rule: u32) -> bool {
        if settings::features() & ENDS == 0 {
            return false;
        }
        let end_ns = tables::rule_ends(rule);
        // SAFETY: the helper takes no arguments (kernel 6.1).
        end_ns != u64::MAX && unsafe { bpf_ktime_get_tai_ns() } >= end_ns
    }

    #[inline(always)]
    fn generation(&self) -> u32 {
        settings::generation_number()
    }

    #[inline(always)]
    fn seed(&self) -> u64 {
        settings::flow_seed()
    }

    #[inline(always)]
    fn opaque(&self, number: u64) -> u64 {
        tables::opaque(number)
    }

    #[inline(always)]
    fn is_probe(&self) -> bool {
        self.is_probe
    }
}
