use std::{future::Future, pin::pin, time::Duration};

use futures_util::StreamExt as _;
use rtnetlink::{
    packet_core::{
        NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
    },
    packet_route::RouteNetlinkMessage,
};
use tokio::time::{error::Elapsed, timeout};

use super::NetError;

/// Number of interrupted dumps before an error is returned.
const DUMPS_MAX: usize = 16;

/// Time limit of an answer. The kernel answers at once, but the netlink crate drops an answer that it
/// cannot decode.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Time to read an answer that is there.
const READING_MAX: Duration = Duration::from_secs(5);

/// A connection to the kernel's routing netlink, in the network namespace in which it was opened.
#[derive(Debug, Clone)]
pub struct Handle(rtnetlink::Handle);

/// Connects to the routing netlink of the calling thread's network namespace. Must be called within a
/// tokio runtime with I/O and time enabled. The connection lives as long as the handle.
///
/// # Errors
/// The socket cannot be opened.
pub fn connect() -> Result<Handle, NetError> {
    let (mut connection, handle, _unsolicited) = rtnetlink::new_connection_with_strict_check()
        .map_err(|source| NetError::Connect { protocol: "NETLINK_ROUTE", source })?;
    // The flag of an interrupted dump may be on its last message only.
    connection.set_forward_done(true);
    tokio::spawn(connection);
    Ok(Handle(handle))
}

impl Handle {
    /// Dumps a table, consistently.
    pub(super) async fn dump(
        &self,
        request: &'static str,
        object: &str,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetError> {
        for _ in 0..DUMPS_MAX {
            let answers =
                self.request(request, object, message.clone(), NLM_F_REQUEST | NLM_F_DUMP).await?;
            if let Answers { messages, interrupted: false } = answers {
                return Ok(messages);
            }
        }
        Err(NetError::Interrupted { request, tries: DUMPS_MAX })
    }

    /// Gets one object.
    pub(super) async fn get(
        &self,
        request: &'static str,
        object: &str,
        message: RouteNetlinkMessage,
    ) -> Result<Option<RouteNetlinkMessage>, NetError> {
        Ok(self.request(request, object, message, NLM_F_REQUEST).await?.messages.pop())
    }

    /// Requests a change and waits for its acknowledgement.
    pub(super) async fn change(
        &self,
        request: &'static str,
        object: &str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<(), NetError> {
        self.request(request, object, message, NLM_F_REQUEST | NLM_F_ACK | flags).await.map(drop)
    }

    async fn request(
        &self,
        request: &'static str,
        object: &str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Answers, NetError> {
        let no_answer =
            |reason: String| NetError::Answer { request, object: object.into(), reason };
        let mut message = NetlinkMessage::from(message);
        message.header.flags = flags;
        let mut stream =
            self.0.clone().request(message).map_err(|error| no_answer(error.to_string()))?;
        let mut answers = Answers::default();
        let reading = async {
            while let Some(answer) = stream.next().await {
                answers.interrupted |= answer.header.flags & NLM_F_DUMP_INTR != 0;
                match answer.payload {
                    NetlinkPayload::InnerMessage(inner) => answers.messages.push(inner),
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(NetError::of_request(request, object.into(), error.to_io()));
                    }
                    NetlinkPayload::Done(done) if done.code != 0 => {
                        let error = std::io::Error::from_raw_os_error(done.code.saturating_abs());
                        return Err(NetError::of_request(request, object.into(), error));
                    }
                    NetlinkPayload::Overrun(_) => answers.interrupted = true,
                    _ => {}
                }
            }
            Ok(())
        };
        match within(ANSWER_MAX, READING_MAX, reading).await {
            Ok(outcome) => outcome.map(|()| answers),
            Err(elapsed) => Err(no_answer(format!("none came ({elapsed})"))),
        }
    }
}

/// Waits for an answer this long. The kernel may work longer on a request, such as to delete an
/// interface with thousands of peers, in the system call that sends it. This thread waits there; the
/// answer comes after the deadline, but is there, so there is a little time to read it.
async fn within<T>(
    answering: Duration,
    reading: Duration,
    answer: impl Future<Output = T>,
) -> Result<T, Elapsed> {
    let mut answer = pin!(answer);
    match timeout(answering, answer.as_mut()).await {
        Ok(answer) => Ok(answer),
        Err(_elapsed) => timeout(reading, answer).await,
    }
}

#[derive(Default)]
struct Answers {
    messages: Vec<RouteNetlinkMessage>,
    interrupted: bool,
}

#[cfg(test)]
mod tests {
    use std::{future::pending, thread};

    use tokio::{runtime, sync::oneshot, task};

    use super::*;

    #[test]
    fn an_answer_that_the_kernel_takes_long_for_is_read() {
        let runtime = runtime::Builder::new_current_thread().enable_time().build();
        let answering = Duration::from_millis(1);
        let waited = runtime.expect("a runtime").block_on(async {
            let (send, answer) = oneshot::channel();
            task::spawn(async move {
                // The system call, in which the thread stays.
                thread::sleep(answering * 20);
                // The answer is read with the next event of the socket.
                task::yield_now().await;
                send.send(()).expect("somebody waits");
            });
            let answered = within(answering, READING_MAX, answer).await;
            (answered, within(answering, answering, pending::<()>()).await)
        });
        assert!(matches!(waited.0, Ok(Ok(()))), "{waited:?}");
        assert!(waited.1.is_err(), "{waited:?}");
    }
}
