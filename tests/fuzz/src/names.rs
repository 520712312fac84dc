//! A question of DNS: it gets one answer or none, which fits and tells nothing of a peer that who asks
//! may not know.

use std::{net::IpAddr, path::Path, sync::Arc};

use relay::{
    config::{Options, load_texts},
    names::{QUESTION_MAX, Reply, Transport, Zone, is_answer_to},
};

use crate::{choices::Choices, run::Run};

/// Peers with names; nobody may begin anything with `c`.
const NAMES: &str = "\n[names]\nzone = \"relay.internal\"\n";
const PREAMBLE: &str = include_str!("preamble.toml");

/// Who asks: peers, the relay, and nobody.
const SOURCES: [&str; 6] =
    ["10.3.2.2", "10.3.2.3", "fd00::3:2:2", "10.3.2.5", "10.3.2.1", "192.0.2.1"];
/// The addresses of `c`, which its name has, and the name.
const HIDDEN: [&str; 2] = ["10.3.2.4", "fd00::3:2:4"];
/// The relay itself, which may know all.
const RELAY: &str = "10.3.2.1";

/// Bytes of the longest answer by each.
const UDP_MAX: usize = 1232;
const TCP_MAX: usize = u16::MAX as usize;

pub(crate) fn start() -> Run {
    let text = format!("{PREAMBLE}{NAMES}");
    let loaded = load_texts([(Path::new("relay.toml").into(), text)], Options::default());
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    let zone = Zone::of(Arc::new(loaded.relay)).expect("it has names");
    Box::new(move |input| {
        let mut choices = Choices::of(input);
        let source = choices.one_of(&SOURCES);
        let by = choices.one_of(&[Transport::Udp, Transport::Tcp]);
        let question = choices.rest();
        if question.len() > QUESTION_MAX {
            return;
        }
        let from: IpAddr = source.parse().expect("an address");
        match zone.reply(from, question, by, 0) {
            Reply::Silence => {}
            Reply::Forward(_) => panic!("there is no other resolver"),
            Reply::Answer(_, answer) => {
                let most = if by == Transport::Udp { UDP_MAX } else { TCP_MAX };
                assert!(answer.len() <= most, "{} bytes", answer.len());
                assert!(answer.len() >= 12, "no header: {answer:02x?}");
                assert_eq!(answer[..2], question[..2], "the identifier");
                assert_eq!(answer[2] & 0x80, 0x80, "no answer");
                // It answers itself in no circle.
                assert_eq!(zone.reply(from, &answer, by, 0), Reply::Silence);
                assert!(!is_answer_to(&answer, question), "a question is no answer");
                if source != RELAY {
                    tells_nothing(question, &answer);
                }
            }
        }
    })
}

/// The address of the peer that nobody may know is not in the answer, unless the question has it.
fn tells_nothing(question: &[u8], answer: &[u8]) {
    for hidden in HIDDEN {
        let octets = match hidden.parse().expect("an address") {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let has = |bytes: &[u8]| bytes.windows(octets.len()).any(|window| window == octets);
        assert!(!has(answer) || has(question), "{hidden} is in {answer:02x?}");
    }
}
