//! The frame in its buffer: the only file with pointers into it.

use core::{arch::asm, mem::size_of};

use aya_ebpf::{
    EbpfContext as _,
    bindings::xdp_md,
    helpers::generated::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    programs::XdpContext,
};

/// An Ethernet frame.
pub struct Frame<'a> {
    ctx: &'a XdpContext,
    start: usize,
    end: usize,
}

/// The first bytes of a frame, before `data_end`.
#[derive(Clone, Copy)]
pub struct Head<const LEN: usize>(usize);

/// No header that is looked at begins further behind: two tags, the longest IPv4 header, UDP, and
/// what is in front of MAC2, are together less.
const FURTHEST: usize = 255;

impl<'a> Frame<'a> {
    /// The frame of a program's context.
    #[inline(always)]
    pub fn new(ctx: &'a XdpContext) -> Self {
        Self { ctx, start: ctx.data(), end: ctx.data_end() }
    }

    /// Its first bytes, if so many are in the first buffer.
    #[inline(always)]
    pub fn head<const LEN: usize>(&self) -> Option<Head<LEN>> {
        (self.start + LEN <= self.end).then_some(Head(self.start))
    }

    /// Whether there are so many bytes in its first buffer.
    #[inline(always)]
    pub fn reaches(&self, len: usize) -> bool {
        len <= self.end - self.start
    }

    /// Its length in bytes, with what is in further buffers.
    #[inline(always)]
    pub fn len(&self) -> usize {
        // SAFETY: the context is valid while the program runs.
        unsafe { bpf_xdp_get_buff_len(self.ctx.ctx) as usize }
    }

    /// Words from a place on, as they lie there, if they are in the first buffer.
    #[inline(always)]
    pub fn words<const N: usize>(&self, at: usize) -> Option<[u32; N]> {
        let mut from = at;
        // VERIFIER: 6.18 takes an address only for what was compared itself. Computed in assembly,
        // this one is not computed again, apart from its end, by the compiler.
        // SAFETY: computes with registers.
        unsafe {
            asm!("{0} &= {furthest}", "{0} += {1}", inout(reg) from, in(reg) self.start, furthest = const FURTHEST);
        }
        if from + size_of::<[u32; N]>() > self.end {
            return None;
        }
        // By whole words, at whatever address: unaligned reads would be put together from bytes.
        // SAFETY: before data_end, and integers.
        Some(core::array::from_fn(|word| unsafe { (from as *const u32).add(word).read() }))
    }

    /// Copies words from a place on, out of all buffers; whether there are so many.
    #[inline(always)]
    pub fn copy<const N: usize>(&self, at: usize, words: &mut [u32; N]) -> bool {
        let context: *mut xdp_md = self.ctx.as_ptr().cast();
        let len = size_of::<[u32; N]>() as u32;
        // SAFETY: `len` bytes fit the array.
        unsafe { bpf_xdp_load_bytes(context, at as u32, words.as_mut_ptr().cast(), len) == 0 }
    }
}

impl<const LEN: usize> Head<LEN> {
    /// The byte at a place.
    #[inline(always)]
    pub fn u8<const AT: usize>(self) -> u8 {
        self.read::<u8, AT>()
    }

    /// Two bytes, as they lie there.
    #[inline(always)]
    pub fn u16<const AT: usize>(self) -> u16 {
        self.read::<u16, AT>()
    }

    /// Four bytes, as they lie there.
    #[inline(always)]
    pub fn u32<const AT: usize>(self) -> u32 {
        self.read::<u32, AT>()
    }

    #[inline(always)]
    fn read<T: Copy, const AT: usize>(self) -> T {
        const { assert!(AT + size_of::<T>() <= LEN) };
        // SAFETY: before data_end, and an integer; whole, as above.
        unsafe { ((self.0 + AT) as *const T).read() }
    }
}
