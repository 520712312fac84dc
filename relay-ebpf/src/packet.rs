//! The packet in its buffer: the only file with pointers into it.

use core::arch::asm;

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{
        bpf_csum_diff, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_store_bytes,
    },
    programs::TcContext,
};
use relay_common::{
    Reason,
    counters::wire_bytes,
    event::HEAD_LEN,
    extension::{Announced, MAX_EXTENSIONS, announced, step},
    header::{IPV4_LEN, IPV6_LEN, Ipv4Header, Ipv6Header, protocol},
    icmp::{MAX_QUOTE, Quoted},
    names::{ANSWER, PASSED},
    question::QUESTION,
};

use crate::settings;

/// A packet whose IP header is at offset 0.
pub struct Packet<'a> {
    ctx: &'a TcContext,
}

/// The inner header, copied out.
pub enum Headers {
    /// IPv4 without options, or what claims to be.
    V4(Ipv4Header),
    /// IPv6.
    V6(Ipv6Header),
}

/// Room for a quote, zeros behind its end.
pub type QuoteBuffer = [u32; MAX_QUOTE as usize / 4];

impl<'a> Packet<'a> {
    /// The packet of a program's context.
    #[inline(always)]
    pub fn new(ctx: &'a TcContext) -> Self {
        Self { ctx }
    }

    /// Length in bytes; of an aggregate, that of its one header and all payloads.
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

