//! The object file of the programs, with a policy's tables in place of its read-only sections.
//!
//! aya creates a map from each such section, fills and freezes it, and gives the programs its address,
//! so that they read a table without calls. The size of the map is that of the section in the file.
//! So the tables are appended to the file, and the section headers changed to point there.

use object::{
    Endianness,
    elf::{FileHeader64, SectionHeader64},
    read::elf::{FileHeader as _, SectionHeader as _},
};

use super::DatapathError;

/// The object file that the build script built.
pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/relay-ebpf"));

/// Hash of the object file, by the build script.
pub(super) static OBJECT_HASH: &[u8; 32] =
    include_bytes!(concat!(env!("OUT_DIR"), "/relay-ebpf.hash"));

/// Name of a section, and the bytes of its table.
pub(super) type Table<'a> = (&'static str, &'a [u8]);

/// Offsets of `sh_offset` and `sh_size` in a section header (ELF-64 Object File Format,
/// version 1.5, figure 8).
const SH_OFFSET: usize = 24;
const SH_SIZE: usize = 32;

/// Alignment of tables.
const ALIGNMENT: usize = 16;

/// The object file with these tables, as words, since its parser requires alignment.
///
/// # Errors
/// The object lacks one of the sections.
pub(super) fn with_tables(object: &[u8], tables: &[Table<'_>]) -> Result<Vec<u64>, DatapathError> {
    let aligned = |len: usize| len.next_multiple_of(ALIGNMENT);
    let whole =
        tables.iter().fold(aligned(object.len()), |end, (_, table)| end + aligned(table.len()));
    let mut words = vec![0u64; whole / size_of::<u64>()];
    let file: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    file[..object.len()].copy_from_slice(object);
    let mut end = aligned(object.len());
    for (name, table) in tables {
        let header = section_header(object, name).ok_or(DatapathError::Lacks(name))?;
        for (field, value) in [(SH_OFFSET, end), (SH_SIZE, table.len())] {
            let field = header + field;
            file[field..field + 8].copy_from_slice(&(value as u64).to_ne_bytes());
        }
        file[end..end + table.len()].copy_from_slice(table);
        end += aligned(table.len());
    }
    Ok(words)
}

/// Offset of the header of a section in the file.
fn section_header(object: &[u8], name: &str) -> Option<usize> {
    let file = FileHeader64::<Endianness>::parse(object).ok()?;
    let endian = file.endian().ok()?;
    let sections = file.sections(endian, object).ok()?;
    let (index, header) = sections.section_by_name(endian, name.as_bytes())?;
    debug_assert!(header.sh_size(endian) > 0, "declared with one entry");
    let first = usize::try_from(file.e_shoff(endian)).ok()?;
    Some(first + index.0 * size_of::<SectionHeader64<Endianness>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Object as _, ObjectSection as _};

    #[test]
    fn a_section_has_its_table_and_the_others_are_unchanged() {
        let table = [7u8; 100];
        let words = with_tables(OBJECT, &[(".rodata.v4", &table)]).expect("the section is there");
        let file = bytemuck::cast_slice::<_, u8>(&words);
        let before = object::File::parse(OBJECT).expect("ELF");
        let after = object::File::parse(file).expect("ELF still");
        for section in before.sections() {
            let name = section.name().expect("a name");
            let now = after.section_by_name(name).expect("still there").data().expect("data");
            if name == ".rodata.v4" {
                assert_eq!(now, table);
            } else {
                assert_eq!(now, section.data().expect("data"), "{name}");
            }
        }
    }

    #[test]
    fn a_missing_section_is_named() {
        let error = with_tables(OBJECT, &[("nowhere", &[])]);
        assert!(matches!(error, Err(DatapathError::Lacks("nowhere"))));
    }
}
