//! Senders and receivers that count what they send and receive.

mod echo;
mod flow;
mod pings;
mod query;
mod raw;
mod silence;
mod stream;
mod streams;
pub mod tcp;
mod transfer;
mod udp;

pub use echo::Echo;
pub use flow::Flow;
pub use pings::{Answered, Pings};
pub use query::Query;
pub use raw::Raw;
pub use stream::{Flown, Stream};
pub use streams::Streams;
pub use transfer::{Transfer, Transferred};
pub use udp::Udp;
