//! Which lines differ between two texts.

use std::ops::Range;

/// Lines that have to be equal for two texts to be in step again, unless they end there.
const IN_STEP: usize = 2;

/// The places in which two texts differ: lines of the one, and the lines that are there in the other.
pub(super) fn hunks(before: &[String], after: &[String]) -> Vec<(Range<usize>, Range<usize>)> {
    let mut hunks = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < before.len() || j < after.len() {
        if i < before.len() && j < after.len() && before[i] == after[j] {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        let (removed, added) = step(&before[i..], &after[j..]);
        hunks.push((i..i + removed, j..j + added));
        (i, j) = (i + removed, j + added);
    }
    hunks
}

/// The fewest lines of both texts after which they are in step.
fn step(before: &[String], after: &[String]) -> (usize, usize) {
    if before.is_empty() || after.is_empty() {
        return (before.len(), after.len());
    }
    let in_step = |&(removed, added): &(usize, usize)| {
        let (one, other) = (&before[removed..], &after[added..]);
        let is_end = one.is_empty() && other.is_empty();
        let least = IN_STEP.min(one.len()).min(other.len());
        is_end || (least > 0 && one[..least] == other[..least])
    };
    let most = before.len() + after.len();
    let steps = (1..=most).flat_map(|both| {
        let least = both.saturating_sub(after.len());
        (least..=both.min(before.len())).map(move |removed| (removed, both - removed))
    });
    steps.into_iter().find(in_step).unwrap_or((before.len(), after.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }

    #[test]
    fn each_place_is_shown_by_itself() {
        let of = |before, after| hunks(&lines(before), &lines(after));
        assert_eq!(of("abcdef", "abcdef"), []);
        assert_eq!(of("abcdefgh", "abXdegh"), [(2..3, 2..3), (5..6, 5..5)]);
        assert_eq!(of("", "ab"), [(0..0, 0..2)]);
        assert_eq!(of("ab", ""), [(0..2, 0..0)]);
        assert_eq!(of("abc", "abcd"), [(3..3, 3..4)]);
        assert_eq!(of("abcabc", "abc"), [(3..6, 3..3)]);
    }
}
