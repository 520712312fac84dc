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
    header::{IPV4_LEN, IPV6_LEN, Ipv4Header, Ipv6Header, protocol},
    icmp::{MAX_QUOTE, Quoted},
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
    pub fn on_the_wire(&self, headers: &Headers) -> (u64, u64) {
        let segments = self.segments();
        if segments == 1 {
            return (1, u64::from(self.len()));
        }
        (u64::from(segments), wire_bytes(self.len(), segments, self.segment_header_len(headers)))
    }

    /// Whether every packet of an aggregate fits the MTU. A packet that is none does not.
    #[inline(always)]
    pub fn segments_fit(&self, headers: &Headers) -> bool {
        // SAFETY: the context is valid while the program runs.
        let gso_size = unsafe { (*self.ctx.skb.skb).gso_size };
        gso_size != 0 && gso_size + self.segment_header_len(headers) <= settings::mtu()
    }

    /// The header, from the linear part or after pulling it there. The version alone tells the
    /// family: WireGuard has made `skb->protocol` agree with it (wg_packet_consume_data_done(),
    /// drivers/net/wireguard/receive.c, 6.12).
    ///
    /// # Errors
    /// Neither IPv4 nor IPv6, or shorter than its header.
    #[inline(always)]
    pub fn headers(&self) -> Result<Headers, Reason> {
        let words = self.header::<[u32; 5]>(IPV4_LEN)?;
        match u32::from_be(words[0]) >> 28 {
            4 => Ok(Headers::V4(Ipv4Header::new(words))),
            6 => self.header(IPV6_LEN).map(|words| Headers::V6(Ipv6Header::new(words))),
            _ => Err(Reason::MalformedHeader),
        }
    }

    /// Writes the word of TTL, protocol and checksum.
    ///
    /// # Errors
    /// The header left the linear part.
    #[inline(always)]
    pub fn store_ttl_word(&self, word: u32) -> Result<(), Reason> {
        let data = self.ctx.data();
        if data + IPV4_LEN as usize > self.ctx.data_end() {
            return Err(Reason::Inconsistent);
        }
        // SAFETY: bytes 8 to 12 are before data_end.
        unsafe { ((data + 8) as *mut u32).write(word) };
        Ok(())
    }

    /// Writes the hop limit.
    ///
    /// # Errors
    /// The header left the linear part.
    #[inline(always)]
    pub fn store_hop_limit(&self, hop_limit: u8) -> Result<(), Reason> {
        let data = self.ctx.data();
        if data + IPV6_LEN as usize > self.ctx.data_end() {
            return Err(Reason::Inconsistent);
        }
        // SAFETY: byte 7 is before data_end.
        unsafe { ((data + 7) as *mut u8).write(hop_limit) };
        Ok(())
    }

    /// A byte of the transport header, which follows the IP header without options.
    #[inline(always)]
    pub fn transport_byte(&self, headers: &Headers, offset: u32) -> Option<u8> {
        self.ctx.load((headers.len() + offset) as usize).ok()
    }

    /// A big-endian 16-bit field of the transport header, host order.
    #[inline(always)]
    pub fn transport_u16(&self, headers: &Headers, offset: u32) -> Option<u16> {
        self.ctx.load((headers.len() + offset) as usize).ok().map(u16::from_be)
    }

    /// Whether it is an aggregate.
    #[inline(always)]
    pub fn is_aggregate(&self) -> bool {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.ctx.skb.skb).gso_size != 0 }
    }

    /// Copies the beginning of the packet, to be quoted.
    ///
    /// # Errors
    /// The kernel's error number.
    #[inline(always)]
    pub fn quote(&self, buffer: &mut QuoteBuffer) -> Result<Quoted, i64> {
        let len = bounded(self.len().min(MAX_QUOTE));
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
        let len = bounded(quoted.len);
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
    fn segment_header_len(&self, headers: &Headers) -> u32 {
        let transport = match headers.protocol() {
            protocol::TCP => {
                self.transport_byte(headers, 12).map_or(20, |byte| u32::from(byte >> 4) * 4)
            }
            _ => 8,
        };
        headers.len() + transport
    }

    #[inline(always)]
    fn header<T: Copy>(&self, len: u32) -> Result<T, Reason> {
        let words = self.read().or_else(|| {
            self.ctx.pull_data(len).ok()?;
            self.read()
        });
        words.ok_or(Reason::MalformedHeader)
    }

    #[inline(always)]
    fn read<T: Copy>(&self) -> Option<T> {
        let data = self.ctx.data();
        if data + size_of::<T>() > self.ctx.data_end() {
            return None;
        }
        // Loads of whole words, at whatever address: an unaligned read would be put together from
        // bytes. Where the processor demands alignment the verifier refuses the program.
        // SAFETY: the bytes are before data_end, and T is made of integers.
        Some(unsafe { (data as *const T).read() })
    }
}

/// A length of 1 to [`MAX_QUOTE`] bytes, in a form whose bounds the verifier sees.
///
/// VERIFIER: compared with 0 and the maximum instead, 6.1 says "invalid zero-sized read". The
/// assembly keeps the compiler, which knows the bounds, from dropping the mask.
#[inline(always)]
fn bounded(len: u32) -> u32 {
    const { assert!(MAX_QUOTE.is_power_of_two()) };
    let mut less_one = u64::from(len);
    // SAFETY: takes one off a register.
    unsafe { asm!("{0} += -1", inout(reg) less_one) };
    (less_one & u64::from(MAX_QUOTE - 1)) as u32 + 1
}

/// A helper's return code.
#[inline(always)]
fn ok(code: i64) -> Result<(), i64> {
    if code == 0 { Ok(()) } else { Err(code) }
}

impl Headers {
    /// Length of the IP header, bytes.
    #[inline(always)]
    pub fn len(&self) -> u32 {
        match self {
            Self::V4(_) => IPV4_LEN,
            Self::V6(_) => IPV6_LEN,
        }
    }

    /// Protocol number of what follows the IP header.
    #[inline(always)]
    pub fn protocol(&self) -> u8 {
        match self {
            Self::V4(header) => header.protocol(),
            Self::V6(header) => header.next_header(),
        }
    }

    /// Whether the transport header is in an earlier fragment.
    #[inline(always)]
    pub fn is_later_fragment(&self) -> bool {
        match self {
            Self::V4(header) => header.is_later_fragment(),
            Self::V6(_) => false,
        }
    }
}
