//! Small programs for the bench alone, assembled here: they need no compiler for BPF.
//!
//! An instruction is 8 bytes: opcode, two registers, a jump's or access's offset, a number
//! (Documentation/bpf/standardization/instruction-set.rst, 6.12).

use anyhow::{Context as _, Result};
use aya::{Ebpf, programs::SchedClassifier};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, Symbol, SymbolSection},
};

/// `TC_ACT_SHOT`.
const SHOT: i32 = 2;

/// `struct __sk_buff`'s `ifindex` (include/uapi/linux/bpf.h, 6.12).
const SKB_IFINDEX: i16 = 40;

/// `bpf_redirect`.
const REDIRECT: i32 = 23;

/// A register.
#[derive(Debug, Clone, Copy)]
struct Register(u8);

const R0: Register = Register(0);
const R1: Register = Register(1);
const R2: Register = Register(2);

/// A program that has not been loaded.
#[derive(Debug, Clone, Default)]
pub struct Program {
    code: Vec<u8>,
}

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

    /// Drops every packet.
    pub fn drop() -> Self {
        let mut program = Self::default();
        program.set(R0, SHOT);
        program.exit();
        program
    }

    /// Loads it for the tc hooks.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn classifier(&self) -> Result<Ebpf> {
        let mut ebpf = self.object("classifier")?;
        let program: &mut SchedClassifier =
            ebpf.program_mut(NAME).context("the program")?.try_into()?;
        program.load().context("load a program of the bench")?;
        Ok(ebpf)
    }

    fn object(&self, section: &str) -> Result<Ebpf> {
        let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
        let text = object.add_section(Vec::new(), section.into(), SectionKind::Text);
        object.append_section_data(text, &self.code, 8);
        let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
        object.append_section_data(license, b"GPL\0", 1);
        object.add_symbol(Symbol {
            name: NAME.into(),
            value: 0,
            size: self.code.len() as u64,
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(text),
            flags: SymbolFlags::None,
        });
        Ok(Ebpf::load(&object.write().context("write an object")?)?)
    }

    /// `to = *(u32 *)(base + offset)`
    fn load_word(&mut self, to: Register, base: Register, offset: i16) {
        self.push(0x61, to, base, offset, 0);
    }

    /// `to = number`
    fn set(&mut self, to: Register, number: i32) {
        self.push(0xb7, to, R0, 0, number);
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

/// What every program here is called.
pub const NAME: &str = "bench";
