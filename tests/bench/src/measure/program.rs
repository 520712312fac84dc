//! Small programs for the bench alone, assembled here: they need no compiler for BPF.
//!
//! An instruction is 8 bytes: opcode, two registers, a jump's or access's offset, a number
//! (Documentation/bpf/standardization/instruction-set.rst, 6.12).

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::{Array, MapData},
    programs::{SchedClassifier, TestRun as _, TestRunAttrs, TestRunOptions, Xdp, xdp::XdpMode},
};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    elf::R_BPF_64_64,
    write::{Object, Relocation, RelocationFlags, Symbol, SymbolSection},
};

use super::fleet::{FIRST_HOST, V4_BASE};

/// What every program here is called.
const NAME: &str = "bench";

/// The section with the one word a program counts in; aya makes a map of it.
const COUNT: &str = ".data";

/// Return codes of include/uapi/linux/pkt_cls.h and of `enum xdp_action`.
const TC_ACT_OK: i32 = 0;
const TC_ACT_SHOT: i32 = 2;
const XDP_ABORTED: i32 = 0;
const XDP_DROP: i32 = 1;
const XDP_PASS: i32 = 2;

/// Offsets in `struct __sk_buff` and `struct xdp_md` (include/uapi/linux/bpf.h, 6.12).
const SKB_IFINDEX: i16 = 40;
const XDP_DATA: i16 = 0;
const XDP_DATA_END: i16 = 4;

/// Numbers of helpers.
const GET_PRANDOM_U32: i32 = 7;
const REDIRECT: i32 = 23;

/// `BPF_F_INGRESS`.
const INGRESS: i32 = 1;

/// Length of an Ethernet header.
const ETHERNET: i16 = 14;
/// Length of the packets that the generator makes, from their IPv4 header on.
const PACKET_LEN: u16 = 84;

/// 10.0.0.0, where spoofed sources are from.
const SPOOFED: i32 = 10 << 24;

/// Ports that [`Names::Peers`] are at: so many, a power of two, from the first on.
pub(super) const PEERS_PORTS: u16 = 32;
pub(super) const FIRST_PEERS_PORT: u16 = 40_000;

/// In whose names a flood is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Ever new addresses.
    EverNew,
    /// One address and port.
    One,
    /// Those of genuine peers, which are all at one address.
    Peers {
        /// Theirs.
        address: Ipv4Addr,
    },
}

/// A register.
#[derive(Debug, Clone, Copy)]
struct Register(u8);

const R0: Register = Register(0);
const R1: Register = Register(1);
const R2: Register = Register(2);
const R3: Register = Register(3);
const R4: Register = Register(4);
const R5: Register = Register(5);
const R6: Register = Register(6);
const R7: Register = Register(7);

/// A program that has not been loaded.
#[derive(Debug, Clone, Default)]
pub struct Program {
    code: Vec<u8>,
    /// Where the address of the word to count in is loaded.
    count: Option<u64>,
}

/// Makes frames and lets the kernel receive them on the loopback interface.
pub struct Generator(Ebpf);

/// An XDP program that lets frames pass: what calling any program takes.
pub struct Nothing(Ebpf);

/// Sends one frame again and again, each time from a spoofed source.
pub struct Spoofer {
    ebpf: Ebpf,
    frame: Vec<u8>,
}

/// As many frames are made at a time as a NAPI poll receives.
const BATCH: u32 = 64;

impl Program {
    /// Sends every packet back out of the interface it came from, and does nothing else.
    pub fn redirect() -> Self {
        let mut program = Self::default();
        program.load_word(R1, R1, SKB_IFINDEX);
        program.set(R2, 0);
        program.call(REDIRECT);
        program.exit();
        program
    }

    /// Hands every packet to another interface as if it had come in there.
    pub fn hand_to(interface: u32) -> Self {
        let mut program = Self::default();
        program.set(R1, interface.cast_signed());
        program.set(R2, INGRESS);
        program.call(REDIRECT);
        program.exit();
        program
    }

    /// Lets every packet pass.
    pub fn pass() -> Self {
        let mut program = Self::default();
        program.set(R0, TC_ACT_OK);
        program.exit();
        program
    }

    /// Counts every packet and drops it.
    pub fn sink() -> Self {
        let mut program = Self::default();
        program.load_count(R1);
        program.set(R2, 1);
        program.add_atomic(R1, R2);
        program.set(R0, TC_ACT_SHOT);
        program.exit();
        program
    }

