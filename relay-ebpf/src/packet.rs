//! The packet in its buffer: the only file with pointers into it.

use core::{arch::asm, mem::offset_of};

use aya_ebpf::{
    EbpfContext as _,
    bindings::__sk_buff,
    helpers::generated::{
        bpf_csum_diff, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_store_bytes,
    },
    programs::TcContext,
};
use relay_common::{
    Reason,
    bytes::{Bytes, Pod},
    counters::wire_bytes,
    event::HEAD_LEN,
    header::{Headers, IPV4_LEN, IPV6_LEN, Ipv4Header, Ipv6Header},
    icmp::{MAX_QUOTE, Quoted},
    mesh::transit_interface,
    names::{ANSWER, MESH, MESHED, PASSED},
    probe::PROBE,
    transport::Transport,
};

use crate::{
    settings::{self, has},
    tables::opaque,
};

/// A packet whose IP header is at offset 0.
pub struct Packet<'a> {
    ctx: &'a TcContext,
}

/// Offset of the word that says where a packet leaves.
const WAY: usize = offset_of!(__sk_buff, cb);

/// Whether a packet is a single one for the fast path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Single {
    /// It is not.
    No,
    /// It is, and there is no mesh.
    Alone,
    /// It is, and peers may be at home at other relays.
    Meshed,
}

/// Buffer for a quote, zeros behind its end.
pub type QuoteBuffer = [u32; MAX_QUOTE as usize / 4];

impl<'a> Packet<'a> {
    /// The packet of a program's context.
    #[inline(always)]
    pub fn new(ctx: &'a TcContext) -> Self {
        Self { ctx }
    }

    /// Length in bytes; of a GSO aggregate, that of its one header and all payloads.
    #[inline(always)]
    pub fn len(&self) -> u32 {
        self.ctx.len()
    }

