use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{net::UdpSocket, time::sleep};

use super::answering::{Answering, Next};
use crate::names::{QUESTION_MAX, Transport};

/// After an error that is no datagram's, such as a lack of memory.
const RECOVERY: Duration = Duration::from_millis(100);

/// Answers what arrives.
pub(super) async fn answer(socket: Arc<UdpSocket>, answering: Answering) -> Infallible {
    let mut buffer = vec![0; QUESTION_MAX];
    loop {
        let (len, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!("names: {error}");
                sleep(RECOVERY).await;
                continue;
            }
        };
        match answering.next(from.ip(), &buffer[..len], Transport::Udp) {
            Next::Nothing => {}
            // An answer that is lost is asked for again.
            Next::Answer(answer) => drop(socket.send_to(&answer, from).await),
            Next::Forward(forwarded) => {
                let (socket, answering) = (Arc::clone(&socket), answering.clone());
                tokio::spawn(async move {
                    let answer = answering.forward(forwarded).await;
                    drop(socket.send_to(&answer, from).await);
                });
            }
        }
    }
}
