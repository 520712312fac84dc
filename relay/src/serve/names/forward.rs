use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::framing::{read, write};
use crate::names::{Transport, is_answer_to};

/// The first answer of resolvers to a question, asked one after the other, by what it came by itself:
/// an answer that does not fit into a datagram says so, and the client asks again. `each` is the time
/// that one of them has.
pub(super) async fn ask(
    resolvers: &[SocketAddr],
    question: &[u8],
    by: Transport,
    each: Duration,
) -> Option<Vec<u8>> {
    for &to in resolvers {
        let answer = async {
            match by {
                Transport::Udp => by_datagram(to, question).await,
                Transport::Tcp => by_stream(to, question).await,
            }
        };
        match timeout(each, answer).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::debug!("names: {to}: {error}"),
            Err(_elapsed) => tracing::debug!("names: {to}: no answer"),
        }
    }
    None
}

async fn by_datagram(to: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // A port of its own, and connected: whoever is not on the way has both to guess.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
    socket.send(question).await?;
    let mut answer = vec![0; usize::from(u16::MAX)];
    loop {
        let len = socket.recv(&mut answer).await?;
        if is_answer_to(question, &answer[..len]) {
            answer.truncate(len);
            return Ok(answer);
        }
    }
}

async fn by_stream(to: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(to).await?;
    write(&mut stream, question).await?;
    let answer = read(&mut stream, usize::from(u16::MAX)).await?;
    match is_answer_to(question, &answer) {
        true => Ok(answer),
        false => Err(io::Error::other("what it answered is no answer to the question")),
    }
}
