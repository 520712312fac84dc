//! Assembles small BPF programs, without a compiler.
//!
//! An instruction is 8 bytes: opcode, two registers, offset of a jump or access, number
//! (Documentation/bpf/standardization/instruction-set.rst, 6.12).

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    programs::{SchedClassifier, Xdp},
};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    elf::R_BPF_64_64,
    write::{Object, Relocation, RelocationFlags, Symbol, SymbolSection},
};

/// The name of every program.
const NAME: &str = "bench";

/// The section with the counter of a program; aya creates a map for it.
pub(super) const COUNT: &str = ".data";

/// `XDP_ABORTED` and `XDP_PASS` of `enum xdp_action` (include/uapi/linux/bpf.h).
const XDP_ABORTED: i32 = 0;
pub(super) const XDP_PASS: i32 = 2;

/// Offsets in `struct xdp_md` (include/uapi/linux/bpf.h, 6.12).
const XDP_DATA: i16 = 0;
const XDP_DATA_END: i16 = 4;

/// Numbers of helpers.
pub(super) const GET_PRANDOM_U32: i32 = 7;
pub(super) const REDIRECT: i32 = 23;

/// Length of an Ethernet header.
pub(super) const ETHERNET: i16 = 14;

/// A register.
#[derive(Debug, Clone, Copy)]
pub(super) struct Register(u8);

pub(super) const R0: Register = Register(0);
pub(super) const R1: Register = Register(1);
pub(super) const R2: Register = Register(2);
pub(super) const R3: Register = Register(3);
pub(super) const R4: Register = Register(4);
pub(super) const R5: Register = Register(5);
pub(super) const R6: Register = Register(6);
pub(super) const R7: Register = Register(7);

/// A program, not loaded.
#[derive(Debug, Clone, Default)]
pub struct Program {
    code: Vec<u8>,
    /// Offset of the instruction that loads the address of the counter.
    count: Option<u64>,
}

impl Program {
    /// Loads it for tc hooks.
    pub fn classifier(&self) -> Result<Ebpf> {
        let mut ebpf = self.object("classifier")?;
        only(&mut ebpf)?.load().context("load a program of the bench")?;
        Ok(ebpf)
    }

    pub(super) fn xdp(&self) -> Result<Ebpf> {
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

    /// `r2 = data; r3 = data_end`, with the context in r6; aborts if the frame is shorter.
    pub(super) fn require(&mut self, len: i16) {
        self.load_word(R2, R6, XDP_DATA);
        self.load_word(R3, R6, XDP_DATA_END);
        self.copy(R4, R2);
        self.number(0x07, R4, len.into());
        // if r4 <= r3 goto +2
        self.push(0xbd, R4, R3, 2, 0);
        self.set(R0, XDP_ABORTED);
        self.exit();
    }

    /// Adds the 16-bit halves of a word to the sum in r5; clobbers r4.
    pub(super) fn add_halves(&mut self, word: Register) {
        self.copy(R4, word);
        self.number(0x77, R4, 16);
        self.add(R5, R4);
        self.copy(R4, word);
        self.number(0x57, R4, 0xffff);
        self.add(R5, R4);
    }

    /// Writes the checksum of the IPv4 header at r2 from the sum in r5; clobbers r4 and r5.
    pub(super) fn finish_checksum(&mut self) {
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
    pub(super) fn load_count(&mut self, to: Register) {
        self.count = Some(self.code.len() as u64);
        self.push(0x18, to, R0, 0, 0);
        self.push(0, R0, R0, 0, 0);
    }

    /// `to = *(u32 *)(base + offset)`
    pub(super) fn load_word(&mut self, to: Register, base: Register, offset: i16) {
        self.push(0x61, to, base, offset, 0);
    }

    /// `*(base + offset) = from`, with the width of the opcode.
    pub(super) fn store(&mut self, opcode: u8, base: Register, offset: i16, from: Register) {
        self.push(opcode, base, from, offset, 0);
    }

    /// `lock *(u64 *)base += by`
    pub(super) fn add_atomic(&mut self, base: Register, by: Register) {
        self.push(0xdb, base, by, 0, 0);
    }

    /// `to = number`
    pub(super) fn set(&mut self, to: Register, number: i32) {
        self.number(0xb7, to, number);
    }

    /// `to = from`
    pub(super) fn copy(&mut self, to: Register, from: Register) {
        self.push(0xbf, to, from, 0, 0);
    }

    /// `to += from`
    pub(super) fn add(&mut self, to: Register, from: Register) {
        self.push(0x0f, to, from, 0, 0);
    }

    /// `to = htobe(to)`, of the lowest bits; clears the others.
    pub(super) fn big_endian(&mut self, to: Register, bits: i32) {
        self.push(0xdc, to, R0, 0, bits);
    }

    /// 64-bit arithmetic with a number.
    pub(super) fn number(&mut self, opcode: u8, to: Register, number: i32) {
        self.push(opcode, to, R0, 0, number);
    }

    pub(super) fn call(&mut self, helper: i32) {
        self.push(0x85, R0, R0, 0, helper);
    }

    pub(super) fn exit(&mut self) {
        self.push(0x95, R0, R0, 0, 0);
    }

    pub(super) fn push(
        &mut self,
        opcode: u8,
        to: Register,
        from: Register,
        offset: i16,
        number: i32,
    ) {
        self.code.extend([opcode, from.0 << 4 | to.0]);
        self.code.extend(offset.to_le_bytes());
        self.code.extend(number.to_le_bytes());
    }
}

/// The XDP program of an object.
pub(super) fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    Ok(ebpf.program_mut(NAME).context("the program")?.try_into()?)
}

/// The program for tc hooks of an object.
pub fn only(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier> {
    Ok(ebpf.program_mut(NAME).context("the program")?.try_into()?)
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
