//! Datagrams of chitchat 0.13, read before chitchat reads them.
//!
//! chitchat trusts its members: one datagram makes it unpack hundreds of megabytes, or panic. So what it
//! gets to see has the form that it writes itself, and no more of it than it can take.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
};

/// The first two bytes, little endian.
const MAGIC: u16 = 45_139;
/// The version of the protocol in which digests are not compressed.
const VERSION: u8 = 0;
/// Bytes that the changes in one datagram may unpack to. Of claims they are 130,000.
const MAX_UNPACKED: usize = 1 << 20;
/// Bytes that one block may unpack to, as in chitchat.
const MAX_BLOCK: usize = u16::MAX as usize;

/// Is not what chitchat writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// One message of the three that an exchange takes.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) kind: Kind<'a>,
    /// Whose states the sender has.
    pub(super) digest: Vec<Node<'a>>,
    /// What is new in states.
    pub(super) changes: Vec<Changes<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// The first, with the name of the cluster.
    Syn(&'a str),
    SynAck,
    Ack,
    /// The answer to a first one of another cluster.
    BadCluster,
}

/// A node of the cluster: one life of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) generation: u64,
    pub(super) address: SocketAddr,
}

/// What is new in the state of a node.
#[derive(Debug)]
pub(super) struct Changes<'a> {
    pub(super) node: Node<'a>,
    /// Keys and their values.
    pub(super) entries: Vec<(&'a str, &'a str)>,
}

/// Reads a datagram. The buffer is for what is compressed in it.
pub(super) fn read<'a>(
    datagram: &'a [u8],
    unpacked: &'a mut Vec<u8>,
) -> Result<Message<'a>, Malformed> {
    let mut rest = Reader(datagram);
    if rest.u16()? != MAGIC || rest.u8()? != VERSION {
        return Err(Malformed);
    }
    let mut message = Message { kind: Kind::Ack, digest: Vec::new(), changes: Vec::new() };
    match rest.u8()? {
        0 => {
            message.digest = rest.digest()?;
            message.kind = Kind::Syn(rest.text()?);
        }
        1 => {
            message.digest = rest.digest()?;
            message.kind = Kind::SynAck;
            message.changes = rest.unpack(unpacked)?.changes()?;
        }
        2 => {
            message.changes = rest.unpack(unpacked)?.changes()?;
        }
        3 => message.kind = Kind::BadCluster,
        _ => return Err(Malformed),
    }
    if rest.0.is_empty() { Ok(message) } else { Err(Malformed) }
}

