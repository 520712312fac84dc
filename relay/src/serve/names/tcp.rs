use std::{convert::Infallible, io, net::IpAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use super::{
    answering::{Answering, Next},
    framing::{read, write},
};
use crate::names::{QUESTION_MAX, Transport};

/// Between two attempts to accept, where the process or the host has no file descriptor left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Time for a question and for taking its answer, each; it includes the wait for the next question.
const EACH: Duration = Duration::from_secs(10);

/// Accepts connections and answers what they ask. Whoever has all of its own is hung up on.
pub(super) async fn answer(listener: TcpListener, answering: Answering) -> Infallible {
    loop {
        let (stream, source) = match listener.accept().await {
            Ok((stream, from)) => (stream, from.ip()),
            Err(error) => {
                tracing::debug!("names: {error}");
                sleep(EXHAUSTED).await;
                continue;
            }
        };
        let Some(seat) = answering.connections.take(answering.who(source)) else { continue };
        let answering = answering.clone();
        tokio::spawn(async move {
            let _seat = seat;
            // What a client breaks concerns that client alone.
            if let Err(error) = converse(stream, source, &answering).await {
                tracing::debug!("names: {source}: {error}");
            }
        });
    }
}

/// One question after the other.
async fn converse(mut stream: TcpStream, source: IpAddr, answering: &Answering) -> io::Result<()> {
    loop {
        let question = timeout(EACH, read(&mut stream, QUESTION_MAX)).await??;
        let answer = match answering.next(source, &question, Transport::Tcp) {
            Next::Nothing => return Ok(()),
            Next::Answer(answer) => answer,
            Next::Forward(forwarded) => answering.forward(forwarded).await,
        };
        timeout(EACH, write(&mut stream, &answer)).await??;
    }
}
