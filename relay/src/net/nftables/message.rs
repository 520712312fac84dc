use rtnetlink::packet_core::{
    NetlinkDeserializable, NetlinkHeader, NetlinkPayload, NetlinkSerializable,
};

/// Length of nfgenmsg, which precedes the attributes.
const FAMILY_LEN: usize = 4;

/// A message of nfnetlink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Type, with the subsystem in the upper byte.
    pub(super) kind: u16,
    pub(super) family: u8,
    /// The subsystem that a batch is for.
    pub(super) resource: u16,
    pub(super) attributes: Vec<u8>,
}

/// A message that is too short.
#[derive(Debug, thiserror::Error)]
#[error("a message of {0} bytes, expected at least {FAMILY_LEN}")]
pub(super) struct TooShort(usize);

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        FAMILY_LEN + self.attributes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let [high, low] = self.resource.to_be_bytes();
        buffer.copy_from_slice(&[&[self.family, 0, high, low], &self.attributes[..]].concat());
    }
}

impl NetlinkDeserializable for Message {
    type Error = TooShort;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, TooShort> {
        let [family, _version, high, low, attributes @ ..] = payload else {
            return Err(TooShort(payload.len()));
        };
        Ok(Self {
            kind: header.message_type,
            family: *family,
            resource: u16::from_be_bytes([*high, *low]),
            attributes: attributes.to_vec(),
        })
    }
}

impl From<Message> for NetlinkPayload<Message> {
    fn from(message: Message) -> Self {
        Self::InnerMessage(message)
    }
}
