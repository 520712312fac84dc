//! Generic netlink, as far as a dump needs it.
//!
//! The netlink crate hides `NLM_F_DUMP_INTR`, keeps every message of a dump with a copy of each, and
//! leaves the private key in them.

use std::io;

use rtnetlink::{
    packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR},
    sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC},
};
use zeroize::Zeroizing;

use crate::net::attributes;

/// The controller of include/uapi/linux/genetlink.h.
const CONTROLLER: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

/// Lengths of `struct nlmsghdr` and `struct genlmsghdr`.
const HEADER: usize = 16;
const GENERIC_HEADER: usize = 4;

/// More than the kernel puts into one datagram of a dump: 32 KiB, if the reader has room for it
/// (`netlink_recvmsg`, net/netlink/af_netlink.c, 6.12).
const DATAGRAM_MAX: usize = 64 * 1024;

/// A message: type, flags, and what follows the header.
type Message<'a> = (u16, u16, &'a [u8]);

/// A request of a family: its name, the number of the command, and one attribute with a string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dump<'a> {
    pub(super) family: &'a str,
    pub(super) command: u8,
    pub(super) attribute: (u16, &'a str),
}

impl Dump<'_> {
    /// Hands the attributes of each message to `each`. Whether the kernel vouches for the whole: it
    /// gives a dump in parts, and does not if something changed between them.
    ///
    /// # Errors
    /// The kernel has no such family (`ENOENT`), does not answer, or its answer is malformed.
    pub(super) fn read(&self, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<bool> {
        let socket = open()?;
        // Wiped at the end: a dump may have keys.
        let mut buffer = Zeroizing::new(vec![0; DATAGRAM_MAX]);
        let family = family(&socket, self.family, &mut buffer)?;
        ask(&socket, family, NLM_F_REQUEST | NLM_F_DUMP, self.command, self.attribute)?;
        let mut is_whole = true;
        loop {
            for message in messages(receive(&socket, &mut buffer)?) {
                let (kind, flags, body) = message?;
                is_whole &= flags & NLM_F_DUMP_INTR == 0;
                match kind {
                    NLMSG_ERROR | NLMSG_DONE => return outcome(body).map(|()| is_whole),
                    kind if kind == family => each(body.get(GENERIC_HEADER..).ok_or_else(short)?)?,
                    _ => {}
                }
            }
        }
    }
}

/// A socket that only the kernel can send to.
fn open() -> io::Result<Socket> {
    let socket = Socket::new(NETLINK_GENERIC)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

/// The number of a family. The kernel loads the module that has it.
fn family(socket: &Socket, name: &str, buffer: &mut [u8]) -> io::Result<u16> {
    ask(socket, CONTROLLER, NLM_F_REQUEST, GET_FAMILY, (FAMILY_NAME, name))?;
    let (kind, _, body) = messages(receive(socket, buffer)?).next().ok_or_else(short)??;
    if kind == NLMSG_ERROR {
        outcome(body)?;
    }
    let mut attributes = attributes(body.get(GENERIC_HEADER..).ok_or_else(short)?);
    let id = attributes.find(|(kind, _)| *kind == FAMILY_ID).map(|(_, value)| value);
    Ok(u16::from_ne_bytes(id.and_then(|id| id.try_into().ok()).ok_or_else(short)?))
}

fn ask(
    socket: &Socket,
    family: u16,
    flags: u16,
    command: u8,
    (attribute, text): (u16, &str),
) -> io::Result<()> {
    let length = 4 + text.len() + 1;
    let mut body = vec![command, 1, 0, 0];
    body.extend(u16::try_from(length).map_err(io::Error::other)?.to_ne_bytes());
    body.extend(attribute.to_ne_bytes());
    body.extend(text.as_bytes());
    body.resize(GENERIC_HEADER + length.next_multiple_of(4), 0);
    let total = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
    let mut bytes = total.to_ne_bytes().to_vec();
    bytes.extend(family.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // Sequence number and port, which a socket with one question at a time does not need.
    bytes.extend([0; 8]);
    bytes.extend(body);
    socket.send(&bytes, 0).map(drop)
}

fn receive<'b>(socket: &Socket, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let length = socket.recv(&mut &mut *buffer, libc::MSG_TRUNC)?;
    buffer.get(..length).ok_or_else(short)
}

fn messages(datagram: &[u8]) -> impl Iterator<Item = io::Result<Message<'_>>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let message = message(rest);
        rest = message
            .as_ref()
            .map_or(&[], |(length, _)| rest.get(length.next_multiple_of(4)..).unwrap_or_default());
        Some(message.map(|(_, message)| message))
    })
}

/// The first message, and its length.
fn message(bytes: &[u8]) -> io::Result<(usize, Message<'_>)> {
    let [l0, l1, l2, l3, k0, k1, f0, f1, ..] = *bytes else { return Err(short()) };
    let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
    let body = bytes.get(HEADER..length).ok_or_else(short)?;
    Ok((length, (u16::from_ne_bytes([k0, k1]), u16::from_ne_bytes([f0, f1]), body)))
}

/// What the end of a dump or an answer with an error says.
fn outcome(body: &[u8]) -> io::Result<()> {
    let code = body.first_chunk().ok_or_else(short)?;
    match i32::from_ne_bytes(*code) {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.saturating_abs())),
    }
}

/// A message that ends too early.
fn short() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_knows_itself_and_no_family_that_does_not_exist() {
        let id = |name| family(&open()?, name, &mut [0; 8192]);
        assert_eq!(id("nlctrl").expect("generic netlink"), CONTROLLER);
        let missing = id("of_the_future").expect_err("no such family");
        assert_eq!(missing.raw_os_error(), Some(libc::ENOENT));
    }

    #[test]
    fn a_dump_ends_with_what_the_kernel_says() {
        let of = |attribute| Dump { family: "nlctrl", command: GET_FAMILY, attribute };
        let mut names = Vec::new();
        let each = |message: &[u8]| {
            let name = attributes(message).find(|(kind, _)| *kind == FAMILY_NAME);
            names.extend(name.map(|(_, name)| name.to_vec()));
            Ok(())
        };
        assert!(of((FAMILY_NAME, "nlctrl")).read(each).expect("a dump"), "nothing changed");
        assert!(names.contains(&b"nlctrl\0".to_vec()));
        let unknown = Dump { command: 99, ..of((FAMILY_NAME, "nlctrl")) };
        let error = unknown.read(|_| Ok(())).expect_err("no such command");
        assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP));
    }

    #[test]
    fn a_message_that_ends_too_early_is_an_error() {
        let whole = [20, 0, 0, 0, 3, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let (kind, flags, body) = messages(&whole).next().expect("one").expect("whole");
        assert_eq!((kind, flags, outcome(body).is_ok()), (NLMSG_DONE, NLM_F_DUMP_INTR, true));
        assert!(messages(&whole[..19]).next().expect("one").is_err());
        assert!(messages(&whole[..7]).next().expect("one").is_err());
    }
}
