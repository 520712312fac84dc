//! The fuzzer: `RELAY_FUZZ_TARGET=config fuzz [arguments of libFuzzer]`.
#![no_main]

use std::{cell::RefCell, env, process};

use relay_fuzz::{TARGETS, target};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// The variable that names the target.
const TARGET: &str = "RELAY_FUZZ_TARGET";

/// Exit code if the machine lacks what the target needs. libFuzzer has 1 and 70 to 77.
const LACKS: i32 = 3;

type Run = Box<dyn FnMut(&[u8])>;

thread_local! {
    /// libFuzzer calls from one thread.
    static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
}

libfuzzer_sys::fuzz_target!(
    init: {
        let run = started();
        RUN.with(|place| *place.borrow_mut() = Some(run));
    },
    |input: &[u8]| {
        RUN.with(|run| if let Some(run) = run.borrow_mut().as_mut() { run(input) });
    }
);

fn started() -> Run {
    outlive_connections();
    let name = env::var(TARGET).unwrap_or_default();
    let Some(target) = target(&name) else {
        let names = TARGETS.map(|target| target.name).join(", ");
        eprintln!("{TARGET} is {name:?}; set it to one of {names}");
        process::exit(2);
    };
    if let Some(missing) = target.needs.iter().find_map(|need| need.missing()) {
        eprintln!("missing {missing}");
        process::exit(LACKS);
    }
    Box::new(target.start())
}

/// Lets a write to a connection that the other side has closed be an error and no signal, as in a
/// program whose `main` is Rust's.
fn outlive_connections() {
    let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
    let _entered = runtime.enter();
    // It stays caught when this is dropped.
    drop(signal(SignalKind::pipe()).expect("a handler"));
}