    /// Index of the interface the program runs on.
    #[inline(always)]
    pub fn interface(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.ctx.skb.skb).ifindex }
    }

    /// Whether the packet entered the host through an interface; otherwise the host sent it.
    #[inline(always)]
    pub fn came_from_an_interface(&self) -> bool {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.ctx.skb.skb).ingress_ifindex != 0 }
    }

    /// `skb->mark`.
    #[inline(always)]
    pub fn mark(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.ctx.skb.skb).mark }
    }

    /// Index of the transit interface that it came by, if another relay sent it.
    #[inline(always)]
    pub fn transit(&self) -> Option<u32> {
        if has(MESH) { transit_interface(self.mark()) } else { None }
    }

    /// Makes it a packet that leaves: without the mark by which [`Self::transit`] knows.
    #[inline(always)]
    pub fn forget_transit(&self) {
        if self.transit().is_some() {
            self.ctx.set_mark(0);
        }
    }

    /// Sets where it leaves: the index of an interface.
    #[inline(always)]
    pub fn set_way(&self, interface: u32) {
        // VERIFIER: the compiler would compute the address of the field once for several accesses, and
        // 6.18 reports "dereference of modified ctx ptr".
        // SAFETY: the context is valid while the program runs. The kernel leaves these words to
        // programs of traffic control.
        unsafe {
            asm!(
                "*(u32 *)({context} + {way}) = {interface}",
                context = in(reg) self.ctx.skb.skb,
                way = const WAY,
                interface = in(reg) u64::from(interface),
            );
        }
    }

    /// Where it leaves, by [`Self::set_way`].
    #[inline(always)]
    pub fn way(&self) -> u32 {
        let interface: u64;
        // VERIFIER: as above.
        // SAFETY: as above.
        unsafe {
            asm!(
                "{interface} = *(u32 *)({context} + {way})",
                context = in(reg) self.ctx.skb.skb,
                way = const WAY,
                interface = out(reg) interface,
            );
        }
        interface as u32
    }

    /// Whether `relay_ingress` has passed the packet up. Packets come from WireGuard without a mark.
    #[inline(always)]
    pub fn has_passed(&self) -> bool {
        self.mark() & PASSED == PASSED
    }

    /// Whether the fence has marked the packet as an answer from a published port to a peer.
    #[inline(always)]
    pub fn answers_a_peer(&self) -> bool {
        self.mark() & ANSWER == ANSWER
    }

    /// Whether this is a probe of the loader, not a packet of a peer.
    #[inline(always)]
    pub fn is_probe(&self) -> bool {
        self.mark() == PROBE
    }

    /// Whether the packet leaves through the interface that it entered by: `relay_ingress` has decided
    /// about it.
    #[inline(always)]
    pub fn came_from_this_interface(&self) -> bool {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.ctx.skb.skb).ingress_ifindex == (*self.ctx.skb.skb).ifindex }
    }

    /// Number of packets on the wire.
    #[inline(always)]
    pub fn segments(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        let segments = unsafe { (*self.ctx.skb.skb).gso_segs };
        if segments == 0 { 1 } else { segments }
    }

    /// Whether it is no aggregate, and not too long for the fast path.
    #[inline(always)]
    pub fn is_single(&self) -> bool {
        self.len() <= settings::direct_mtu() & (MESHED - 1) && self.segments() == 1
    }

    /// The same, apart for a relay in a mesh.
    #[inline(always)]
    pub fn single(&self) -> Single {
        let most = opaque(settings::direct_mtu().into());
        if self.segments() != 1 {
            Single::No
        } else if most >= MESHED.into() {
            let fits = u64::from(self.len()) <= most - u64::from(MESHED);
            if fits { Single::Meshed } else { Single::No }
        } else if u64::from(self.len()) <= most {
            Single::Alone
        } else {
            Single::No
        }
    }

    /// Packets and bytes on the wire.
    #[inline(always)]
    pub fn on_the_wire(&self, transport: &Transport) -> (u64, u64) {
        let segments = self.segments();
        if segments == 1 {
            return (1, u64::from(self.len()));
        }
        (u64::from(segments), wire_bytes(self.len(), segments, transport.segment_header_len(self)))
    }

    /// Whether every segment of a GSO aggregate fits the MTU. `false` if this is no aggregate.
    #[inline(always)]
    pub fn segments_fit(&self, transport: &Transport) -> bool {
        // SAFETY: the context is valid while the program runs.
        let gso_size = unsafe { (*self.ctx.skb.skb).gso_size };
        gso_size != 0 && gso_size + transport.segment_header_len(self) <= settings::mtu()
    }

    /// The IP header, from the linear part or after pulling it there. The version determines the family:
    /// WireGuard has set `skb->protocol` by it (wg_packet_consume_data_done(),
    /// drivers/net/wireguard/receive.c, 6.12).
    ///
    /// # Errors
    /// The packet is neither IPv4 nor IPv6, or shorter than its header.
    #[inline(always)]
    pub fn headers(&self) -> Result<Headers, Reason> {
        let words = self.header::<u32, 5>(IPV4_LEN)?;
        match u32::from_be(words[0]) >> 28 {
            4 => Ok(Headers::V4(Ipv4Header::new(words))),
            6 => self.header(IPV6_LEN).map(|words| Headers::V6(Ipv6Header::new(words))),
            _ => Err(Reason::MalformedHeader),
        }
    }

    /// The beginning of the packet, if it is in the linear part.
    #[inline(always)]
    pub fn linear<T: Copy>(&self) -> Option<Linear<T>> {
        let data = self.ctx.data();
        (data + size_of::<T>() <= self.ctx.data_end()).then_some(Linear(data as *mut T))
    }

    /// Checks the headers and finds what they carry.
    ///
    /// # Errors
    /// The first field that is wrong.
    #[inline(always)]
    pub fn check(&self, headers: &Headers) -> Result<Transport, Reason> {
        headers.check(self.len())?;
        Transport::find(headers, self)
    }

    /// Whether it is a GSO aggregate.
    #[inline(always)]
    pub fn is_aggregate(&self) -> bool {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.ctx.skb.skb).gso_size != 0 }
    }

    /// Copies the beginning of the packet, or nothing if it cannot be read.
    ///
    /// # Safety
    /// `head` points into a map value.
    #[inline(always)]
    pub unsafe fn copy_head(&self, head: *mut [u8; HEAD_LEN as usize]) {
        let len = bounded::<HEAD_LEN>(self.len().min(HEAD_LEN));
        // SAFETY: guaranteed by the caller; `len` bytes fit.
        let copied = unsafe { bpf_skb_load_bytes(self.ctx.as_ptr(), 0, head.cast(), len) };
        // An error cannot be reported here; the helper has filled the head with zeros.
        let _ = copied;
    }

    /// Copies the beginning of the packet into a quote.
    ///
    /// # Errors
    /// The kernel's error number.
    #[inline(always)]
    pub fn quote(&self, buffer: &mut QuoteBuffer) -> Result<Quoted, i64> {
        let len = bounded::<MAX_QUOTE>(self.len().min(MAX_QUOTE));
        let size = size_of::<QuoteBuffer>() as u32;
        // SAFETY: `len` bytes fit the buffer, all of which is summed. The helper takes 32-bit words in
        // memory order.
        let sum = unsafe {
            ok(bpf_skb_load_bytes(self.ctx.as_ptr(), 0, buffer.as_mut_ptr().cast(), len))?;
            bpf_csum_diff(core::ptr::null_mut(), 0, buffer.as_mut_ptr(), size, 0)
        };
        if sum < 0 { Err(sum) } else { Ok(Quoted { len, sum: sum as u64 }) }
    }

    /// Replaces the packet by `header` and the quote.
    ///
    /// # Errors
    /// The kernel's error number; the packet must be dropped then.
    #[inline(always)]
    pub fn replace<const N: usize>(
        &self,
        header: &[u32; N],
        buffer: &QuoteBuffer,
        quoted: Quoted,
    ) -> Result<(), i64> {
        let header_len = (N * 4) as u32;
        let len = bounded::<MAX_QUOTE>(quoted.len);
        let ctx = self.ctx.as_ptr();
        // SAFETY: both stores read what the two arrays hold.
        unsafe {
            ok(bpf_skb_change_tail(ctx.cast(), header_len + len, 0))?;
            ok(bpf_skb_store_bytes(ctx.cast(), 0, header.as_ptr().cast(), header_len, 0))?;
            ok(bpf_skb_store_bytes(ctx.cast(), header_len, buffer.as_ptr().cast(), len, 0))
        }
    }

    /// Raw context, for helpers that take one.
    #[inline(always)]
    pub fn context(&self) -> &TcContext {
        self.ctx
    }

    #[inline(always)]
    fn header<T: Copy, const N: usize>(&self, len: u32) -> Result<[T; N], Reason> {
        let linear = self.linear().or_else(|| {
            self.ctx.pull_data(len).ok()?;
            self.linear()
        });
        Ok(linear.ok_or(Reason::MalformedHeader)?.copy())
    }
}

