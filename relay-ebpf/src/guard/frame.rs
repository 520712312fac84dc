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

/// Largest offset that is read.
const FURTHEST: usize = 1023;

/// Largest offset of the UDP header, so that a whole handshake message is within [`FURTHEST`].
pub const LAST_HEADER: usize = 800;

impl<'a> Frame<'a> {
    /// The frame of a program's context.
    #[inline(always)]
    pub fn new(ctx: &'a XdpContext) -> Self {
        Self { ctx, start: ctx.data(), end: ctx.data_end() }
    }

    /// The first `LEN` bytes, if they are in the first buffer.
    #[inline(always)]
    pub fn head<const LEN: usize>(&self) -> Option<Head<LEN>> {
        (self.start + LEN <= self.end).then_some(Head(self.start))
    }

    /// Whether the first buffer has at least `len` bytes.
    #[inline(always)]
    pub fn reaches(&self, len: usize) -> bool {
        len <= self.end - self.start
    }

    /// Whether the first buffer has exactly `len` bytes.
    #[inline(always)]
    pub fn is_long(&self, len: usize) -> bool {
        len == self.end - self.start
    }

    /// Length in bytes, all buffers included.
    #[inline(always)]
    pub fn len(&self) -> usize {
        // SAFETY: the context is valid while the program runs.
        unsafe { bpf_xdp_get_buff_len(self.ctx.ctx) as usize }
    }

    /// `N` words from an offset on, in memory order, from any buffer; `None` if the frame is shorter.
    #[inline(always)]
    pub fn words<const N: usize>(&self, at: usize) -> Option<[u32; N]> {
        let Some(from) = self.place(at, size_of::<[u32; N]>()) else {
            let mut words = [0; N];
            return self.load(at, &mut words).then_some(words);
        };
        let from = from as *const u32;
        // SAFETY: before data_end, and integers.
        Some(core::array::from_fn(|word| unsafe { from.add(word).read() }))
    }

    /// Copies words from an offset on, from any buffer; `false` if the frame is shorter.
    #[inline(always)]
    pub fn copy(&self, at: usize, words: &mut [u32]) -> bool {
        let len = size_of_val(words);
        let Some(from) = self.place(at, len) else { return self.load(at, words) };
        let to = words.as_mut_ptr();
        let from = from as *const u32;
        for pair in 0..words.len() / 2 {
            // SAFETY: before data_end, and within `words`.
            unsafe { to.cast::<u64>().add(pair).write(from.cast::<u64>().add(pair).read()) };
        }
        if let Some(last) = words.len().checked_sub(1).filter(|last| last % 2 == 0) {
            // SAFETY: as above.
            unsafe { to.add(last).write(from.add(last).read()) };
        }
        true
    }

    /// Copies by a helper, which reaches all buffers.
    #[inline(always)]
    fn load(&self, at: usize, words: &mut [u32]) -> bool {
        let context: *mut xdp_md = self.ctx.as_ptr().cast();
        let (to, len) = (words.as_mut_ptr(), size_of_val(words));
        // SAFETY: `len` bytes fit the words.
        unsafe { bpf_xdp_load_bytes(context, at as u32, to.cast(), len as u32) == 0 }
    }

    /// The address of `len` bytes, if they are in the first buffer. Callers read whole words from it,
    /// whatever its alignment: unaligned reads would be assembled from bytes.
    #[inline(always)]
    fn place(&self, at: usize, len: usize) -> Option<usize> {
        let mut from = at;
        // VERIFIER: 6.18 accepts only the address that was itself compared. The assembly keeps the
        // compiler from computing it a second time.
        // SAFETY: changes a register.
        unsafe {
            asm!("{0} &= {furthest}", "{0} += {1}", inout(reg) from, in(reg) self.start, furthest = const FURTHEST);
        }
        (from + len <= self.end).then_some(from)
    }
}

impl<const LEN: usize> Head<LEN> {
    /// The byte at an offset.
    #[inline(always)]
    pub fn u8<const AT: usize>(self) -> u8 {
        self.read::<u8, AT>()
    }

    /// Two bytes, in memory order.
    #[inline(always)]
    pub fn u16<const AT: usize>(self) -> u16 {
        self.read::<u16, AT>()
    }

    /// Two bytes, in memory order, read here and no earlier: until then they occupy no register. A
    /// callee-saved one would cost two instructions.
    #[inline(always)]
    pub fn u16_late<const AT: usize>(self) -> u16 {
        const { assert!(AT + size_of::<u16>() <= LEN) };
        // SAFETY: as below.
        unsafe { ((self.0 + AT) as *const u16).read_volatile() }
    }

    /// Four bytes, in memory order.
    #[inline(always)]
    pub fn u32<const AT: usize>(self) -> u32 {
        self.read::<u32, AT>()
    }

    #[inline(always)]
    fn read<T: Copy, const AT: usize>(self) -> T {
        const { assert!(AT + size_of::<T>() <= LEN) };
        // SAFETY: before data_end, and an integer; read as a whole word, as above.
        unsafe { ((self.0 + AT) as *const T).read() }
    }
}
