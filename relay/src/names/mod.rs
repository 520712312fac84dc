//! Names of peers: a question of DNS to its answer. Pure.
//!
//! A peer may know a name if it may begin something with the address behind it; for it, every other
//! name does not exist. `zone` has the names of a configuration and who asks, `lookup` what one of them
//! may know, `message` the questions and answers as bytes.

mod lookup;
mod message;
mod outcome;
mod zone;

pub use message::{QUESTION_MAX, Reply, Transport, is_answer_to};
pub use outcome::Outcome;
pub use zone::{Asker, Zone};

#[cfg(test)]
mod tests;