    /// Writes an IPv4 header from a peer drawn by lot to its partner into every frame: peers are
    /// as in [`super::fleet::Shape::Pairs`]. All of the header, since frames are used again with
    /// whatever was written to them.
    fn generator(peers: u32) -> Self {
        /// The 16-bit words of the header that never change, without its checksum: version and
        /// length of the header, length of the packet, TTL 64 and UDP, upper halves of the base.
        const SUM: i32 = 0x4500 + (PACKET_LEN as i32) + 0x4011 + 2 * (V4_BASE >> 16) as i32;
        let mut program = Self::default();
        program.copy(R6, R1);
        program.call(GET_PRANDOM_U32);
        // The high half of the product is a number below `peers`.
        program.number(0x67, R0, 32);
        program.number(0x77, R0, 32);
        program.number(0x27, R0, peers.cast_signed());
        program.number(0x77, R0, 32);
        program.copy(R7, R0);
        program.number(0xa7, R7, 1);
        program.number(0x07, R0, FIRST_HOST.cast_signed());
        program.number(0x07, R7, FIRST_HOST.cast_signed());

        program.require(ETHERNET + 20);

        // The checksum of what changes, folded.
        program.set(R5, SUM);
        program.add_halves(R0);
        program.add_halves(R7);
        program.finish_checksum();

        for (offset, word) in [(0, 0x4500_0000 | (PACKET_LEN as i32)), (4, 0)] {
            program.set(R4, word.to_be());
            program.store(0x63, R2, ETHERNET + offset, R4);
        }
        program.set(R4, i32::from(0x4011_i16.to_be()));
        program.store(0x6b, R2, ETHERNET + 8, R4);
        for (offset, host) in [(12, R0), (16, R7)] {
            program.number(0x07, host, V4_BASE.cast_signed());
            program.big_endian(host, 32);
            program.store(0x63, R2, ETHERNET + offset, host);
        }
        program.set(R0, XDP_PASS);
        program.exit();
        program
    }

    /// Writes a source of 10.0.0.0/8 into every frame, one drawn by lot or always the same, and
    /// sends it out of an interface. `sum` is that of the IPv4 header's 16-bit words without source
    /// and checksum.
    fn spoof(interface: u32, names: Names, sum: u32) -> Self {
        let mut program = Self::default();
        program.copy(R6, R1);
        match names {
            Names::EverNew => {
                program.call(GET_PRANDOM_U32);
                program.number(0x57, R0, 0x00ff_ffff);
                program.number(0x47, R0, SPOOFED);
            }
            Names::One => program.set(R0, SPOOFED + 1),
            Names::Peers { address } => program.set(R0, u32::from(address).cast_signed()),
        }
        program.require(ETHERNET + 20);
        program.set(R5, sum.cast_signed());
        program.add_halves(R0);
        program.finish_checksum();
        program.big_endian(R0, 32);
        program.store(0x63, R2, ETHERNET + 12, R0);
        if let Names::Peers { .. } = names {
            program.call(GET_PRANDOM_U32);
            program.number(0x57, R0, (PEERS_PORTS - 1).into());
            program.number(0x07, R0, FIRST_PEERS_PORT.into());
            program.copy(R7, R0);
            program.require(ETHERNET + 22);
            program.big_endian(R7, 16);
            program.store(0x6b, R2, ETHERNET + 20, R7);
        }
        program.set(R1, interface.cast_signed());
        program.set(R2, 0);
        program.call(REDIRECT);
        program.exit();
        program
    }

    /// Drops what comes from 10.0.0.0/8, and lets everything else pass.
    fn refuse_spoofed() -> Self {
        let mut program = Self::default();
        program.copy(R6, R1);
        program.require(ETHERNET + 20);
        // r4 = *(u8 *)(r2 + 26); if r4 != 10 goto +2
        program.push(0x71, R4, R2, ETHERNET + 12, 0);
        program.push(0x55, R4, R0, 2, SPOOFED >> 24);
        program.set(R0, XDP_DROP);
        program.exit();
        program.set(R0, XDP_PASS);
        program.exit();
        program
    }

