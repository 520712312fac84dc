/// A set of numbers, as the words that are not zero, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Bits {
    words: Vec<(u32, u64)>,
}

impl Bits {
    pub(super) fn of(number: u32) -> Self {
        [number].into_iter().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.words.iter().map(|(_, word)| word.count_ones() as usize).sum()
    }

    /// Quick for the numbers in ascending order.
    pub(super) fn insert(&mut self, number: u32) {
        let (at, bit) = (number / 64, 1u64 << (number % 64));
        match self.words.last_mut() {
            Some((last, word)) if *last == at => *word |= bit,
            Some((last, _)) if *last > at => {
                match self.words.binary_search_by_key(&at, |(at, _)| *at) {
                    Ok(found) => self.words[found].1 |= bit,
                    Err(place) => self.words.insert(place, (at, bit)),
                }
            }
            Some(_) | None => self.words.push((at, bit)),
        }
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        let found = self.words.binary_search_by_key(&(number / 64), |(at, _)| *at);
        found.is_ok_and(|found| self.words[found].1 >> (number % 64) & 1 == 1)
    }

    /// Its numbers, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().flat_map(|&(at, word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                left &= left.checked_sub(1)?;
                Some(at * 64 + bit)
            })
        })
    }

    pub(super) fn is_subset(&self, other: &Self) -> bool {
        self.without(other).is_empty()
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        self.merged(other, |one, two| one | two)
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        self.merged(other, |one, two| one & two)
    }

    pub(super) fn without(&self, other: &Self) -> Self {
        self.merged(other, |one, two| one & !two)
    }

    /// What is in one of both only.
    pub(super) fn difference(&self, other: &Self) -> Self {
        self.merged(other, |one, two| one ^ two)
    }

    fn merged(&self, other: &Self, of: impl Fn(u64, u64) -> u64) -> Self {
        let (mut ones, mut twos) = (self.words.as_slice(), other.words.as_slice());
        let mut words = Vec::with_capacity(ones.len().max(twos.len()));
        loop {
            let at = match (ones.first(), twos.first()) {
                (Some(one), Some(two)) => one.0.min(two.0),
                (Some(one), None) => one.0,
                (None, Some(two)) => two.0,
                (None, None) => return Self { words },
            };
            let take = |from: &mut &[(u32, u64)]| match from.split_first() {
                Some((&(first, word), rest)) if first == at => {
                    *from = rest;
                    word
                }
                Some(_) | None => 0,
            };
            let word = of(take(&mut ones), take(&mut twos));
            if word != 0 {
                words.push((at, word));
            }
        }
    }
}

impl FromIterator<u32> for Bits {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut bits = Self::default();
        numbers.into_iter().for_each(|number| bits.insert(number));
        bits
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sets_behave_as_sets(
            one in prop::collection::btree_set(0u32..300, 0..40),
            two in prop::collection::btree_set(0u32..300, 0..40),
        ) {
            let bits = |set: &BTreeSet<u32>| set.iter().copied().rev().collect::<Bits>();
            let (a, b) = (bits(&one), bits(&two));
            prop_assert!(a.iter().eq(one.iter().copied()));
            prop_assert_eq!(a.len(), one.len());
            prop_assert!((0..300).all(|n| a.contains(n) == one.contains(&n)));
            prop_assert_eq!(a.union(&b), bits(&(&one | &two)));
            prop_assert_eq!(a.intersection(&b), bits(&(&one & &two)));
            prop_assert_eq!(a.without(&b), bits(&(&one - &two)));
            prop_assert_eq!(a.difference(&b), bits(&(&one ^ &two)));
            prop_assert_eq!(a.is_subset(&b), one.is_subset(&two));
        }
    }
}
