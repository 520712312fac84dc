//! Questions by sockets on loopback, and other resolvers there.

use std::{future::ready, net::Ipv4Addr};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::A},
};
use tokio::net::TcpStream;

use super::{
    answering::{Forwarded, WAITING},
    framing::{read, write},
    *,
};
use crate::{
    model::{Names, Peer, PublicKey, Relay},
    names::Transport,
};

const BOTH: [Transport; 2] = [Transport::Udp, Transport::Tcp];

/// For a resolver that says nothing.
const SHORT: Duration = Duration::from_millis(50);

/// What a resolver sends for a question, message by message.
type Says = fn(&Message, Transport) -> Vec<Vec<u8>>;

/// A resolver on loopback. It ends with the value.
struct Resolver {
    at: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Resolver {
    async fn start(says: Says) -> Self {
        let (udp, tcp) = sockets().await;
        let at = tcp.local_addr().expect("its address");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut question = [0; 512];
            loop {
                let (len, from) = udp.recv_from(&mut question).await.expect("a question");
                let asked = parsed(&question[..len]);
                // Somebody else is faster.
                let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
                other.send_to(&answer(&asked, 66), from).await.expect("sent");
                for message in says(&asked, Transport::Udp) {
                    udp.send_to(&message, from).await.expect("sent");
                }
            }
        });
        tasks.spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.expect("a connection");
                let asked = parsed(&read(&mut stream, 512).await.expect("a question"));
                for message in says(&asked, Transport::Tcp) {
                    // It may have had enough already.
                    drop(write(&mut stream, &message).await);
                }
                // A stream that ends is no silence.
                drop(read(&mut stream, 512).await);
            }
        });
        Self { at, _tasks: tasks }
    }
}

/// Both on one port of loopback.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
        let at = tcp.local_addr().expect("its address");
        if let Ok(udp) = UdpSocket::bind(at).await {
            return (udp, tcp);
        }
    }
}

fn question(name: &str) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), RecordType::A));
    message.to_vec().expect("a message")
}

fn parsed(message: &[u8]) -> Message {
    Message::from_vec(message).expect("a message")
}

/// An answer with one address, which ends with that number.
fn answer(asked: &Message, number: u8) -> Vec<u8> {
    let mut answer = asked.clone();
    answer.metadata.message_type = MessageType::Response;
    let address = RData::A(A([192, 0, 2, number].into()));
    answer.add_answer(Record::from_rdata(asked.queries[0].name.clone(), 60, address));
    answer.to_vec().expect("a message")
}

/// The last numbers of the addresses in an answer.
fn numbers(answer: &[u8]) -> Vec<u8> {
    let number = |record: &Record| {
        let RData::A(address) = record.data else { panic!("{record}") };
        address.octets()[3]
    };
    parsed(answer).answers.iter().map(number).collect()
}

/// Asks resolvers for `example.org`; the answer without one of theirs is a failure.
async fn asked(answering: &Answering, resolvers: &[SocketAddr], by: Transport) -> Vec<u8> {
    let question = question("example.org.");
    let mut otherwise = parsed(&question);
    otherwise.metadata.message_type = MessageType::Response;
    otherwise.metadata.response_code = ResponseCode::ServFail;
    let otherwise = otherwise.to_vec().expect("a message");
    let resolvers = resolvers.to_vec();
    answering.forward(Forwarded { resolvers, question, by, who: None, otherwise }).await
}

/// What has been counted, without what has not.
fn counted(answering: &Answering) -> Vec<(&'static str, u64)> {
    answering.questions.read().into_iter().filter(|(_, count)| *count > 0).collect()
}

#[tokio::test]
async fn the_answer_of_a_resolver_is_handed_on() {
    let resolver = Resolver::start(|asked, _| vec![answer(asked, 1)]).await;
    let answering = Answering::new();
    for by in BOTH {
        assert_eq!(numbers(&asked(&answering, &[resolver.at], by).await), [1], "{by:?}");
    }
    assert_eq!(counted(&answering), [("forwarded", 2)]);
}

#[tokio::test]
async fn an_answer_to_another_question_is_not_taken() {
    let says: Says = |asked, _| {
        let mut other_id = asked.clone();
        other_id.metadata.id += 1;
        let mut other_name = asked.clone();
        let name = Name::from_ascii("example.com.").expect("a name");
        other_name.queries[0].set_name(name);
        let repeated = asked.to_vec().expect("a message");
        vec![answer(&other_id, 2), answer(&other_name, 3), repeated, vec![], answer(asked, 4)]
    };
    let resolver = Resolver::start(says).await;
    let answering = Answering::new();
    assert_eq!(numbers(&asked(&answering, &[resolver.at], Transport::Udp).await), [4]);
    // Whoever sends something else in a stream is not waited for.
    let failed = parsed(&asked(&answering, &[resolver.at], Transport::Tcp).await);
    assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(counted(&answering), [("forwarded", 1), ("unanswered", 1)]);
}