/// What has not been read yet. Numbers are little endian.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        let len = self.u16()?;
        str::from_utf8(self.take(usize::from(len))?).ok().ok_or(Malformed)
    }

    fn node(&mut self) -> Result<Node<'a>, Malformed> {
        let name = self.text()?;
        let generation = self.u64()?;
        let ip = match self.u8()? {
            4 => IpAddr::from(self.array::<4>()?),
            6 => IpAddr::from(self.array::<16>()?),
            _ => return Err(Malformed),
        };
        Ok(Node { name, generation, address: SocketAddr::new(ip, self.u16()?) })
    }

    fn digest(&mut self) -> Result<Vec<Node<'a>>, Malformed> {
        let count = self.u16()?;
        let mut nodes = Vec::new();
        for _ in 0..count {
            nodes.push(self.node()?);
            // Heartbeat, and two versions.
            self.take(3 * 8)?;
        }
        Ok(nodes)
    }

    /// Blocks of at most 64 KiB, some of them compressed.
    fn unpack<'b>(&mut self, unpacked: &'b mut Vec<u8>) -> Result<Reader<'b>, Malformed> {
        unpacked.clear();
        loop {
            let kind = self.u8()?;
            if kind == 0 {
                return Ok(Reader(unpacked));
            }
            let len = self.u16()?;
            let block = self.take(usize::from(len))?;
            let start = unpacked.len();
            match kind {
                1 => {
                    unpacked.resize(start + MAX_BLOCK, 0);
                    let len = zstd::bulk::decompress_to_buffer(block, &mut unpacked[start..]);
                    unpacked.truncate(start + len.ok().ok_or(Malformed)?);
                }
                2 => unpacked.extend_from_slice(block),
                _ => return Err(Malformed),
            }
            if unpacked.len() > MAX_UNPACKED {
                return Err(Malformed);
            }
        }
    }

    /// Changes, node by node. chitchat ends where the highest version that is told is below one in the
    /// same message, and writes the former only where there is no other.
    fn changes(mut self) -> Result<Vec<Changes<'a>>, Malformed> {
        let mut all: Vec<Changes<'a>> = Vec::new();
        let mut nodes = HashSet::new();
        let mut version = None;
        while !self.0.is_empty() {
            match self.u8()? {
                0 => {
                    let node = self.node()?;
                    // The version up to which tombstones are gone, and the one from which these are.
                    self.take(2 * 8)?;
                    if !nodes.insert(node) {
                        return Err(Malformed);
                    }
                    all.push(Changes { node, entries: Vec::new() });
                    version = Some(0);
                }
                1 => {
                    let (key, value) = (self.text()?, self.text()?);
                    let later = self.u64()?;
                    let (Some(before), 0..=2) = (version, self.u8()?) else {
                        return Err(Malformed);
                    };
                    if later <= before {
                        return Err(Malformed);
                    }
                    version = Some(later);
                    all.last_mut().ok_or(Malformed)?.entries.push((key, value));
                }
                2 => {
                    self.u64()?;
                    // Nothing more of this node.
                    if version.take() != Some(0) {
                        return Err(Malformed);
                    }
                }
                _ => return Err(Malformed),
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend(u16::try_from(text.len()).expect("a short text").to_le_bytes());
        bytes.extend(text.as_bytes());
    }

    fn node(name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        text(&mut bytes, name);
        bytes.extend(7_u64.to_le_bytes());
        bytes.extend([4, 192, 0, 2, 1, 0x0a, 0x1f]);
        bytes
    }

    fn begin(name: &str) -> Vec<u8> {
        [&[0], node(name).as_slice(), &[0; 16]].concat()
    }

    fn entry(key: &str, value: &str, version: u64) -> Vec<u8> {
        let mut bytes = vec![1];
        text(&mut bytes, key);
        text(&mut bytes, value);
        bytes.extend(version.to_le_bytes());
        bytes.push(0);
        bytes
    }

    /// The third message of an exchange, with these blocks.
    fn ack(blocks: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = [&MAGIC.to_le_bytes()[..], &[VERSION, 2]].concat();
        for (kind, block) in blocks {
            bytes.push(*kind);
            bytes.extend(u16::try_from(block.len()).expect("a small block").to_le_bytes());
            bytes.extend(*block);
        }
        bytes.push(0);
        bytes
    }

    fn entries(datagram: &[u8]) -> Result<usize, Malformed> {
        let mut buffer = Vec::new();
        let message = read(datagram, &mut buffer)?;
        Ok(message.changes.iter().map(|it| it.entries.len()).sum())
    }

    #[test]
    fn changes_are_read_from_plain_and_compressed_blocks() {
        let operations =
            [begin("fra1"), entry("a", "1", 1), entry("b", "2", 5), begin("fra2")].concat();
        assert_eq!(entries(&ack(&[(2, &operations)])), Ok(2));
        let (first, second) = operations.split_at(20);
        let packed = zstd::bulk::compress(second, 0).expect("compressed");
        assert_eq!(entries(&ack(&[(2, first), (1, &packed)])), Ok(2));
    }

    #[test]
    fn what_makes_chitchat_panic_is_malformed() {
        let highest = [&[2][..], &50_u64.to_le_bytes()].concat();
        let lower = [begin("fra1"), entry("a", "1", 100), highest.clone()].concat();
        assert_eq!(entries(&ack(&[(2, &lower)])), Err(Malformed));
        let later = [begin("fra1"), highest.clone(), entry("a", "1", 100)].concat();
        assert_eq!(entries(&ack(&[(2, &later)])), Err(Malformed));
        assert_eq!(entries(&ack(&[(2, &[begin("fra1"), highest].concat())])), Ok(0));
    }

    #[test]
    fn what_chitchat_refuses_is_malformed() {
        let same = [begin("fra1"), entry("a", "1", 1), entry("b", "1", 1)].concat();
        let twice = [begin("fra1"), begin("fra1")].concat();
        for operations in [entry("a", "1", 1), same, twice, vec![9]] {
            assert_eq!(entries(&ack(&[(2, &operations)])), Err(Malformed), "{operations:?}");
        }
        let mut longer = ack(&[]);
        assert_eq!(entries(&longer), Ok(0));
        longer.push(0);
        assert_eq!(entries(&longer), Err(Malformed));
    }

    #[test]
    fn a_datagram_does_not_unpack_to_more_than_the_limit() {
        let block = zstd::bulk::compress(&[0; MAX_BLOCK], 0).expect("compressed");
        let blocks = vec![(1, block.as_slice()); 1_000];
        let mut buffer = Vec::new();
        assert!(read(&ack(&blocks), &mut buffer).is_err());
        assert!(buffer.capacity() < 4 * MAX_UNPACKED);
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_or_refused(
            kind in 0..4_u8,
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            operations in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let head = [&MAGIC.to_le_bytes()[..], &[VERSION, kind]].concat();
            let _ = read(&bytes, &mut Vec::new());
            let _ = read(&[head, bytes].concat(), &mut Vec::new());
            let _ = read(&ack(&[(2, &operations)]), &mut Vec::new());
        }
    }
}
