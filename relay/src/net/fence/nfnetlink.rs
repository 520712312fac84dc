use std::io;

use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    nftables::{
        ChainAttribute, ChainMessage, NfTablesMessage, RuleAttribute, RuleMessage, TableAttribute,
        TableMessage,
    },
    none::ControlMessage,
};
use rtnetlink::{
    packet_core::{
        NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
    },
    sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER},
};

use super::NetError;

/// NFNL_SUBSYS_NFTABLES of linux/netfilter/nfnetlink.h, in the frame of a batch.
const SUBSYSTEM_NFTABLES: u16 = 10;

/// Number of interrupted dumps before an error is returned.
const DUMPS_MAX: usize = 16;

/// More than one datagram of a dump (32 KiB, net/netlink/af_netlink.c).
const DATAGRAM_MAX: usize = 64 * 1024;

/// One request of a transaction.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) name: &'static str,
    pub(super) flags: u16,
    pub(super) message: NfTablesMessage,
}

/// Executes all requests or none.
pub(super) fn transact(table: &str, requests: Vec<Request>) -> Result<(), NetError> {
    let names: Vec<&'static str> = requests.iter().map(|request| request.name).collect();
    let name = |sequence: u32| {
        let index = usize::try_from(sequence).ok().and_then(|sequence| sequence.checked_sub(1));
        index.and_then(|index| names.get(index).copied()).unwrap_or("NFNL_MSG_BATCH_BEGIN")
    };
    let bytes = batch(requests);

    let socket = open(table)?;
    send(&socket, "NFNL_MSG_BATCH_BEGIN", table, &bytes)?;
    let mut acknowledged = 0;
    while acknowledged < names.len() {
        for answer in receive(&socket, "NFNL_MSG_BATCH_BEGIN", table)? {
            match answer.payload {
                NetlinkPayload::Error(error) if error.code.is_none() => acknowledged += 1,
                NetlinkPayload::Error(error) => {
                    return Err(failed(name(answer.header.sequence_number), table, error.to_io()));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The attributes of a table of the family inet; `None` if there is none of that name.
pub(super) fn table(table: &str) -> Result<Option<Vec<TableAttribute>>, NetError> {
    const REQUEST: &str = "NFT_MSG_GETTABLE";
    let attributes = vec![TableAttribute::Name(table.to_owned())];
    let message = NfTablesMessage::GetTable(TableMessage { attributes });
    let socket = open(table)?;
    send(&socket, REQUEST, table, &bytes(message, NLM_F_REQUEST, 1))?;
    for answer in receive(&socket, REQUEST, table)? {
        match answer.payload {
            NetlinkPayload::InnerMessage(inner) => {
                if let Some(NfTablesMessage::NewTable(found)) = nftables(inner) {
                    return Ok(Some(found.attributes));
                }
            }
            NetlinkPayload::Error(error) => {
                let error = error.to_io();
                return match error.raw_os_error() {
                    Some(libc::ENOENT) => Ok(None),
                    _ => Err(failed(REQUEST, table, error)),
                };
            }
            _ => {}
        }
    }
    Err(undecoded(REQUEST, table, "not a table".to_owned()))
}

/// Attributes of all tables of the family inet.
pub(super) fn tables() -> Result<Vec<Vec<TableAttribute>>, NetError> {
    let request = NfTablesMessage::GetTable(TableMessage { attributes: Vec::new() });
    let answers = dump("NFT_MSG_GETTABLE", "all tables", &request)?;
    Ok(answers
        .into_iter()
        .filter_map(|answer| match answer {
            NfTablesMessage::NewTable(table) => Some(table.attributes),
            _ => None,
        })
        .collect())
}

/// Attributes of the chains of a table.
pub(super) fn chains(table: &str) -> Result<Vec<Vec<ChainAttribute>>, NetError> {
    let request = NfTablesMessage::GetChain(ChainMessage { attributes: Vec::new() });
    let answers = dump("NFT_MSG_GETCHAIN", table, &request)?;
    Ok(answers
        .into_iter()
        .filter_map(|answer| match answer {
            NfTablesMessage::NewChain(chain) => Some(chain.attributes),
            _ => None,
        })
        .filter(|attributes| attributes.contains(&ChainAttribute::Table(table.to_owned())))
        .collect())
}

/// Attributes of the rules of a table, in the order of their chain.
pub(super) fn rules(table: &str) -> Result<Vec<Vec<RuleAttribute>>, NetError> {
    let attributes = vec![RuleAttribute::Table(table.to_owned())];
    let request = NfTablesMessage::GetRule(RuleMessage { attributes });
    let answers = dump("NFT_MSG_GETRULE", table, &request)?;
    Ok(answers
        .into_iter()
        .filter_map(|answer| match answer {
            NfTablesMessage::NewRule(rule) => Some(rule.attributes),
            _ => None,
        })
        .filter(|attributes| attributes.contains(&RuleAttribute::Table(table.to_owned())))
        .collect())
}

fn dump(
    request: &'static str,
    table: &str,
    message: &NfTablesMessage,
) -> Result<Vec<NfTablesMessage>, NetError> {
    for _ in 0..DUMPS_MAX {
        if let Some(answers) = dump_once(request, table, message.clone())? {
            return Ok(answers);
        }
    }
    Err(NetError::Interrupted { request, tries: DUMPS_MAX })
}

/// `None` if the ruleset changed meanwhile.
fn dump_once(
    request: &'static str,
    table: &str,
    message: NfTablesMessage,
) -> Result<Option<Vec<NfTablesMessage>>, NetError> {
    let socket = open(table)?;
    send(&socket, request, table, &bytes(message, NLM_F_REQUEST | NLM_F_DUMP, 1))?;
    let mut messages = Vec::new();
    let mut interrupted = false;
    loop {
        for answer in receive(&socket, request, table)? {
            interrupted |= answer.header.flags & NLM_F_DUMP_INTR != 0;
            match answer.payload {
                NetlinkPayload::InnerMessage(inner) => messages.extend(nftables(inner)),
                NetlinkPayload::Error(error) if error.code.is_some() => {
                    return Err(failed(request, table, error.to_io()));
                }
                NetlinkPayload::Done(done) if done.code != 0 => {
                    let error = io::Error::from_raw_os_error(done.code.saturating_abs());
                    return Err(failed(request, table, error));
                }
                NetlinkPayload::Done(_) => return Ok((!interrupted).then_some(messages)),
                _ => {}
            }
        }
    }
}

/// The requests with sequence numbers from 1, between begin and end.
fn batch(requests: Vec<Request>) -> Vec<u8> {
    let mut batch = serialize(control(ControlMessage::BatchBegin), NLM_F_REQUEST, 0);
    let mut sequence = 0;
    for request in requests {
        sequence += 1;
        let flags = NLM_F_REQUEST | NLM_F_ACK | request.flags;
        batch.extend(bytes(request.message, flags, sequence));
    }
    batch.extend(serialize(control(ControlMessage::BatchEnd), NLM_F_REQUEST, sequence + 1));
    batch
}

fn control(message: ControlMessage) -> NetfilterMessage {
    let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, SUBSYSTEM_NFTABLES);
    NetfilterMessage::new(header, message)
}

fn bytes(message: NfTablesMessage, flags: u16, sequence: u32) -> Vec<u8> {
    let header = NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0);
    serialize(NetfilterMessage::new(header, message), flags, sequence)
}

fn serialize(message: NetfilterMessage, flags: u16, sequence: u32) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = flags;
    message.header.sequence_number = sequence;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn nftables(message: NetfilterMessage) -> Option<NfTablesMessage> {
    match message.inner {
        NetfilterMessageInner::NfTables(message) => Some(message),
        _ => None,
    }
}

fn open(table: &str) -> Result<Socket, NetError> {
    let socket = Socket::new(NETLINK_NETFILTER).map_err(|source| missing_or(table, source))?;
    socket
        .connect(&SocketAddr::new(0, 0))
        .map_err(|source| NetError::Connect { protocol: "NETLINK_NETFILTER", source })?;
    Ok(socket)
}

fn send(socket: &Socket, request: &'static str, table: &str, bytes: &[u8]) -> Result<(), NetError> {
    match socket.send(bytes, 0) {
        Ok(sent) if sent == bytes.len() => Ok(()),
        Ok(sent) => {
            let reason = format!("{sent} of {} bytes were sent", bytes.len());
            Err(undecoded(request, table, reason))
        }
        Err(error) => Err(failed(request, table, error)),
    }
}

/// The messages of one datagram. The kernel answers within the call that sends, so that a missing
/// answer never arrives.
fn receive(
    socket: &Socket,
    request: &'static str,
    table: &str,
) -> Result<Vec<NetlinkMessage<NetfilterMessage>>, NetError> {
    let mut buffer = vec![0; DATAGRAM_MAX];
    let received = socket
        .recv(&mut buffer.as_mut_slice(), libc::MSG_DONTWAIT)
        .map_err(|error| failed(request, table, error))?;
    let mut rest = buffer.get(..received).unwrap_or_default();
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let message = NetlinkMessage::<NetfilterMessage>::deserialize(rest)
            .map_err(|error| undecoded(request, table, error.to_string()))?;
        let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
        let aligned = length.checked_next_multiple_of(4).unwrap_or(usize::MAX);
        rest = rest.get(aligned..).unwrap_or_default();
        messages.push(message);
    }
    Ok(messages)
}

/// ENOENT for a chain or a rule is a module that cannot be loaded.
fn failed(request: &'static str, table: &str, error: io::Error) -> NetError {
    let lacks = match error.raw_os_error() {
        Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT) => true,
        Some(libc::EINVAL) => request == "NFT_MSG_GETTABLE",
        Some(libc::ENOENT) => matches!(request, "NFT_MSG_NEWCHAIN" | "NFT_MSG_NEWRULE"),
        _ => false,
    };
    if lacks {
        return NetError::NetfilterMissing { table: table.to_owned(), source: error };
    }
    NetError::of_request(request, table.to_owned(), error)
}

fn missing_or(table: &str, source: io::Error) -> NetError {
    match source.raw_os_error() {
        Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT) => {
            NetError::NetfilterMissing { table: table.to_owned(), source }
        }
        _ => NetError::Connect { protocol: "NETLINK_NETFILTER", source },
    }
}

fn undecoded(request: &'static str, table: &str, reason: String) -> NetError {
    NetError::Answer { request, object: table.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::NLM_F_CREATE;

    use super::*;

    #[test]
    fn a_batch_has_begin_and_end_and_sequence_numbers_from_one() {
        let attributes = vec![TableAttribute::Name("relay_r0".to_owned())];
        let message = NfTablesMessage::NewTable(TableMessage { attributes });
        let request = Request { name: "NFT_MSG_NEWTABLE", flags: NLM_F_CREATE, message };
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
        assert_eq!(batch(vec![request]), expected);
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
