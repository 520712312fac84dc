//! Random configurations and random histories of packets, reloads and time: the program decides as
//! the formula and a list of flows do, and its table has the flows of that list.

mod configuration;
mod counted;
mod flow;
mod formula;
mod fragments;
mod history;
mod model;
mod outcome;
mod sent;
mod step;
mod time;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use anyhow::Result;
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use relay::model::Relay;
use relay_tests::skip::Need;

use self::{
    configuration::{Edit, any_edit, any_end, any_relay},
    history::History,
    step::any_step,
};
use crate::possible;

/// Histories of a run, reloads of a history, and packets that a run has at least.
const HISTORIES: u32 = 16;
const RELOADS: usize = 2;
const STEPS: usize = 2_300;
const PACKETS: u64 = 100_000;

/// Rules that end soon after the last reload of a history.
const ENDS: usize = 3;

/// What becomes of some packets of every run.
const EXPECTED: [&str; 13] = [
    "begun",
    "gone on",
    "answered",
    "without flow",
    "by lists",
    "gave way",
    "revoked",
    "run out",
    "flow_limit",
    "no_rule",
    "not_in_either_list",
    "rule_ended",
    "unrelated_error",
];

/// What happens under one policy: what a reload changed, and the seed and the number of the steps
/// that follow.
#[derive(Debug, Clone)]
struct Chapter {
    edits: Vec<Edit>,
    seed: [u8; 32],
    steps: usize,
}

#[test]
fn formula_and_program_agree_on_histories_of_packets() {
    if !possible("rules::histories") {
        return;
    }
    let (packets, seen) = (Cell::new(0), RefCell::new(BTreeMap::<_, u64>::new()));
    // The virtual machine takes half a minute to load a generation.
    let is_emulated = Need::OwnMachine.missing().is_none();
    let mut runner = TestRunner::new(Config {
        cases: if is_emulated { 1 } else { HISTORIES },
        source_file: Some(file!()),
        // Each attempt loads programs.
        max_shrink_time: 20_000,
        ..Config::default()
    });
    let chapters = vec((vec(any_edit(), 1..4), any::<[u8; 32]>(), STEPS..STEPS + 1), RELOADS + 1);
    let chapters = (chapters, vec(any_end(), ENDS)).prop_map(|(chapters, ends)| {
        let chapter = |(edits, seed, steps)| Chapter { edits, seed, steps };
        let mut chapters: Vec<Chapter> = chapters.into_iter().map(chapter).collect();
        chapters.last_mut().expect("a chapter").edits.extend(ends);
        chapters
    });
    let told = runner.run(&(any_relay(), chapters), |(relay, chapters): (Relay, Vec<_>)| {
        let history = tell(relay, &chapters);
        let history = history.map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
        packets.set(packets.get() + history.packets());
        let mut seen = seen.borrow_mut();
        history.seen().iter().for_each(|(what, count)| *seen.entry(*what).or_default() += count);
        Ok(())
    });
    if let Err(error) = told {
        panic!("{error}");
    }
    if is_emulated {
        return;
    }
    let seen = seen.borrow();
    for what in EXPECTED {
        assert!(seen.contains_key(what), "no packet is `{what}`: {seen:#?}");
    }
    assert!(packets.get() >= PACKETS, "{} packets", packets.get());
}

/// Runs a history.
fn tell(relay: Relay, chapters: &[Chapter]) -> Result<History> {
    let mut history = History::begin(relay)?;
    for (number, chapter) in chapters.iter().enumerate() {
        if number > 0 {
            history.reload(&chapter.edits)?;
        }
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &chapter.seed);
        let mut runner = TestRunner::new_with_rng(Config::default(), random);
        let steps = any_step();
        for _ in 0..chapter.steps {
            let step = steps.new_tree(&mut runner);
            let step = step.map_err(|reason| anyhow::anyhow!("no step: {reason}"))?;
            history.step(step.current())?;
        }
        history.is_as_counted()?;
    }
    Ok(history)
}
