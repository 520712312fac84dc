//! Frames on the underlay, through the guard's program in the kernel: what becomes of them is what a
//! plain reading of its rules says, and at most one counter moves.

use relay_tests::guard::{GuardRun, reading, settings};

use crate::run::Run;

/// What `BPF_PROG_TEST_RUN` takes, bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 14..=2_000;

pub(crate) fn start() -> Run {
    let mut guard = GuardRun::new(&settings(u32::MAX));
    Box::new(move |frame| {
        if LENGTHS.contains(&frame.len()) {
            let (expected, found) = reading::compared(&mut guard, frame);
            assert_eq!(found, expected, "{frame:02x?}");
        }
    })
}
