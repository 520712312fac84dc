//! The BPF objects inside the `relay` binary.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Changes the BPF objects in the binary but not their code, for a second release. Changes a byte of
/// padding in their ELF headers, which only the hashes of policy and guard depend on.
///
/// # Errors
/// The binary cannot be read or written, or holds another number of objects than expected.
pub fn change_objects(relay: &Path) -> Result<()> {
    let mut bytes = fs::read(relay).with_context(|| format!("cannot read {}", relay.display()))?;
    let offsets = objects(&bytes);
    if offsets.len() != OBJECTS {
        bail!("{}: found {} BPF objects, expected {OBJECTS}", relay.display(), offsets.len());
    }
    for at in offsets {
        bytes[at + PADDING] ^= 1;
    }
    fs::write(relay, bytes).with_context(|| format!("cannot write {}", relay.display()))
}

/// Those of relay, transit and guard.
const OBJECTS: usize = 3;

/// Offsets of the last byte of `e_ident` and of `e_machine` in an ELF header (ELF-64 Object File
/// Format, version 1.5, figures 3 and 4).
const PADDING: usize = 15;
const MACHINE: usize = 18;

/// EM_BPF (include/uapi/linux/elf-em.h), little-endian.
const BPF: [u8; 2] = [247, 0];

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

    #[test]
    fn objects_are_found_in_the_binary_around_them() {
        let header = |machine: u8| {
            let mut header = b"\x7fELF".to_vec();
            header.resize(MACHINE, 0);
            header.extend([machine, 0]);
            header
        };
        let binary = [header(62), vec![0; 100], header(247), vec![0; 40], header(247)].concat();
        assert_eq!(objects(&binary), [120, 180]);
        assert!(objects(&header(62)).is_empty());
    }
}
