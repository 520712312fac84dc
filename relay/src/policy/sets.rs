use std::collections::HashMap;

/// Different sets of numbers, each sorted. The first is empty.
pub(super) struct Sets {
    sets: Vec<Vec<u32>>,
    numbers: HashMap<Vec<u32>, usize>,
}

impl Sets {
    pub(super) fn new() -> Self {
        Self { sets: vec![Vec::new()], numbers: HashMap::from([(Vec::new(), 0)]) }
    }

    /// The union of a set and more numbers.
    pub(super) fn with(&mut self, set: usize, more: &[u32]) -> usize {
        if more.is_empty() {
            return set;
        }
        let mut union = [&self.sets[set], more].concat();
        union.sort_unstable();
        union.dedup();
        self.number(union)
    }

    /// The number of a sorted set.
    pub(super) fn number(&mut self, set: Vec<u32>) -> usize {
        *self.numbers.entry(set).or_insert_with_key(|set| {
            self.sets.push(set.clone());
            self.sets.len() - 1
        })
    }

    /// A set.
    pub(super) fn get(&self, number: usize) -> &[u32] {
        &self.sets[number]
    }

    /// All of them.
    pub(super) fn into_vec(self) -> Vec<Vec<u32>> {
        self.sets
    }
}
