use std::io;

use rtnetlink::{
    packet_core::{
        NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
    },
    sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER},
};

use super::message::Message;
use crate::net::{
    NetError,
    attribute::{Attribute, encode},
};

/// NFNL_SUBSYS_NFTABLES, NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END of linux/netfilter/nfnetlink.h.
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;

/// Number of interrupted dumps before an error is returned.
const DUMPS_MAX: usize = 16;

/// More than one datagram of a dump (32 KiB, net/netlink/af_netlink.c).
const DATAGRAM_MAX: usize = 64 * 1024;

/// What is requested: types of messages of linux/netfilter/nf_tables.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum Kind {
    NewTable = 0,
    GetTable = 1,
    DeleteTable = 2,
    NewChain = 3,
    GetChain = 4,
    NewRule = 6,
    GetRule = 7,
    GetSetElements = 13,
}

/// A request for one family of protocols; family 0 is all of them.
#[derive(Debug, Clone)]
pub(in crate::net) struct Request {
    pub(in crate::net) kind: Kind,
    pub(in crate::net) family: u8,
    /// Beside those that every request has.
    pub(in crate::net) flags: u16,
    pub(in crate::net) attributes: Vec<Attribute>,
}

/// Executes all requests or none.
pub(in crate::net) fn transact(object: &str, requests: &[Request]) -> Result<(), NetError> {
    const BATCH: &str = "NFNL_MSG_BATCH_BEGIN";
    let name = |sequence: u32| {
        let index = usize::try_from(sequence).ok().and_then(|sequence| sequence.checked_sub(1));
        index.and_then(|index| requests.get(index)).map_or(BATCH, |request| request.kind.name())
    };
    let socket = send(BATCH, object, &batch(requests))?;
    let mut acknowledged = 0;
    while acknowledged < requests.len() {
        for answer in receive(&socket, BATCH, object)? {
            match answer.payload {
                NetlinkPayload::Error(error) if error.code.is_none() => acknowledged += 1,
                NetlinkPayload::Error(error) => {
                    let request = name(answer.header.sequence_number);
                    return Err(NetError::of_request(request, object.to_owned(), error.to_io()));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Family and encoded attributes of an object of the ruleset.
type Dumped = (u8, Vec<u8>);

/// Everything that matches.
pub(super) fn dump(object: &str, request: &Request) -> Result<Vec<Dumped>, NetError> {
    for _ in 0..DUMPS_MAX {
        if let Some(answers) = dump_once(object, request)? {
            return Ok(answers);
        }
    }
    Err(NetError::Interrupted { request: request.kind.name(), tries: DUMPS_MAX })
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::NewTable => "NFT_MSG_NEWTABLE",
            Self::GetTable => "NFT_MSG_GETTABLE",
            Self::DeleteTable => "NFT_MSG_DELTABLE",
            Self::NewChain => "NFT_MSG_NEWCHAIN",
            Self::GetChain => "NFT_MSG_GETCHAIN",
            Self::NewRule => "NFT_MSG_NEWRULE",
            Self::GetRule => "NFT_MSG_GETRULE",
            Self::GetSetElements => "NFT_MSG_GETSETELEM",
        }
    }
}

/// `None` if the ruleset changed meanwhile.
fn dump_once(object: &str, request: &Request) -> Result<Option<Vec<Dumped>>, NetError> {
    let name = request.kind.name();
    let failed = |error| NetError::of_request(name, object.to_owned(), error);
    let socket = send(name, object, &encoded(request, NLM_F_REQUEST | NLM_F_DUMP, 1))?;
    let mut found = Vec::new();
    let mut interrupted = false;
    loop {
        for answer in receive(&socket, name, object)? {
            interrupted |= answer.header.flags & NLM_F_DUMP_INTR != 0;
            match answer.payload {
                NetlinkPayload::InnerMessage(Message { family, attributes, .. }) => {
                    found.push((family, attributes));
                }
                NetlinkPayload::Error(error) if error.code.is_some() => {
                    return Err(failed(error.to_io()));
                }
                NetlinkPayload::Done(done) if done.code != 0 => {
                    return Err(failed(io::Error::from_raw_os_error(done.code.saturating_abs())));
                }
                NetlinkPayload::Done(_) => return Ok((!interrupted).then_some(found)),
                _ => {}
            }
        }
    }
}

/// The requests with sequence numbers from 1, between begin and end.
fn batch(requests: &[Request]) -> Vec<u8> {
    let mark = |kind, sequence| {
        let message = Message { kind, family: 0, resource: SUBSYSTEM, attributes: Vec::new() };
        serialize(message, NLM_F_REQUEST, sequence)
    };
    let mut batch = mark(BATCH_BEGIN, 0);
    let mut sequence = 0;
    for request in requests {
        sequence += 1;
        batch.extend(encoded(request, NLM_F_REQUEST | NLM_F_ACK, sequence));
    }
    batch.extend(mark(BATCH_END, sequence + 1));
    batch
}

fn encoded(request: &Request, flags: u16, sequence: u32) -> Vec<u8> {
    let message = Message {
        kind: SUBSYSTEM << 8 | request.kind as u16,
        family: request.family,
        resource: 0,
        attributes: encode(&request.attributes),
    };
    serialize(message, flags | request.flags, sequence)
}

fn serialize(message: Message, flags: u16, sequence: u32) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = flags;
    message.header.sequence_number = sequence;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// The socket on which the bytes were sent.
fn send(request: &'static str, object: &str, bytes: &[u8]) -> Result<Socket, NetError> {
    let connect = |source| NetError::Connect { protocol: "NETLINK_NETFILTER", source };
    let socket = Socket::new(NETLINK_NETFILTER).map_err(connect)?;
    socket.connect(&SocketAddr::new(0, 0)).map_err(connect)?;
    match socket.send(bytes, 0) {
        Ok(sent) if sent == bytes.len() => Ok(socket),
        Ok(sent) => {
            let reason = format!("{sent} of {} bytes were sent", bytes.len());
            Err(undecoded(request, object, reason))
        }
        Err(error) => Err(NetError::of_request(request, object.to_owned(), error)),
    }
}

/// The messages of one datagram. The kernel answers within the call that sends, so that a missing
/// answer never arrives.
fn receive(
    socket: &Socket,
    request: &'static str,
    object: &str,
) -> Result<Vec<NetlinkMessage<Message>>, NetError> {
    let mut buffer = vec![0; DATAGRAM_MAX];
    let received = socket
        .recv(&mut buffer.as_mut_slice(), libc::MSG_DONTWAIT)
        .map_err(|error| NetError::of_request(request, object.to_owned(), error))?;
    let mut rest = buffer.get(..received).unwrap_or_default();
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let message = NetlinkMessage::<Message>::deserialize(rest)
            .map_err(|error| undecoded(request, object, error.to_string()))?;
        let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
        let aligned = length.checked_next_multiple_of(4).unwrap_or(usize::MAX);
        rest = rest.get(aligned..).unwrap_or_default();
        messages.push(message);
    }
    Ok(messages)
}

fn undecoded(request: &'static str, object: &str, reason: String) -> NetError {
    NetError::Answer { request, object: object.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::NLM_F_CREATE;

    use super::{super::INET, *};
    use crate::net::attribute::string;

    #[test]
    fn a_batch_has_begin_and_end_and_sequence_numbers_from_one() {
        let request = Request {
            kind: Kind::NewTable,
            family: INET,
            flags: NLM_F_CREATE,
            attributes: vec![string(1, "relay_r0")],
        };
        let [length, sequence] = [36u32, 1].map(u32::to_ne_bytes);
        let mut expected = Vec::new();
        expected.extend(mark(16, 0));
        expected.extend(length);
        expected.extend(
            [type_of(10 << 8), (NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE).to_ne_bytes()].concat(),
        );
        expected.extend(sequence);
        // Port 0; family inet, version 0; then the name, which ends in a zero byte and is padded.
        expected.extend([0, 0, 0, 0, 1, 0, 0, 0]);
        expected.extend([13u16.to_ne_bytes(), 1u16.to_ne_bytes()].concat());
        expected.extend(b"relay_r0\0\0\0\0");
        expected.extend(mark(17, 2));
        assert_eq!(batch(&[request]), expected);
    }

    /// NFNL_MSG_BATCH_BEGIN or _END for the subsystem nf_tables, whose number is big-endian.
    fn mark(kind: u16, sequence: u32) -> Vec<u8> {
        let mut bytes = 20u32.to_ne_bytes().to_vec();
        bytes.extend(type_of(kind));
        bytes.extend(NLM_F_REQUEST.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 10]);
        bytes
    }

    fn type_of(kind: u16) -> [u8; 2] {
        kind.to_ne_bytes()
    }
}
