//! The TCX hook by bpf(2), as far as aya does not reach: which link holds which program, and how
//! to take one off that is not pinned here; kernel 6.6 or newer. And how any link is detached. The
//! only file with bpf(2) calls.

use std::{
    ffi::CString,
    io,
    os::fd::{AsFd as _, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
};

use bytemuck::{Pod, Zeroable};

use super::Direction;

/// Commands and attach types of include/uapi/linux/bpf.h.
const PROG_DETACH: libc::c_int = 9;
const PROG_QUERY: libc::c_int = 16;
const LINK_GET_FD_BY_ID: libc::c_int = 30;
const LINK_DETACH: libc::c_int = 34;
const TCX_INGRESS: u32 = 46;
const TCX_EGRESS: u32 = 47;

/// As many programs as a hook takes: `BPF_MPROG_MAX` (include/linux/bpf_mprog.h, 6.12).
const PROGRAMS_MAX: u32 = 64;

/// A program on the hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attachment {
    /// The kernel's id of the program.
    pub program_id: u32,
    /// The kernel's id of the link that holds it there; 0 where it is attached without one.
    pub link_id: u32,
}

/// What there is of the hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tcx {
    /// This kernel has no such hook.
    Unknown,
    /// The programs, in the order in which they run; none where there is no such interface.
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

/// A `union bpf_attr` with one number in its first word.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Single(u32);

/// The programs of one direction of an interface.
pub(super) fn query(interface: &str, direction: Direction) -> io::Result<Tcx> {
    let Some(interface) = index(interface)? else { return Ok(Tcx::Programs(Vec::new())) };
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
        // The interface went in between.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => query.count = 0,
        Err(error) => return Err(error),
    }
    let attachments = programs.into_iter().zip(links).take(query.count as usize);
    Ok(Tcx::Programs(
        attachments.map(|(program_id, link_id)| Attachment { program_id, link_id }).collect(),
    ))
}

/// Takes a program off the hook, whoever keeps its link. One that is gone already is no error.
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
        link_id => return detach_link(link_id),
    };
    unless_gone(outcome)
}

/// Detaches a link, whatever it attaches (kernel 5.9), before it returns. One that is gone already
/// is no error.
pub(super) fn detach_link(id: u32) -> io::Result<()> {
    // SAFETY: only a number is passed; what is returned is a new descriptor.
    let link =
        unsafe { bpf(LINK_GET_FD_BY_ID, &mut Single(id)).map(|fd| OwnedFd::from_raw_fd(fd)) };
    unless_gone(link.and_then(|link| {
        // SAFETY: only a number is passed.
        unsafe { bpf(LINK_DETACH, &mut Single(number(link.as_fd()))) }
    }))
}

fn unless_gone(outcome: io::Result<RawFd>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map(drop),
    }
}

const fn attach_type(direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => TCX_INGRESS,
        Direction::Egress => TCX_EGRESS,
    }
}

/// Index of the interface, in the network namespace of this thread; `None` if there is none.
fn index(interface: &str) -> io::Result<Option<u32>> {
    let name = CString::new(interface)?;
    // SAFETY: a string that ends in a zero byte and outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            error => Err(error),
        },
        index => Ok(Some(index)),
    }
}

fn number(fd: impl AsRawFd) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// # Safety
/// Addresses in `attr` are valid for what the command does with them.
unsafe fn bpf<T: Pod>(command: libc::c_int, attr: &mut T) -> io::Result<RawFd> {
    let attr = std::ptr::from_mut(attr);
    // SAFETY: the size is that of what `attr` points to; the rest is the caller's promise.
    match unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) } {
        -1 => Err(io::Error::last_os_error()),
        answer => RawFd::try_from(answer).map_err(io::Error::other),
    }
}
