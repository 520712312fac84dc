//! `docs/reference/reasons.md`, from the reasons and the guard's outcomes.

use relay_common::{Reason, guard::Outcome, icmp::Answer, reason::Disposition};

use crate::{
    markdown::{code, table},
    page,
};

#[test]
fn the_page_of_reasons_is_current() {
    let reasons = Reason::ALL.iter().map(|&reason| {
        let error = match Answer::to(reason) {
            Some(Answer::TimeExceeded) => "time exceeded",
            Some(Answer::TooBig) => "packet too big",
            Some(Answer::Prohibited) => "prohibited",
            None => "none",
        };
        let kind = match reason.disposition() {
            Disposition::Policy => "policy",
            Disposition::Packet => "packet",
            Disposition::Relay => "relay",
            Disposition::Mesh => "mesh",
        };
        [code(reason.label()), reason.describe().to_owned(), kind.to_owned(), error.to_owned()]
    });
    let reasons = table(["label", "meaning", "kind", "ICMP error"], reasons);
    let outcomes = Outcome::ALL.iter().map(|outcome| {
        let verdict = if outcome.drops() { "dropped" } else { "passed" };
        [code(outcome.label()), outcome.describe().to_owned(), verdict.to_owned()]
    });
    let outcomes = table(["label", "meaning", "verdict"], outcomes);
    page::check(
        "reasons",
        &format!("## Dropped packets\n\n{reasons}\n## Outcomes of the guard\n\n{outcomes}"),
    );
}
