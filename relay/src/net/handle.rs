use std::time::Duration;

use futures_util::StreamExt as _;
use rtnetlink::{
    packet_core::{
        NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
    },
    packet_route::RouteNetlinkMessage,
};

use super::NetError;

/// Dumps that are made before the kernel's tables count as changing all the time.
const DUMPS_MAX: usize = 16;

/// The kernel answers at once; an answer that cannot be decoded is dropped by the netlink crate
/// and would be awaited for ever.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A connection to the kernel's routing netlink, in the network namespace in which it was made.
#[derive(Debug, Clone)]
pub struct Handle(rtnetlink::Handle);

/// Connects to the routing netlink of the calling thread's network namespace. Has to be called
/// within a tokio runtime with I/O and time enabled; the connection lives as long as the handle.
///
/// # Errors
/// No socket.
pub fn connect() -> Result<Handle, NetError> {
    let (mut connection, handle, _unsolicited) = rtnetlink::new_connection_with_strict_check()
        .map_err(|source| NetError::Connect { protocol: "NETLINK_ROUTE", source })?;
    // The mark of an interrupted dump may sit on its last message alone.
    connection.set_forward_done(true);
    tokio::spawn(connection);
    Ok(Handle(handle))
}

impl Handle {
    /// A whole table, in one piece.
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

    /// One object.
    pub(super) async fn get(
        &self,
        request: &'static str,
        object: &str,
        message: RouteNetlinkMessage,
    ) -> Result<Option<RouteNetlinkMessage>, NetError> {
        Ok(self.request(request, object, message, NLM_F_REQUEST).await?.messages.pop())
    }

    /// A change, acknowledged.
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
        match tokio::time::timeout(ANSWER_MAX, reading).await {
            Ok(outcome) => outcome.map(|()| answers),
            Err(elapsed) => Err(no_answer(format!("none came ({elapsed})"))),
        }
    }
}

#[derive(Default)]
struct Answers {
    messages: Vec<RouteNetlinkMessage>,
    interrupted: bool,
}