    /// Whether the packet entered the host through an interface; otherwise the host made it.
    #[inline(always)]
    pub fn came_from_an_interface(&self) -> bool {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.ctx.skb.skb).ingress_ifindex != 0 }
    }

    /// Its mark.
    #[inline(always)]
    pub fn mark(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.ctx.skb.skb).mark }
    }

    /// Whether `relay_ingress` passed it up. WireGuard hands packets over without a mark.
    #[inline(always)]
    pub fn has_passed(&self) -> bool {
        self.mark() & PASSED == PASSED
    }

    /// Whether the fence knows it for an answer of a published port to a peer.
    #[inline(always)]
    pub fn answers_a_peer(&self) -> bool {
        self.mark() & ANSWER == ANSWER
    }

    /// Whether this is no packet of a peer's, but the loader asking about one.
    #[inline(always)]
    pub fn is_question(&self) -> bool {
        self.mark() == QUESTION
    }

    /// Whether the packet entered through the interface that it is leaving by: `relay_ingress`
    /// has decided about it.
    #[inline(always)]
    pub fn came_from_this_interface(&self) -> bool {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.ctx.skb.skb).ingress_ifindex == (*self.ctx.skb.skb).ifindex }
    }

    /// How many packets on the wire this is.
    #[inline(always)]
    pub fn segments(&self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        let segments = unsafe { (*self.ctx.skb.skb).gso_segs };
        if segments == 0 { 1 } else { segments }
    }

    /// Packets and bytes on the wire.
    #[inline(always)]
    pub fn on_the_wire(&self, transport: &Transport) -> (u64, u64) {
        let segments = self.segments();
        if segments == 1 {
            return (1, u64::from(self.len()));
        }
        (u64::from(segments), wire_bytes(self.len(), segments, self.segment_header_len(transport)))
    }

    /// Whether every packet of an aggregate fits the MTU. A packet that is none does not.
    #[inline(always)]
    pub fn segments_fit(&self, transport: &Transport) -> bool {
        // SAFETY: the context is valid while the program runs.
        let gso_size = unsafe { (*self.ctx.skb.skb).gso_size };
        gso_size != 0 && gso_size + self.segment_header_len(transport) <= settings::mtu()
    }

    /// The header, from the linear part or after pulling it there. The version alone tells the
    /// family: WireGuard has made `skb->protocol` agree with it (wg_packet_consume_data_done(),
    /// drivers/net/wireguard/receive.c, 6.12).
    ///
    /// # Errors
    /// Neither IPv4 nor IPv6, or shorter than its header.
    #[inline(always)]
    pub fn headers(&self) -> Result<Headers, Reason> {
        let words = self.header::<u32, 5>(IPV4_LEN)?;
        match u32::from_be(words[0]) >> 28 {
            4 => Ok(Headers::V4(Ipv4Header::new(words))),
            6 => self.header(IPV6_LEN).map(|words| Headers::V6(Ipv6Header::new(words))),
            _ => Err(Reason::MalformedHeader),
        }
    }

    /// The beginning of the packet, if so much of it is in the linear part.
    #[inline(always)]
    pub fn linear<T: Copy>(&self) -> Option<Linear<T>> {
        let data = self.ctx.data();
        (data + size_of::<T>() <= self.ctx.data_end()).then_some(Linear(data as *mut T))
    }

    /// Checks the headers and finds what they carry.
    ///
    /// # Errors
    /// The first thing wrong.
    #[inline(always)]
    pub fn check(&self, headers: &Headers) -> Result<Transport, Reason> {
        match headers {
            Headers::V4(header) => header.check(self.len())?,
            Headers::V6(header) => header.check(self.len())?,
        }
        self.transport(headers)
    }

    /// What the headers carry, past IPv6 extension headers.
    ///
    /// # Errors
    /// An extension header that is refused, too many of them, or one that ends too soon.
    #[inline(always)]
    pub fn transport(&self, headers: &Headers) -> Result<Transport, Reason> {
        let mut transport = Transport::after(headers);
        if matches!(headers, Headers::V4(_)) {
            return Ok(transport);
        }
        for _ in 0..MAX_EXTENSIONS {
            if announced(transport.protocol)? == Announced::Payload {
                return Ok(transport);
            }
            let Ok(beginning) = self.ctx.load(transport.offset as usize) else {
                return Err(Reason::MalformedHeader);
            };
            let Some((next, len)) = step(transport.protocol, beginning) else {
                transport.is_later_fragment = true;
                return Ok(transport);
            };
            transport.protocol = next;
            transport.offset += len;
        }
        match announced(transport.protocol)? {
            Announced::Payload => Ok(transport),
            Announced::Extension => Err(Reason::IpOptions),
        }
    }

    /// A byte of the transport header.
    #[inline(always)]
    pub fn transport_byte(&self, transport: &Transport, offset: u32) -> Option<u8> {
        self.ctx.load((transport.offset + offset) as usize).ok()
    }

    /// A big-endian 16-bit field of the transport header, host order.
    #[inline(always)]
    pub fn transport_u16(&self, transport: &Transport, offset: u32) -> Option<u16> {
        self.ctx.load((transport.offset + offset) as usize).ok().map(u16::from_be)
    }

    /// Whether it is an aggregate.
    #[inline(always)]
    pub fn is_aggregate(&self) -> bool {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.ctx.skb.skb).gso_size != 0 }
    }

    /// Copies the beginning of the packet; of one that cannot be read, nothing.
    ///
    /// # Safety
    /// `head` points into a map value.
    #[inline(always)]
    pub unsafe fn copy_head(&self, head: *mut [u8; HEAD_LEN as usize]) {
        let len = bounded::<HEAD_LEN>(self.len().min(HEAD_LEN));
        // SAFETY: the caller's promise; `len` bytes fit.
        let copied = unsafe { bpf_skb_load_bytes(self.ctx.as_ptr(), 0, head.cast(), len) };
        // There is nobody to tell, and the helper has filled it with zeros.
        let _ = copied;
    }

    /// Copies the beginning of the packet, to be quoted.
    ///
    /// # Errors
    /// The kernel's error number.
    #[inline(always)]
    pub fn quote(&self, buffer: &mut QuoteBuffer) -> Result<Quoted, i64> {
        let len = bounded::<MAX_QUOTE>(self.len().min(MAX_QUOTE));
        let size = size_of::<QuoteBuffer>() as u32;
        // SAFETY: `len` bytes fit the buffer, all of which is summed. The helper takes words of 32
        // bits, in the order they lie in memory.
        let sum = unsafe {
            ok(bpf_skb_load_bytes(self.ctx.as_ptr(), 0, buffer.as_mut_ptr().cast(), len))?;
            bpf_csum_diff(core::ptr::null_mut(), 0, buffer.as_mut_ptr(), size, 0)
        };
        if sum < 0 { Err(sum) } else { Ok(Quoted { len, sum: sum as u64 }) }
    }

    /// Makes this packet another one: `header`, then what was quoted.
    ///
    /// # Errors
    /// The kernel's error number; the packet is to be dropped then.
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

    /// Raw context, for helpers that look up sockets.
    #[inline(always)]
    pub fn context(&self) -> &TcContext {
        self.ctx
    }

    /// Bytes of IP and transport header in front of every segment of an aggregate.
    #[inline(always)]
    fn segment_header_len(&self, transport: &Transport) -> u32 {
        let len = match transport.protocol {
            protocol::TCP => {
                self.transport_byte(transport, 12).map_or(20, |byte| u32::from(byte >> 4) * 4)
            }
            _ => 8,
        };
        transport.offset + len
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

/// The beginning of a packet, before `data_end`: an IP header as words. Good until a helper
/// changes the packet; the verifier refuses a program that uses it later.
#[derive(Clone, Copy)]
pub struct Linear<T>(*mut T);

impl<T: Copy, const N: usize> Linear<[T; N]> {
    /// Copies it, by loads of whole words, at whatever address: an unaligned read would be put
    /// together from bytes. Where the processor demands alignment the verifier refuses the program.
    ///
    /// Word by word, since the array as a whole is loaded in pairs that are taken apart again.
    #[inline(always)]
    pub fn copy(&self) -> [T; N] {
        // SAFETY: the words are before data_end, and are integers.
        core::array::from_fn(|at| unsafe { self.0.cast::<T>().add(at).read() })
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
/// VERIFIER: compared with 0 and the maximum instead, 6.1 says "invalid zero-sized read". The
/// assembly keeps the compiler, which knows the bounds, from dropping the mask.
#[inline(always)]
fn bounded<const MOST: u32>(len: u32) -> u32 {
    const { assert!(MOST.is_power_of_two()) };
    let mut less_one = u64::from(len);
    // SAFETY: takes one off a register.
    unsafe { asm!("{0} += -1", inout(reg) less_one) };
    (less_one & u64::from(MOST - 1)) as u32 + 1
}

/// A helper's return code.
#[inline(always)]
fn ok(code: i64) -> Result<(), i64> {
    if code == 0 { Ok(()) } else { Err(code) }
}

/// What a packet carries, and where.
pub struct Transport {
    /// Protocol number.
    pub protocol: u8,
    /// Where its header begins.
    pub offset: u32,
    /// Whether that header is in an earlier fragment.
    pub is_later_fragment: bool,
}

impl Transport {
    /// What follows the IP header at once.
    #[inline(always)]
    pub fn after(headers: &Headers) -> Self {
        match headers {
            Headers::V4(header) => Self {
                protocol: header.protocol(),
                offset: IPV4_LEN,
                is_later_fragment: header.is_later_fragment(),
            },
            Headers::V6(header) => {
                Self { protocol: header.next_header(), offset: IPV6_LEN, is_later_fragment: false }
            }
        }
    }
}