    /// Loads it for the tc hooks.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn classifier(&self) -> Result<Ebpf> {
        let mut ebpf = self.object("classifier")?;
        only(&mut ebpf)?.load().context("load a program of the bench")?;
        Ok(ebpf)
    }

    fn xdp(&self) -> Result<Ebpf> {
        let mut ebpf = self.object("xdp")?;
        xdp(&mut ebpf)?.load().context("load a program of the bench")?;
        Ok(ebpf)
    }

    fn object(&self, section: &str) -> Result<Ebpf> {
        let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
        let text = object.add_section(Vec::new(), section.into(), SectionKind::Text);
        object.append_section_data(text, &self.code, 8);
        let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
        object.append_section_data(license, b"GPL\0", 1);
        object.add_symbol(symbol(NAME, text, self.code.len(), SymbolKind::Text));
        if let Some(offset) = self.count {
            let data = object.add_section(Vec::new(), COUNT.into(), SectionKind::Data);
            object.append_section_data(data, &[0; 8], 8);
            let symbol = object.add_symbol(symbol("count", data, 8, SymbolKind::Data));
            let flags = RelocationFlags::Elf { r_type: R_BPF_64_64 };
            object
                .add_relocation(text, Relocation { offset, symbol, addend: 0, flags })
                .context("relocate the count")?;
        }
        Ok(Ebpf::load(&object.write().context("write an object")?)?)
    }

    /// `r2 = data; r3 = data_end`, of a context in r6; gives up a frame that is shorter.
    fn require(&mut self, len: i16) {
        self.load_word(R2, R6, XDP_DATA);
        self.load_word(R3, R6, XDP_DATA_END);
        self.copy(R4, R2);
        self.number(0x07, R4, len.into());
        // if r4 <= r3 goto +2
        self.push(0xbd, R4, R3, 2, 0);
        self.set(R0, XDP_ABORTED);
        self.exit();
    }

    /// Adds the 16-bit halves of a word to the sum in r5; r4 is lost.
    fn add_halves(&mut self, word: Register) {
        self.copy(R4, word);
        self.number(0x77, R4, 16);
        self.add(R5, R4);
        self.copy(R4, word);
        self.number(0x57, R4, 0xffff);
        self.add(R5, R4);
    }

    /// Writes the sum in r5 as the checksum of the IPv4 header behind r2; r4 and r5 are lost.
    fn finish_checksum(&mut self) {
        for _fold in 0..2 {
            self.copy(R4, R5);
            self.number(0x77, R4, 16);
            self.number(0x57, R5, 0xffff);
            self.add(R5, R4);
        }
        self.number(0xa7, R5, 0xffff);
        self.big_endian(R5, 16);
        self.store(0x6b, R2, ETHERNET + 10, R5);
    }

    /// `to = &count`, in two instructions.
    fn load_count(&mut self, to: Register) {
        self.count = Some(self.code.len() as u64);
        self.push(0x18, to, R0, 0, 0);
        self.push(0, R0, R0, 0, 0);
    }

    /// `to = *(u32 *)(base + offset)`
    fn load_word(&mut self, to: Register, base: Register, offset: i16) {
        self.push(0x61, to, base, offset, 0);
    }

    /// `*(base + offset) = from`, of the width that the opcode says.
    fn store(&mut self, opcode: u8, base: Register, offset: i16, from: Register) {
        self.push(opcode, base, from, offset, 0);
    }

    /// `lock *(u64 *)base += by`
    fn add_atomic(&mut self, base: Register, by: Register) {
        self.push(0xdb, base, by, 0, 0);
    }

    /// `to = number`
    fn set(&mut self, to: Register, number: i32) {
        self.number(0xb7, to, number);
    }

    /// `to = from`
    fn copy(&mut self, to: Register, from: Register) {
        self.push(0xbf, to, from, 0, 0);
    }

    /// `to += from`
    fn add(&mut self, to: Register, from: Register) {
        self.push(0x0f, to, from, 0, 0);
    }

    /// `to = htobe(to)`, of its lowest bits, the others cleared.
    fn big_endian(&mut self, to: Register, bits: i32) {
        self.push(0xdc, to, R0, 0, bits);
    }

    /// 64-bit arithmetic with a number.
    fn number(&mut self, opcode: u8, to: Register, number: i32) {
        self.push(opcode, to, R0, 0, number);
    }

    fn call(&mut self, helper: i32) {
        self.push(0x85, R0, R0, 0, helper);
    }

    fn exit(&mut self) {
        self.push(0x95, R0, R0, 0, 0);
    }

    fn push(&mut self, opcode: u8, to: Register, from: Register, offset: i16, number: i32) {
        self.code.extend([opcode, from.0 << 4 | to.0]);
        self.code.extend(offset.to_le_bytes());
        self.code.extend(number.to_le_bytes());
    }
}

