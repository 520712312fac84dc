use std::net::IpAddr;

use hickory_proto::{
    op::{Edns, Message, MessageType, Metadata, OpCode, ResponseCode},
    rr::DNSClass,
    serialize::binary::{BinEncodable as _, BinEncoder},
};

use super::{
    Outcome, Zone,
    lookup::{Asking, Found},
};

/// What a question came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram, whose answer has to fit into one.
    Udp,
    /// A stream.
    Tcp,
}

/// What becomes of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Nothing: it was no question.
    Silence,
    /// This message, and what it is.
    Answer(Outcome, Vec<u8>),
    /// The answer of another resolver, or this message if there is none.
    Forward(Vec<u8>),
}

/// Longest question, bytes. One name and a signature need much less.
pub const QUESTION_MAX: usize = 4096;
/// Bytes of a header (RFC 1035, section 4.1.1).
const HEADER_LEN: usize = 12;
/// Of an answer in a datagram: without EDNS (RFC 1035, section 4.2.1), and at most, so that no
/// fragments are needed anywhere (RFC 9715, appendix A).
const UDP_MIN: u16 = 512;
const UDP_MAX: u16 = 1232;
/// The flag of an answer (QR).
const RESPONSE: u16 = 1 << 15;
/// The end of a name, type and class, bytes.
const QUESTION_END_LEN: usize = 5;
/// Longest label, bytes.
const LABEL_MAX: u8 = 63;
/// Records of a question beside it: EDNS and a signature.
const ADDITIONAL_MAX: u16 = 2;

impl Zone {
    /// What becomes of a message from `source`, at a time in seconds since 1970-01-01T00:00:00Z.
    pub fn reply(&self, source: IpAddr, question: &[u8], by: Transport, now: u64) -> Reply {
        let Some((header, _)) = question.split_first_chunk::<HEADER_LEN>() else {
            return Reply::Silence;
        };
        let [id, flags, questions, answers, authorities, additional] = words(header);
        let op_code = OpCode::from_u8((flags >> 11 & 0xf).to_le_bytes()[0]);
        if flags & RESPONSE != 0 {
            return Reply::Silence;
        }
        let error = |outcome, code| {
            Reply::Answer(outcome, encoded(&Message::error_msg(id, op_code, code), UDP_MIN))
        };
        let Some(asker) = self.asker(source) else {
            return error(Outcome::Refused, ResponseCode::Refused);
        };
        if op_code != OpCode::Query {
            return error(Outcome::Invalid, ResponseCode::NotImp);
        }
        // Numbers are checked first: the parser makes room for as many as the header says.
        if (questions, answers, authorities) != (1, 0, 0) || additional > ADDITIONAL_MAX {
            return error(Outcome::Invalid, ResponseCode::FormErr);
        }
        match Message::from_vec(question) {
            Ok(question) => self.reply_to(&question, Asking { asker, now }, by),
            Err(_) => error(Outcome::Invalid, ResponseCode::FormErr),
        }
    }

    fn reply_to(&self, question: &Message, asking: Asking, by: Transport) -> Reply {
        let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
        answer.metadata = Metadata::response_from_request(&question.metadata);
        answer.metadata.recursion_available = self.forwards(asking.asker);
        answer.queries.clone_from(&question.queries);
        let mut room = UDP_MIN;
        if let Some(asked) = &question.edns {
            room = asked.max_payload().clamp(UDP_MIN, UDP_MAX);
            let mut edns = Edns::new();
            edns.set_max_payload(UDP_MAX);
            answer.edns = Some(edns);
        }
        if by == Transport::Tcp {
            room = u16::MAX;
        }
        let finished = |outcome, code, mut answer: Message| {
            answer.metadata.response_code = code;
            Reply::Answer(outcome, encoded(&answer, room))
        };
        if question.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
            return finished(Outcome::Invalid, ResponseCode::BADVERS, answer);
        }
        let [query] = &question.queries[..] else {
            return finished(Outcome::Invalid, ResponseCode::FormErr, answer);
        };
        let is_ours = matches!(query.query_class, DNSClass::IN | DNSClass::ANY);
        let found = is_ours.then(|| self.look_up(&query.name, query.query_type, asking)).flatten();
        match found {
            None if self.forwards(asking.asker) => {
                answer.metadata.response_code = ResponseCode::ServFail;
                Reply::Forward(encoded(&answer, room))
            }
            None => finished(Outcome::Refused, ResponseCode::Refused, answer),
            Some(found) => {
                answer.metadata.authoritative = true;
                let (outcome, code) = match found {
                    Found::NoName(_) => (Outcome::NoName, ResponseCode::NXDomain),
                    Found::Records(_) | Found::Nothing(_) => {
                        (Outcome::Answered, ResponseCode::NoError)
                    }
                };
                match found {
                    Found::Records(records) => answer.answers = records,
                    Found::Nothing(authority) | Found::NoName(authority) => {
                        answer.authorities = vec![authority];
                    }
                }
                finished(outcome, code, answer)
            }
        }
    }
}

/// Whether a message of another resolver is an answer to this question: the same identifier and the
/// same name, type and class.
pub fn is_answer_to(question: &[u8], answer: &[u8]) -> bool {
    let parts = |message: &[u8]| {
        let (header, rest) = message.split_first_chunk::<HEADER_LEN>()?;
        let [id, flags, questions, ..] = words(header);
        Some((id, flags & RESPONSE != 0, questions, asked(rest)?.to_ascii_lowercase()))
    };
    match (parts(question), parts(answer)) {
        (Some((id, false, 1, asked)), Some((its, true, 1, repeated))) => {
            id == its && asked == repeated
        }
        _ => false,
    }
}

/// The first question behind a header: labels, then type and class.
fn asked(rest: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        match *rest.get(at)? {
            0 => return rest.get(..at + QUESTION_END_LEN),
            len @ 1..=LABEL_MAX => at += usize::from(len) + 1,
            // A compressed name has nothing before it to repeat.
            _ => return None,
        }
    }
}

/// The message in at most `room` bytes: what does not fit is left out, and the message says so.
fn encoded(message: &Message, room: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(usize::from(UDP_MIN));
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_max_size(room);
    // Only a question longer than `room` does not fit, and those do not parse.
    match message.emit(&mut encoder) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}

/// The words of a header.
fn words(header: &[u8; HEADER_LEN]) -> [u16; HEADER_LEN / 2] {
    let mut words = [0; HEADER_LEN / 2];
    for (word, bytes) in words.iter_mut().zip(header.chunks_exact(2)) {
        *word = u16::from_be_bytes([bytes[0], bytes[1]]);
    }
    words
}
