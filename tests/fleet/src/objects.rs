//! The BPF objects inside the `relay` binary.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use blake2::{Blake2s256, Digest as _};

/// Changes the BPF objects in the binary but not their code, for a second release: a byte of padding in
/// their ELF headers, on which only their hashes depend, and the hashes, which the build wrote beside
/// them.
///
/// # Errors
/// The binary cannot be read or written, or holds another number of objects than expected, or no hash
/// of one.
pub fn change_objects(relay: &Path) -> Result<()> {
    let mut bytes = fs::read(relay).with_context(|| format!("cannot read {}", relay.display()))?;
    let found = change(&mut bytes).with_context(|| relay.display().to_string())?;
    if found != OBJECTS {
        bail!("{}: found {found} BPF objects, expected {OBJECTS}", relay.display());
    }
    fs::write(relay, bytes).with_context(|| format!("cannot write {}", relay.display()))
}

/// Those of relay, transit and guard.
const OBJECTS: usize = 3;

/// Offsets in an ELF header (ELF-64 Object File Format, version 1.5, figure 3): the last byte of
/// `e_ident`, `e_machine`, and where the table of sections is, the last part of a file that LLVM writes,
/// with the size of an entry and their number.
const PADDING: usize = 15;
const MACHINE: usize = 18;
const SECTIONS: usize = 40;
const SECTION_SIZE: usize = 58;
const SECTION_COUNT: usize = 60;

/// EM_BPF (include/uapi/linux/elf-em.h), little-endian.
const BPF: [u8; 2] = [247, 0];

/// Changes all objects in a binary and their hashes; returns how many there are.
fn change(bytes: &mut [u8]) -> Result<usize> {
    let offsets = objects(bytes);
    for &at in &offsets {
        let len = len(&bytes[at..]).with_context(|| format!("the object at {at} is cut off"))?;
        let before = Blake2s256::digest(&bytes[at..at + len]);
        bytes[at + PADDING] ^= 1;
        let after = Blake2s256::digest(&bytes[at..at + len]);
        let pieces = bytes.windows(before.len()).enumerate();
        let hashes: Vec<_> =
            pieces.filter(|(_, piece)| *piece == before.as_slice()).map(|(at, _)| at).collect();
        if hashes.is_empty() {
            bail!("no hash of the object at {at}");
        }
        for hash in hashes {
            bytes[hash..hash + after.len()].copy_from_slice(&after);
        }
    }
    Ok(offsets.len())
}

/// The length of the object that begins here.
fn len(object: &[u8]) -> Option<usize> {
    let table = u64::from_le_bytes(object.get(SECTIONS..SECTIONS + 8)?.try_into().ok()?);
    let short = |at: usize| Some(u16::from_le_bytes(object.get(at..at + 2)?.try_into().ok()?));
    let sections = u64::from(short(SECTION_SIZE)?) * u64::from(short(SECTION_COUNT)?);
    let len = usize::try_from(table.checked_add(sections)?).ok()?;
    (len <= object.len()).then_some(len)
}

/// Offsets of BPF objects.
fn objects(bytes: &[u8]) -> Vec<usize> {
    bytes
        .windows(MACHINE + BPF.len())
        .enumerate()
        .filter(|(_, header)| header.starts_with(b"\x7fELF") && header.ends_with(&BPF))
        .map(|(at, _)| at)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file without sections, with this much between its header and its end.
    fn file(machine: u8, between: u8) -> Vec<u8> {
        let mut file = b"\x7fELF".to_vec();
        file.resize(MACHINE, 0);
        file.extend([machine, 0]);
        file.resize(64 + usize::from(between), 0);
        file[SECTIONS] = 64 + between;
        file
    }

    #[test]
    fn objects_are_found_in_the_binary_around_them() {
        let binary = [file(62, 0), vec![0; 36], file(247, 10), vec![0; 40], file(247, 0)].concat();
        assert_eq!(objects(&binary), [100, 214]);
        assert!(objects(&file(62, 0)).is_empty());
        assert_eq!(len(&binary[100..]), Some(74));
    }

    #[test]
    fn an_object_changes_with_its_hash() {
        let object = file(247, 10);
        let hash = Blake2s256::digest(&object);
        let mut binary = [file(62, 0), object.clone(), vec![7; 5], hash.to_vec()].concat();
        assert_eq!(change(&mut binary).expect("an object"), 1);
        let mut changed = object;
        changed[PADDING] = 1;
        assert_eq!(binary[64..138], changed);
        assert_eq!(binary[143..], *Blake2s256::digest(&changed));
        assert!(change(&mut file(247, 0)).is_err(), "it has no hash");
    }
}
