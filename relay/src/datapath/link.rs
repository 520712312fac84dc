//! BPF links by bpf(2), where aya lacks it: the interface of a link, and detaching.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsFd as _, AsRawFd, FromRawFd as _, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use aya::programs::loaded_links;
use bytemuck::{Pod, Zeroable};

/// Commands of include/uapi/linux/bpf.h.
const OBJ_GET: libc::c_int = 7;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const LINK_GET_FD_BY_ID: libc::c_int = 30;
const LINK_DETACH: libc::c_int = 34;

/// `bpf_link_type` of the same file.
const XDP: u32 = 6;
const TCX: u32 = 11;

/// A link of a kind that relay creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// The kernel's id of it.
    pub id: u32,
    /// The kernel's id of its program.
    pub program_id: u32,
    /// Hook that it attaches to.
    pub kind: LinkKind,
    /// Index of its interface, in any network namespace; 0 once the interface is gone or the link
    /// detached.
    interface: u32,
}

/// Hook that a link attaches to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkKind {
    /// The TCX hook.
    Tcx,
    /// XDP.
    Xdp,
}

/// `obj` of `union bpf_attr`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Object {
    path: u64,
    fd: u32,
    flags: u32,
}

/// `info` of `union bpf_attr`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Info {
    fd: u32,
    len: u32,
    info: u64,
}

/// A `union bpf_attr` with one number in its first word.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Single(u32);

/// The beginning of `struct bpf_link_info`: of XDP and TCX alike.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program_id: u32,
    padding: u32,
    interface: u32,
    rest: [u32; 11],
}

impl Link {
    /// Whether its program runs.
    pub(super) const fn is_alive(&self) -> bool {
        self.interface != 0
    }

    /// Whether its interface has this index. Another network namespace may have the same index.
    pub(super) fn has_index(&self, index: Option<u32>) -> bool {
        self.is_alive() && index == Some(self.interface)
    }

    /// Index of its interface; 0 is none.
    pub(super) const fn index(&self) -> u32 {
        self.interface
    }
}

/// The link pinned at a path; `None` if there is nothing, or a link of another kind.
pub(super) fn pinned(path: &Path) -> io::Result<Option<Link>> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut object = Object { path: name.as_ptr().expose_provenance() as u64, ..Object::zeroed() };
    // SAFETY: the path is zero-terminated and outlives the call, which returns a new descriptor.
    let link = unsafe { bpf(OBJ_GET, &mut object).map(|fd| OwnedFd::from_raw_fd(fd)) };
    match link {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        link => look(&link?),
    }
}

/// All links, of all network namespaces.
pub(super) fn all() -> impl Iterator<Item = Link> {
    let ids = loaded_links().filter_map(|link| link.ok().map(|link| link.id()));
    // A link may go meanwhile.
    ids.filter_map(|id| by_id(id).and_then(|link| look(&link)).ok().flatten())
}

/// Detaches a link of any kind (kernel 5.9) before it returns. One that is already gone is no error.
pub(super) fn detach(id: u32) -> io::Result<()> {
    unless_gone(by_id(id).and_then(|link| {
        // SAFETY: only a number is passed.
        unsafe { bpf(LINK_DETACH, &mut Single(number(link.as_fd()))) }
    }))
}

/// Makes a missing object no error.
pub(super) fn unless_gone(outcome: io::Result<RawFd>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map(drop),
    }
}

fn by_id(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: only a number is passed, and the call returns a new descriptor.
    unsafe { bpf(LINK_GET_FD_BY_ID, &mut Single(id)).map(|fd| OwnedFd::from_raw_fd(fd)) }
}

#[expect(clippy::cast_possible_truncation, reason = "a few words")]
const LINK_INFO_LEN: u32 = size_of::<LinkInfo>() as u32;

fn look(link: &OwnedFd) -> io::Result<Option<Link>> {
    let mut found = LinkInfo::zeroed();
    let mut info = Info {
        fd: number(link.as_fd()),
        len: LINK_INFO_LEN,
        info: (&raw mut found).expose_provenance() as u64,
    };
    // SAFETY: `found` has `len` bytes, and outlives the call.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut info) }?;
    let kind = match found.kind {
        TCX => LinkKind::Tcx,
        XDP => LinkKind::Xdp,
        _ => return Ok(None),
    };
    let LinkInfo { id, program_id, interface, .. } = found;
    Ok(Some(Link { id, program_id, kind, interface }))
}

/// A descriptor as a number for bpf(2).
pub(super) fn number(fd: impl AsRawFd) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// # Safety
/// Addresses in `attr` are valid for the command.
pub(super) unsafe fn bpf<T: Pod>(command: libc::c_int, attr: &mut T) -> io::Result<RawFd> {
    let attr = std::ptr::from_mut(attr);
    // SAFETY: the size is that of `attr`; the caller guarantees the rest.
    match unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) } {
        -1 => Err(io::Error::last_os_error()),
        answer => RawFd::try_from(answer).map_err(io::Error::other),
    }
}
