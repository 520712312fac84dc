//! The TCX hook by bpf(2), where aya lacks it: which link holds which program, and detaching programs
//! that are not pinned here. Kernel 6.6 or newer.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::BorrowedFd,
};

use bytemuck::{Pod, Zeroable};

use super::link::{self, Link, bpf, number, unless_gone};
use crate::model::Direction;

/// Commands and attach types of include/uapi/linux/bpf.h.
const PROG_DETACH: libc::c_int = 9;
const PROG_QUERY: libc::c_int = 16;
const TCX_INGRESS: u32 = 46;
const TCX_EGRESS: u32 = 47;

/// Maximum number of programs on a hook: `BPF_MPROG_MAX` (include/linux/bpf_mprog.h, 6.12).
const PROGRAMS_MAX: u32 = 64;

/// A program on the hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attachment {
    /// The kernel's id of the program.
    pub program_id: u32,
    /// The kernel's id of its link; 0 if it is attached without one.
    pub link_id: u32,
}

/// State of the hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tcx {
    /// The kernel has no TCX.
    Unknown,
    /// The programs, in the order in which they run; none if there is no such interface.
    Programs(Vec<Attachment>),
}

/// `query` of `union bpf_attr`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Query {
    interface: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    program_ids: u64,
    count: u32,
    padding: u32,
    program_flags: u64,
    link_ids: u64,
    link_flags: u64,
    revision: u64,
}

/// `BPF_PROG_DETACH`'s part of `union bpf_attr`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Detach {
    interface: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
    replaced: u32,
    relative: u32,
    expected_revision: u64,
}

/// The programs of one direction of an interface.
pub(super) fn query(interface: &str, direction: Direction) -> io::Result<Tcx> {
    match index(interface)? {
        Some(index) => query_index(index, direction),
        None => Ok(Tcx::Programs(Vec::new())),
    }
}

/// Name of the interface that a link is on; `None` if that is not in this network namespace.
pub(super) fn interface_of(link: &Link, direction: Direction) -> io::Result<Option<String>> {
    let Some(name) = name(link.index()) else { return Ok(None) };
    Ok(match query_index(link.index(), direction)? {
        Tcx::Programs(found) if found.iter().any(|one| one.link_id == link.id) => Some(name),
        Tcx::Programs(_) | Tcx::Unknown => None,
    })
}

fn query_index(interface: u32, direction: Direction) -> io::Result<Tcx> {
    let (mut programs, mut links) = ([0u32; PROGRAMS_MAX as usize], [0u32; PROGRAMS_MAX as usize]);
    let mut query = Query {
        interface,
        attach_type: attach_type(direction),
        program_ids: programs.as_mut_ptr().expose_provenance() as u64,
        count: PROGRAMS_MAX,
        link_ids: links.as_mut_ptr().expose_provenance() as u64,
        ..Query::zeroed()
    };
    // SAFETY: the two arrays have room for `count` numbers each, and outlive the call.
    match unsafe { bpf(PROG_QUERY, &mut query) } {
        Ok(_) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(Tcx::Unknown),
        // The interface was deleted meanwhile.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => query.count = 0,
        Err(error) => return Err(error),
    }
    let attachments = programs.into_iter().zip(links).take(query.count as usize);
    Ok(Tcx::Programs(
        attachments.map(|(program_id, link_id)| Attachment { program_id, link_id }).collect(),
    ))
}

/// Detaches a program, whoever holds its link. One that is already gone is no error.
pub(super) fn detach(
    interface: &str,
    direction: Direction,
    attachment: Attachment,
    program: BorrowedFd<'_>,
) -> io::Result<()> {
    let Some(interface) = index(interface)? else { return Ok(()) };
    let outcome = match attachment.link_id {
        0 => {
            let mut detach = Detach {
                interface,
                program: number(program),
                attach_type: attach_type(direction),
                ..Detach::zeroed()
            };
            // SAFETY: only numbers are passed.
            unsafe { bpf(PROG_DETACH, &mut detach) }
        }
        link_id => return link::detach(link_id),
    };
    unless_gone(outcome)
}

const fn attach_type(direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => TCX_INGRESS,
        Direction::Egress => TCX_EGRESS,
    }
}

/// Index of the interface, in the network namespace of this thread; `None` if there is none.
pub(super) fn index(interface: &str) -> io::Result<Option<u32>> {
    let name = CString::new(interface)?;
    // SAFETY: a zero-terminated string that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            error => Err(error),
        },
        index => Ok(Some(index)),
    }
}

/// Name of the interface with an index.
fn name(index: u32) -> Option<String> {
    let mut name: [libc::c_char; libc::IF_NAMESIZE] = [0; libc::IF_NAMESIZE];
    // SAFETY: the array has the size that the call requires.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr()) };
    if found.is_null() {
        return None;
    }
    // `c_char` is signed on some processors, and not on others.
    let name = CStr::from_bytes_until_nul(bytemuck::cast_slice(&name)).ok()?;
    Some(name.to_string_lossy().into_owned())
}
