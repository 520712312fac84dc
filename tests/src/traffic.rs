//! Senders and receivers that count what they send and receive.

mod echo;
mod flow;
mod query;
mod raw;
mod stream;
mod streams;
pub mod tcp;
mod udp;

pub use echo::Echo;
pub use flow::Flow;
pub use query::Query;
pub use raw::Raw;
pub use stream::{Flown, Stream};
pub use streams::Streams;
pub use udp::Udp;
