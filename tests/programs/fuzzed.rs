//! What the fuzzer has for the targets that need root, given to them once more.

use relay_fuzz::{corpus, target};
use relay_tests::skip;

fn replayed(test: &str, name: &str) {
    let target = target(name).expect("a target");
    if skip::possible(test, target.needs) {
        corpus::replay(&target);
    }
}

#[test]
fn packets_inside_the_tunnel_get_the_verdict_of_the_formula() {
    replayed("fuzzed::inner", "inner");
}

#[test]
fn frames_on_the_underlay_are_judged_by_the_guards_rules() {
    replayed("fuzzed::outer", "outer");
}

#[test]
fn requests_are_answered_or_ended_and_never_without_the_token() {
    replayed("fuzzed::http", "http");
}
