//! Random choices that are the same in each run.

use proptest::{
    prelude::Rng as _,
    test_runner::{RngAlgorithm, TestRng},
};

/// A sequence of choices.
pub(crate) struct Random(TestRng);

impl Random {
    /// The sequence of this number.
    pub(crate) fn new(number: u8) -> Self {
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &[number; 32]))
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0.next_u32() as usize % limit
    }

    pub(crate) fn is(&mut self) -> bool {
        self.below(2) == 0
    }

    pub(crate) fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