#[tokio::test]
async fn silence_is_a_failure_once_the_time_is_up() {
    let resolver = Resolver::start(|_, _| vec![]).await;
    let answering = Answering::with(SHORT);
    for by in BOTH {
        let failed = parsed(&asked(&answering, &[resolver.at; 2], by).await);
        assert_eq!((failed.metadata.id, failed.answers.len()), (7, 0), "{by:?}");
        assert_eq!(failed.metadata.response_code, ResponseCode::ServFail, "{by:?}");
    }
    assert_eq!(counted(&answering), [("unanswered", 2)]);
}

#[tokio::test]
async fn the_next_resolver_is_asked_if_one_fails() {
    let gone = {
        let (_udp, tcp) = sockets().await;
        tcp.local_addr().expect("its address")
    };
    let resolver = Resolver::start(|asked, _| vec![answer(asked, 5)]).await;
    let answering = Answering::new();
    for by in BOTH {
        let answer = asked(&answering, &[gone, resolver.at], by).await;
        assert_eq!(numbers(&answer), [5], "{by:?}");
    }
}

#[tokio::test]
async fn an_answer_that_was_cut_says_so_and_the_next_question_goes_by_a_stream() {
    let says: Says = |asked, by| {
        if by == Transport::Tcp {
            return vec![answer(asked, 6)];
        }
        let mut cut = asked.clone();
        cut.metadata.message_type = MessageType::Response;
        cut.metadata.truncation = true;
        vec![cut.to_vec().expect("a message")]
    };
    let resolver = Resolver::start(says).await;
    let answering = Answering::new();
    let cut = asked(&answering, &[resolver.at], Transport::Udp).await;
    assert!(parsed(&cut).metadata.truncation && numbers(&cut).is_empty());
    let whole = asked(&answering, &[resolver.at], Transport::Tcp).await;
    assert_eq!((parsed(&whole).metadata.truncation, numbers(&whole)), (false, vec![6]));
}

#[tokio::test]
async fn who_has_too_many_questions_waiting_is_told_at_once() {
    let resolver = Resolver::start(|_, _| vec![]).await;
    let answering = Answering::new();
    let at = [resolver.at];
    let (_, own) = WAITING;
    let mut waiting: Vec<_> =
        (0..own).map(|_| Box::pin(asked(&answering, &at, Transport::Udp))).collect();
    for one in &mut waiting {
        tokio::select! {
            biased;
            answer = one => panic!("{answer:?}"),
            () = ready(()) => {}
        }
    }
    let failed = parsed(&asked(&answering, &at, Transport::Udp).await);
    assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(counted(&answering), [("busy", 1)]);
}

#[tokio::test]
async fn every_question_is_counted_by_what_became_of_it() {
    let answering = Answering::new();
    assert!(answering.questions().is_empty(), "there are no names");
    let ann = Peer::new("ann".parse().expect("a name"), PublicKey::from_bytes([1; 32]));
    let relay = Relay {
        addresses: vec!["10.3.2.1/24".parse().expect("a network")],
        names: Some(Names { zone: "relay.internal".to_owned(), forward: vec![] }),
        peers: vec![Peer { addresses: vec![Ipv4Addr::LOCALHOST.into()], ..ann }],
        ..Relay::new("relay0".parse().expect("a name"))
    };
    answering.set(Zone::of(Arc::new(relay)).map(Arc::new));
    let (udp, tcp) = sockets().await;
    let at = tcp.local_addr().expect("its address");
    let talk = async {
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
        client.connect(at).await.expect("a socket");
        let mut stream = TcpStream::connect(at).await.expect("a connection");
        let garbage = [&question("a.")[..12], &[0xff; 8]].concat();
        for (question, code) in [
            (question("ann.relay.internal."), ResponseCode::NoError),
            (question("bob.relay.internal."), ResponseCode::NXDomain),
            (question("example.org."), ResponseCode::Refused),
            (garbage, ResponseCode::FormErr),
        ] {
            client.send(&question).await.expect("sent");
            let mut answer = [0; 512];
            let len = client.recv(&mut answer).await.expect("an answer");
            assert_eq!(parsed(&answer[..len]).metadata.response_code, code);
            write(&mut stream, &question).await.expect("sent");
            let answer = read(&mut stream, 512).await.expect("an answer");
            assert_eq!(parsed(&answer).metadata.response_code, code);
        }
        // No question at all has no answer.
        client.send(&[0; 11]).await.expect("sent");
        write(&mut stream, &[0; 11]).await.expect("sent");
        assert!(read(&mut stream, 512).await.is_err(), "it is hung up on");
    };
    tokio::select! {
        never = udp::answer(Arc::new(udp), answering.clone()) => match never {},
        never = tcp::answer(tcp, answering.clone()) => match never {},
        () = talk => {}
    }
    let expected = ["answered", "invalid", "no_name", "refused"].map(|outcome| (outcome, 2));
    assert_eq!(counted(&answering), expected);
    assert_eq!(answering.questions().len(), 7, "those that have not happened are there");
}
