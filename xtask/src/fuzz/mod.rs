//! The fuzzer of tests/fuzz: built, run target by target, and what it did.

mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use relay_vm::progress::{self, Step};
use relay_vm::{process, workspace};

pub(crate) use self::report::Report;
use self::report::{Outcome, Output, Row};

/// What cargo runs in place of rustc.
const WRAPPER: &str = "tests/fuzz/rustc.sh";
/// Its inputs in the checkout.
const CORPUS: &str = "tests/fuzz/corpus";
/// The variable that names the target.
const TARGET: &str = "RELAY_FUZZ_TARGET";
/// The exit code if the machine lacks what the target needs.
const LACKS: i32 = 3;

/// Time in which one input is taken, seconds, and memory, MiB.
const TIMEOUT: u64 = 30;
const MEMORY: u64 = 2048;
/// Time beside that of the run: to read the corpus, and to end.
const MORE: Duration = Duration::from_secs(300);
/// Between two lines of progress.
const BETWEEN: Duration = Duration::from_secs(10);

/// The fuzzer, and the targets that were asked for.
pub(crate) struct Fuzzer {
    program: PathBuf,
    targets: Vec<String>,
}

impl Fuzzer {
    /// Builds it for these targets, or for all.
    ///
    /// # Errors
    /// There is no such target, or the build failed.
    pub(crate) fn build(named: &[String]) -> Result<Self> {
        let all = targets()?;
        if let Some(unknown) = named.iter().find(|name| !all.contains(name)) {
            bail!("there is no target {unknown}; there are {}", all.join(", "));
        }
        let targets = if named.is_empty() { all } else { named.to_vec() };
        let step = Step::start("fuzz: building");
        let mut command = workspace::cargo();
        command.args(["build", "--quiet", "--package", "relay-fuzz", "--features", "fuzzer"]);
        command.args(["--bin", "fuzz"]).current_dir(workspace::root());
        command.env("RUSTC_WORKSPACE_WRAPPER", workspace::root().join(WRAPPER));
        let built = process::read(&mut command);
        step.finish(if built.is_ok() { "done" } else { "failed" });
        built?;
        Ok(Self { program: workspace::target().join("debug/fuzz"), targets })
    }

    /// Runs each target for this time.
    ///
    /// # Errors
    /// The fuzzer does not start, or a directory cannot be made or read.
    pub(crate) fn run(&self, time: Duration, keep: bool) -> Result<Report> {
        let mut report = Report::default();
        for target in &self.targets {
            let directory = Directories::of(target)?;
            report.push(self.run_one(target, &directory, time)?);
            if keep {
                self.keep(target, &directory)?;
            }
        }
        Ok(report)
    }

    /// Gives a target one input. Whether it was taken.
    ///
    /// # Errors
    /// Not one target was named, or the fuzzer does not start.
    pub(crate) fn repeat(&self, input: &Path) -> Result<bool> {
        let [target] = &self.targets[..] else { bail!("name the one target of the input") };
        let mut command = self.command(target);
        let input = std::path::absolute(input).context("cannot find the input")?;
        command.env("RUST_BACKTRACE", "1").arg(input);
        Ok(process::follow(&mut command, MORE, |line| println!("{line}"))? == 0)
    }

    fn run_one(&self, target: &str, directory: &Directories, time: Duration) -> Result<Row> {
        let Directories { kept, found, crashes } = directory;
        let before = count(found)?;
        let mut step = Step::start(format!("fuzz: {target}"));
        let mut command = self.command(target);
        command.arg(found).arg(kept).args([
            format!("-artifact_prefix={}/", crashes.display()),
            format!("-max_total_time={}", time.as_secs()),
            format!("-timeout={TIMEOUT}"),
            format!("-rss_limit_mb={MEMORY}"),
            "-print_final_stats=1".to_owned(),
        ]);
        let mut output = Output::default();
        let mut shown = Instant::now();
        let code = process::follow(&mut command, time + MORE, |line| {
            output.line(line);
            if let Some(executions) = output.executions()
                && shown.elapsed() >= BETWEEN
            {
                step.show(&format!("fuzz: {target}: {executions} executions"));
                shown = Instant::now();
            }
        })?;
        let outcome = match code {
            0 => Outcome::Passed,
            LACKS => Outcome::Skipped(output.last().to_owned()),
            _ => Outcome::Crashed,
        };
        step.finish(outcome.word());
        if let Outcome::Skipped(missing) = &outcome {
            println!("skip: {target}: {missing}");
        }
        if let Outcome::Crashed = outcome {
            progress::say(output.text().trim_end());
            match output.input() {
                Some(input) => progress::say(&format!(
                    "{target}: the input is {input}; run it again with `cargo xtask fuzz {target} --input \
                     {input}`. Once it passes, move it to {CORPUS}/{target}, where tests replay it"
                )),
                None => progress::say(&format!(
                    "{target}: ended with exit code {code}, without an input"
                )),
            }
        }
        let new = count(found)?.saturating_sub(before);
        Ok(Row {
            target: target.to_owned(),
            executions: output.executions(),
            rate: output.rate(),
            new,
            outcome,
        })
    }

    /// Adds to the checkout's inputs those of which each takes a way that the others do not.
    fn keep(&self, target: &str, directory: &Directories) -> Result<()> {
        let before = count(&directory.kept)?;
        let step = Step::start(format!("fuzz: {target}: keeping what is new"));
        let mut command = self.command(target);
        command.arg("-merge=1").arg(&directory.kept).arg(&directory.found);
        let code = process::follow(&mut command, MORE, |_| {});
        let added = count(&directory.kept)?.saturating_sub(before);
        step.finish(&format!("{added} more"));
        match code? {
            0 | LACKS => Ok(()),
            code => bail!("the merge of {target} ended with exit code {code}"),
        }
    }

    fn command(&self, target: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.env(TARGET, target).current_dir(workspace::root());
        command
    }
}

/// Where the inputs of a target are.
struct Directories {
    /// In the checkout.
    kept: PathBuf,
    /// What was found, run after run.
    found: PathBuf,
    /// What did not pass.
    crashes: PathBuf,
}

impl Directories {
    /// Makes those outside the checkout.
    fn of(target: &str) -> Result<Self> {
        let made = |kind: &str| {
            let directory = workspace::target().join("fuzz").join(kind).join(target);
            fs::create_dir_all(&directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
            anyhow::Ok(directory)
        };
        let kept = workspace::root().join(CORPUS).join(target);
        Ok(Self { kept, found: made("corpus")?, crashes: made("crashes")? })
    }
}

/// The names of the directories with inputs.
fn targets() -> Result<Vec<String>> {
    let directory = workspace::root().join(CORPUS);
    let mut names = Vec::new();
    for entry in entries(&directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn count(directory: &Path) -> Result<usize> {
    Ok(entries(directory)?.count())
}

fn entries(directory: &Path) -> Result<fs::ReadDir> {
    fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))
}