impl Nothing {
    /// Loads it.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn new() -> Result<Self> {
        let mut program = Program::default();
        program.set(R0, XDP_PASS);
        program.exit();
        Ok(Self(program.xdp()?))
    }

    /// The same for all but spoofed frames, which it drops.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn from_the_spoofed() -> Result<Self> {
        Ok(Self(Program::refuse_spoofed().xdp()?))
    }

    /// Runs it in the driver of an interface of the namespace that the caller is in.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn attach(&mut self, interface: &str) -> Result<()> {
        let attached = xdp(&mut self.0)?.attach(interface, XdpMode::Driver);
        attached.map(drop).with_context(|| format!("attach to {interface}"))
    }

    /// Average time of a run on a frame.
    ///
    /// # Errors
    /// The kernel refuses the frame.
    pub fn run(&mut self, frame: &[u8], repeat: u32) -> Result<Duration> {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
        Ok(xdp(&mut self.0)?.test_run(options).context("run a program of the bench")?.duration)
    }
}

impl Generator {
    /// Frames of so many peers.
    ///
    /// # Errors
    /// The kernel refuses the program.
    pub fn new(peers: u32) -> Result<Self> {
        Ok(Self(Program::generator(peers).xdp()?))
    }

    /// Lets the kernel receive frames on the loopback interface of the namespace that the caller
    /// is in, follows each to where it goes, and gives the average time for one. Time in which
    /// the kernel lets others run, between two batches, does not count.
    ///
    /// # Errors
    /// The kernel has no live frames (before 5.18).
    pub fn send(&mut self, frames: u32) -> Result<Duration> {
        let mut template = [0; ETHERNET as usize + PACKET_LEN as usize];
        // The type of IPv4; addresses are all zeros, as the loopback interface's is.
        template[12] = 8;
        send(&mut self.0, &template, frames)
    }
}

impl Spoofer {
    /// Of a frame with IPv4, without options, and UDP: out of an interface of the namespace that
    /// the caller is in.
    ///
    /// # Errors
    /// The kernel refuses the program, or the frame is too short.
    pub fn new(mut frame: Vec<u8>, interface: u32, names: Names) -> Result<Self> {
        let header = frame.get_mut(ETHERNET as usize..).context("an Ethernet frame")?;
        let (header, udp) = header.split_first_chunk_mut::<20>().context("an IPv4 header")?;
        header[10..16].fill(0);
        // No checksum: it would have the source in it (RFC 768).
        udp.get_mut(6..8).context("a UDP header")?.fill(0);
        let words = header.as_chunks().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
        let ebpf = Program::spoof(interface, names, words.sum()).xdp()?;
        Ok(Self { ebpf, frame })
    }

    /// Sends it so many times, goes with each to where it is dropped or left to somebody else, and
    /// gives the average time for one, without that in which the kernel lets others run.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn send(&mut self, times: u32) -> Result<Duration> {
        send(&mut self.ebpf, &self.frame, times)
    }
}

fn send(ebpf: &mut Ebpf, frame: &[u8], times: u32) -> Result<Duration> {
    let options = TestRunOptions {
        data_in: Some(frame),
        repeat: times,
        attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
        ..TestRunOptions::default()
    };
    Ok(xdp(ebpf)?.test_run(options).context("send live frames")?.duration)
}

fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    Ok(ebpf.program_mut(NAME).context("the program")?.try_into()?)
}

/// The one program for the tc hooks that an object holds.
///
/// # Errors
/// It holds another.
pub fn only(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier> {
    Ok(ebpf.program_mut(NAME).context("the program")?.try_into()?)
}

/// How many packets a [`Program::sink`] has counted.
///
/// # Errors
/// It cannot be read.
pub fn count(ebpf: &Ebpf) -> Result<u64> {
    let map = ebpf.map(COUNT).context("a program that counts")?;
    Ok(Array::<&MapData, u64>::try_from(map)?.get(&0, 0)?)
}

/// Average time of a run on a packet.
///
/// # Errors
/// The kernel refuses the packet.
pub fn time(program: &SchedClassifier, packet: &[u8], repeat: u32) -> Result<Duration> {
    let options = TestRunOptions { data_in: Some(packet), repeat, ..TestRunOptions::default() };
    Ok(program.test_run(options).context("run a program of the bench")?.duration)
}

fn symbol(name: &str, section: object::write::SectionId, size: usize, kind: SymbolKind) -> Symbol {
    Symbol {
        name: name.into(),
        value: 0,
        size: size as u64,
        kind,
        scope: SymbolScope::Linkage,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    }
}
