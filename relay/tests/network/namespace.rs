use std::{
    env,
    io::Write as _,
    process::Command,
    sync::mpsc::{self, Sender},
    thread::{self, JoinHandle},
};

use nix::{
    sched::{CloneFlags, unshare},
    unistd::gettid,
};

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace that is as old as its thread. It goes when this value goes.
pub(crate) struct Namespace {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    path: String,
}

/// Namespaces for a test, or `None` after saying what is missing.
///
/// # Panics
/// What is missing was required by the environment variable RELAY_TEST_REQUIRE (`bpf` or `all`).
pub(crate) fn namespaces<const N: usize>(test: &str) -> Option<[Namespace; N]> {
    for program in ["ip", "nft"] {
        if Command::new(program).arg("-V").output().is_err() {
            skip(test, &format!("the program {program}"), &["bpf", "all"]);
            return None;
        }
    }
    let made: Result<Vec<Namespace>, nix::Error> = (0..N).map(|_| Namespace::new()).collect();
    match made {
        Ok(made) => {
            for namespace in &made {
                namespace.ip("link set lo up");
            }
            made.try_into().ok()
        }
        Err(error) => {
            skip(
                test,
                &format!("the right to make a network namespace ({error})"),
                &["bpf", "all"],
            );
            None
        }
    }
}

/// Says that a test is skipped, unless the environment requires what is missing.
pub(crate) fn skip(test: &str, missing: &str, required_by: &[&str]) {
    let required = env::var("RELAY_TEST_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|piece| required_by.contains(&piece.trim())),
        "{test}: missing {missing}, required by RELAY_TEST_REQUIRE={required}"
    );
    // Past the capture of the test harness, which would swallow it.
    writeln!(std::io::stderr(), "SKIP {test}: missing {missing}").expect("standard error");
}

impl Namespace {
    fn new() -> Result<Self, nix::Error> {
        let (jobs, work) = mpsc::channel::<Job>();
        let (ready, made) = mpsc::channel();
        let thread = thread::spawn(move || {
            let outcome = unshare(CloneFlags::CLONE_NEWNET)
                .map(|()| format!("/proc/{}/task/{}/ns/net", std::process::id(), gettid()));
            let entered = outcome.is_ok();
            ready.send(outcome).expect("the test waits");
            if entered {
                work.into_iter().for_each(|job| job());
            }
        });
        let path = made.recv().expect("the thread answers")?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), path })
    }

    /// Runs `work` inside.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, result) = mpsc::channel();
        let job = Box::new(move || drop(sender.send(work())));
        let jobs = self.jobs.as_ref().expect("the namespace lives");
        jobs.send(job).expect("the thread lives");
        result.recv().expect("the work did not panic")
    }

    /// Runs a future inside, on a runtime of its own.
    pub(crate) fn block_on<T, F>(&self, work: impl FnOnce() -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T>,
    {
        self.run(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(work())
        })
    }

    /// Runs `ip` inside.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        self.command("ip", &arguments.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs `nft` inside.
    pub(crate) fn nft(&self, script: &str) -> String {
        self.command("nft", &[script])
    }

    /// Connects the two by a veth pair.
    pub(crate) fn veth(&self, name: &str, other: &Self, other_name: &str) {
        self.ip(&format!("link add {name} type veth peer name {other_name} netns {}", other.path));
        self.ip(&format!("link set {name} up"));
        other.ip(&format!("link set {other_name} up"));
    }

    fn command(&self, program: &'static str, arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        self.run(move || {
            let output = Command::new(program).args(&arguments).output().expect("it starts");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {arguments:?}: {errors}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
