//! Asks a program in the kernel what it would do with a packet. Nothing is counted and nothing sent.

use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use relay_common::{
    Reason,
    question::{QUESTION, decode},
    verdict::Verdict,
};

use super::{DatapathError, Direction, generation::Packet};

/// What a program answers.
pub type Answer = Result<Verdict, Reason>;

/// Shortest packet that is surely taken: `BPF_PROG_TEST_RUN` looks at the first 14 bytes as an
/// Ethernet header, and wants behind it what its type says (bpf_prog_test_run_skb(),
/// net/bpf/test_run.c, 6.18).
pub const SHORTEST: usize = 54;

/// Asks about a packet from a peer, from its IP header on, of [`SHORTEST`] bytes or more.
///
/// # Errors
/// The kernel does not take the packet, or the program does not know questions.
pub(super) fn ask(program: &SchedClassifier, packet: &[u8]) -> Result<Answer, DatapathError> {
    const NAME: &str = Direction::Ingress.program();
    let question = Packet::question(packet);
    let context = question.context();
    let mut told = context;
    program
        .test_run(TestRunOptions {
            data_in: Some(packet),
            ctx_in: Some(&context),
            ctx_out: Some(&mut told),
            ..TestRunOptions::default()
        })
        .map_err(DatapathError::program(NAME, "ask"))?;
    let mark = Packet::mark_of(&told);
    decode(mark).ok_or(DatapathError::NoAnswer { mark, question: QUESTION })
}