impl Bytes for Packet<'_> {
    #[inline(always)]
    fn read<T: Pod>(&self, at: u32) -> Option<T> {
        self.ctx.load(at as usize).ok()
    }
}

/// The beginning of a packet, before `data_end`: an IP header as words. Valid until a helper changes
/// the packet; the verifier rejects a program that uses it later.
#[derive(Clone, Copy)]
pub struct Linear<T>(*mut T);

impl<T: Copy, const N: usize> Linear<[T; N]> {
    /// Copies the words by aligned loads, whatever the address: an unaligned read would be assembled
    /// from bytes. Where the processor needs alignment the verifier rejects the program.
    ///
    /// Word by word: the compiler would load the whole array in pairs and split them again.
    #[inline(always)]
    pub fn copy(&self) -> [T; N] {
        // SAFETY: the words are before data_end and are integers.
        core::array::from_fn(|at| unsafe { self.0.cast::<T>().add(at).read() })
    }

    /// The same words, to be read again: that costs less than keeping them on the stack, which the
    /// compiler does with what it has read.
    #[inline(always)]
    pub fn anew(&self) -> Self {
        Self(opaque(self.0 as u64) as *mut _)
    }
}

impl Linear<[u32; 7]> {
    /// The IPv4 header.
    #[inline(always)]
    pub fn head(&self) -> Linear<[u32; 5]> {
        Linear(self.0.cast())
    }
}

impl Linear<[u64; 6]> {
    /// The IPv6 header.
    #[inline(always)]
    pub fn head(&self) -> Linear<[u64; 5]> {
        Linear(self.0.cast())
    }
}

impl Linear<[u32; 5]> {
    /// Writes the word of TTL, protocol and checksum of an IPv4 header.
    #[inline(always)]
    pub fn store_ttl_word(&self, word: u32) {
        // SAFETY: bytes 8 to 12 are before data_end.
        unsafe { self.0.cast::<u32>().add(2).write(word) };
    }
}

impl Linear<[u64; 5]> {
    /// Writes the hop limit of an IPv6 header.
    #[inline(always)]
    pub fn store_hop_limit(&self, hop_limit: u8) {
        // SAFETY: byte 7 is before data_end.
        unsafe { self.0.cast::<u8>().add(7).write(hop_limit) };
    }
}

/// A length of 1 to `MOST` bytes, in a form whose bounds the verifier sees.
///
/// VERIFIER: with comparisons with 0 and the maximum, 6.1 reports "invalid zero-sized read". The
/// assembly keeps the compiler, which knows the bounds, from removing the mask.
#[inline(always)]
pub fn bounded<const MOST: u32>(len: u32) -> u32 {
    const { assert!(MOST.is_power_of_two()) };
    let mut less_one = u64::from(len);
    // SAFETY: decrements a register.
    unsafe { asm!("{0} += -1", inout(reg) less_one) };
    (less_one & u64::from(MOST - 1)) as u32 + 1
}

/// A helper's return code.
#[inline(always)]
fn ok(code: i64) -> Result<(), i64> {
    if code == 0 { Ok(()) } else { Err(code) }
}
