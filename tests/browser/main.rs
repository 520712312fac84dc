//! The page of `relay serve` in headless Chromium, and its API by its description, against a relay
//! with real kernel WireGuard in a virtual machine.
//!
//! All tests share one machine, which is booted before the first and ended after the last. They run
//! one after the other, in this order; each opens a browser of its own.
//!
//! ```text
//!   this host                                    virtual machine
//!  ┌──────────────────────────┐                ┌──────────────────────────────────┐
//!  │ chromedriver ─ Chromium ─┼─ HTTPS, token ─┼─ relay serve ─ relay0 ─ peers    │
//!  │ this program ────────────┼─ what to do ───┼─ served (tests/src/bin/served.rs)│
//!  └──────────────────────────┘   127.0.0.1    └──────────────────────────────────┘
//! ```

mod axe;
mod described;
mod driver;
mod keyboard;
mod many;
mod page;
mod pictures;
mod shown;
mod stage;
mod views;

use std::{
    env,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Result, anyhow};
use libtest_mimic::{Arguments, Failed, Trial};
use relay_tests::skip::{self, Need};
use stage::Stage;

const NEEDS: &[Need] = &[Need::Relay, Need::VirtualMachine, Need::Browser];

type Body = fn(&Stage) -> Result<()>;

/// Each changes what the peers do, and puts it back.
const TESTS: [(&str, Body); 11] = [
    ("who_has_no_token_sees_nothing", shown::who_has_no_token_sees_nothing),
    ("what_is_shown_is_what_the_kernel_counts", shown::what_is_shown_is_what_the_kernel_counts),
    ("an_update_arrives_within_two_seconds", shown::an_update_arrives_within_two_seconds),
    ("a_question_gets_the_answer_of_explain", shown::a_question_gets_the_answer_of_explain),
    ("no_view_has_errors_or_asks_another_server", views::no_view_has_errors),
    ("no_view_is_wider_than_a_phone", views::no_view_is_wider_than_a_phone),
    ("a_phone_has_the_filter_from_edge_to_edge", views::a_phone_has_the_filter_from_edge_to_edge),
    ("axe_finds_nothing_serious", axe::axe_finds_nothing_serious),
    ("all_can_be_done_by_keyboard", keyboard::all_can_be_done_by_keyboard),
    ("the_api_is_as_it_is_described", described::the_api_is_as_it_is_described),
    // The last: the peers stay.
    ("a_thousand_peers_are_shown", many::a_thousand_peers_are_shown),
];

/// Environment variable with which the pictures of the documentation are made, and nothing is tested.
const PICTURES: &str = "RELAY_PICTURES";

/// The machine, once a test has asked for it; an error is that of its start.
type Shared = Arc<Mutex<Option<Result<Stage, String>>>>;

fn main() -> ExitCode {
    // libtest knows several filters; its double knows one.
    let (mut words, filters): (Vec<_>, Vec<_>) =
        env::args().skip(1).partition(|word| word.starts_with('-'));
    words.insert(0, "browser".to_owned());
    let mut arguments = Arguments::from_iter(words);
    arguments.test_threads = Some(1);
    let shared = Shared::default();
    let mut trials = match env::var_os(PICTURES) {
        None => Vec::from(TESTS.map(|(name, body)| trial(&shared, name, body))),
        Some(_) => vec![trial(&shared, "the_pictures_are_made", pictures::make)],
    };
    let is_meant = |trial: &Trial| filters.iter().any(|filter| trial.name().contains(filter));
    trials.retain(|trial| filters.is_empty() || is_meant(trial));
    let conclusion = libtest_mimic::run(&arguments, trials);
    let stage = shared.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(Ok(stage)) = stage
        && let Err(error) = stage.end()
    {
        eprintln!("browser: {error:#}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn trial(shared: &Shared, name: &'static str, body: Body) -> Trial {
    let shared = Arc::clone(shared);
    Trial::test(name, move || {
        if !skip::possible(name, NEEDS) {
            return Ok(());
        }
        let mut stage = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let stage =
            stage.get_or_insert_with(|| Stage::start().map_err(|error| format!("{error:#}")));
        let outcome = match stage {
            Ok(stage) => body(stage),
            Err(error) => Err(anyhow!("the machine did not start: {error}")),
        };
        outcome.map_err(|error| Failed::from(format!("{error:?}")))
    })
}
