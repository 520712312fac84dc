//! What became of questions about names, as metrics.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::{
    Exposition,
    exposition::{Family, Label},
};

#[rustfmt::skip]
const QUESTIONS: Family = Family::plain_counter("wgrelay_name_questions", "Questions about names that relay serve was asked, by what became of them.");

/// Writes the family of names, if the relay answers any.
pub(super) fn name_families(
    out: &mut impl Write,
    interface: Label<'_>,
    questions: &BTreeMap<&'static str, u64>,
    format: Exposition,
) -> io::Result<()> {
    if questions.is_empty() {
        return Ok(());
    }
    QUESTIONS.head(out, format)?;
    for (outcome, count) in questions {
        QUESTIONS.sample(out, [interface, Label("outcome", outcome)], count)?;
    }
    Ok(())
}
