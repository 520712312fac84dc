//! The packet in its buffer: the only file with pointers into it.

use aya_ebpf::programs::TcContext;
use relay_common::bytes::{Bytes, Pod};

/// A packet whose IP header is at offset 0.
pub struct Packet<'a> {
    ctx: &'a TcContext,
}

impl<'a> Packet<'a> {
    /// The packet of a program's context.
    #[inline(always)]
    pub fn new(ctx: &'a TcContext) -> Self {
        Self { ctx }
    }

    /// Index of the interface the program runs on.
    #[inline(always)]
    pub fn interface(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.ctx.skb.skb).ifindex }
    }

    /// `skb->mark`.
    #[inline(always)]
    pub fn mark(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.ctx.skb.skb).mark }
    }

    /// Whether its source may be an IPv6 address with this upper half, in host order. Nearly no packet
    /// is, and the others need no helper.
    #[inline(always)]
    pub fn may_be_from(&self, high: u64) -> bool {
        const SOURCE: usize = 8;
        let (start, end) = (self.ctx.data(), self.ctx.data_end());
        if start + SOURCE + size_of::<u64>() > end {
            return true;
        }
        // SAFETY: before data_end, and an integer.
        u64::from_be(unsafe { ((start + SOURCE) as *const u64).read() }) == high
    }
}

impl Bytes for Packet<'_> {
    #[inline(always)]
    fn read<T: Pod>(&self, at: u32) -> Option<T> {
        self.ctx.load(at as usize).ok()
    }
}
