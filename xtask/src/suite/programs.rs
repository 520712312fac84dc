//! The test programs that cargo builds, and tiers 1 and 2, which run them on this host.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::libtest::Reader;
use super::{Counts, Plan, Report, Required, Row};
use crate::progress::Step;
use crate::{process, workspace};

/// The package whose integration tests need more than a host: programs in its kernel, or the lab.
const LAB_PACKAGE: &str = "relay-tests";

/// How long one program of the tiers 1 and 2 may take.
const DEADLINE: Duration = Duration::from_secs(900);

/// One test program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    package: String,
    target: String,
    kind: String,
    /// The executable.
    pub(crate) file: PathBuf,
    /// The directory of its package.
    pub(crate) directory: PathBuf,
}

impl Program {
    /// `relay (lib)`, or with the target's name where it has one of its own.
    fn name(&self) -> String {
        let Self { package, target, kind, .. } = self;
        if *package == target.replace('_', "-") {
            format!("{package} ({kind})")
        } else {
            format!("{package} ({kind} {target})")
        }
    }
}

/// Everything that one build made.
#[derive(Debug, Default)]
pub(crate) struct Build {
    tests: Vec<Program>,
    binaries: Vec<(String, PathBuf)>,
}

impl Build {
    /// Builds the whole workspace with its tests: one build, so that no two of them undo each
    /// other's work.
    ///
    /// # Errors
    /// What the compiler said.
    pub(crate) fn all() -> Result<Self> {
        Self::with(&["--workspace", "--lib", "--bins", "--tests"])
    }

    /// Builds what these arguments of `cargo build` say.
    ///
    /// # Errors
    /// What the compiler said.
    pub(crate) fn with(arguments: &[&str]) -> Result<Self> {
        let mut command = workspace::cargo();
        command
            .args(["build", "--message-format", "json-render-diagnostics", "--quiet"])
            .args(arguments);
        let output = command
            .current_dir(workspace::root())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start `{}`", process::describe(&command)))?;
        if !output.status.success() {
            bail!(
                "{}\n`{}` failed",
                String::from_utf8_lossy(&output.stderr).trim_end(),
                process::describe(&command)
            );
        }
        Self::parse(&String::from_utf8_lossy(&output.stdout))
    }

    /// Reads cargo's messages, one JSON object per line.
    fn parse(messages: &str) -> Result<Self> {
        let mut build = Self::default();
        for line in messages.lines().filter(|line| line.starts_with('{')) {
            let message: serde_json::Value =
                serde_json::from_str(line).context("cargo wrote a message that is not JSON")?;
            let (Some("compiler-artifact"), Some(file)) =
                (message["reason"].as_str(), message["executable"].as_str())
            else {
                continue;
            };
            let target = message["target"]["name"].as_str().unwrap_or_default().to_owned();
            if message["profile"]["test"].as_bool() != Some(true) {
                build.binaries.push((target, PathBuf::from(file)));
                continue;
            }
            let manifest = Path::new(message["manifest_path"].as_str().unwrap_or_default());
            let kind = message["target"]["kind"][0].as_str().unwrap_or_default().to_owned();
            build.tests.push(Program {
                package: package_name(message["package_id"].as_str().unwrap_or_default()),
                target,
                kind,
                file: PathBuf::from(file),
                directory: manifest.parent().unwrap_or(manifest).to_path_buf(),
            });
        }
        build.tests.sort_by(|a, b| (&a.package, &a.target).cmp(&(&b.package, &b.target)));
        Ok(build)
    }

    /// A program of this name.
    ///
    /// # Errors
    /// The workspace has none.
    pub(crate) fn binary(&self, name: &str) -> Result<&Path> {
        self.binaries
            .iter()
            .find(|(binary, _)| binary == name)
            .map(|(_, file)| file.as_path())
            .with_context(|| format!("the workspace has no binary {name}"))
    }

    /// The integration test of the lab's package.
    pub(crate) fn lab_test(&self, target: &str) -> Option<&Program> {
        self.tests
            .iter()
            .find(|p| p.kind == "test" && p.package == LAB_PACKAGE && p.target == target)
    }

    /// relay's own tests of links, addresses, peers and the fence, some of which need WireGuard.
    pub(crate) fn network_test(&self) -> Option<&Program> {
        self.tests.iter().find(|p| p.kind == "test" && p.target == "network")
    }

    fn unit_tests(&self) -> impl Iterator<Item = &Program> {
        self.tests.iter().filter(|p| !(p.kind == "test" && p.package == LAB_PACKAGE))
    }

    fn host_tests(&self) -> impl Iterator<Item = &Program> {
        self.tests
            .iter()
            .filter(|p| p.kind == "test" && p.package == LAB_PACKAGE && p.target != "lab")
    }
}

/// `path+file:///checkout/relay#0.1.0` and `path+file:///checkout/tests#relay-tests@0.1.0`.
fn package_name(id: &str) -> String {
    let (place, fragment) = id.rsplit_once('#').unwrap_or((id, ""));
    match fragment.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => place.rsplit('/').next().unwrap_or_default().to_owned(),
    }
}

/// Tier 1: unit and property tests, and integration tests that need nothing of their machine.
pub(super) fn unit(report: &mut Report, build: &Build, plan: &Plan) {
    let started = Instant::now();
    let mut counts = Counts::default();
    for program in build.unit_tests() {
        let name = program.name();
        let what = format!("test: tier 1: {name}");
        let (found, failures) = captured(&what, program, build, &plan.filter, &[]);
        counts += found;
        report.name_failures(&name, &failures);
    }
    let what = "unit and property tests".to_owned();
    report.push(Row { tier: 1, what, counts, took: started.elapsed() });
}

/// Tier 2: what needs a kernel, on the one this host runs; above all the programs themselves.
pub(super) fn on_host(report: &mut Report, required: &Required, build: &Build, plan: &Plan) {
    let release = host_release();
    if build.lab_test("programs").is_none() {
        let what = format!("programs on Linux {release}");
        report.push(required.skip(2, &what, "bpf", "the test target `programs`"));
    }
    for program in build.host_tests() {
        let what = format!("{} on Linux {release}", program.target);
        let started = Instant::now();
        let step = format!("test: tier 2: {what}");
        let (counts, failures) = captured(&step, program, build, &plan.filter, &["--nocapture"]);
        report.name_failures(&what, &failures);
        report.push(Row { tier: 2, what, counts, took: started.elapsed() });
    }
}

/// The command that runs a test program on this host as `cargo test` would.
pub(super) fn command(program: &Program, build: &Build) -> Command {
    let mut command = Command::new(&program.file);
    command.current_dir(&program.directory).env("CARGO_MANIFEST_DIR", &program.directory);
    if let Ok(relay) = build.binary("relay") {
        command.env("RELAY_BIN", relay);
    }
    command
}

/// Runs a test program, keeps what it says, shows it when something failed, and names that.
fn captured(
    what: &str,
    program: &Program,
    build: &Build,
    filter: &[String],
    flags: &[&str],
) -> (Counts, Vec<String>) {
    let step = Step::start(what);
    let mut reader = Reader::default();
    let mut said = String::new();
    let mut skips = Vec::new();
    let outcome =
        process::follow(command(program, build).args(filter).args(flags), DEADLINE, |line| {
            if let Some(skip) = reader.line(line) {
                skips.push(skip.to_owned());
            }
            said += line;
            said.push('\n');
        });
    let failures = reader.failures().to_vec();
    let counts = match &outcome {
        Ok(code) => reader.finish(*code),
        Err(_) => Counts { failed: 1, ..reader.finish(0) },
    };
    let Counts { passed, failed, skipped } = counts;
    step.finish(&format!("{passed} passed, {failed} failed, {skipped} skipped"));
    for skip in skips {
        println!("skip: {skip}");
    }
    if counts.failed > 0 {
        eprintln!("{}", said.trim_end());
    }
    match outcome {
        Err(error) => eprintln!("{error:#}"),
        Ok(code) if code > 128 => eprintln!("{what}: ended by signal {}", code - 128),
        Ok(_) => {}
    }
    (counts, failures)
}

/// The running kernel's release, as `uname -r` prints it.
pub(super) fn host_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "(unknown)".to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_by_their_fragment_or_directory() {
        assert_eq!(package_name("path+file:///c/relay#0.1.0"), "relay");
        assert_eq!(package_name("path+file:///c/tests#relay-tests@0.1.0"), "relay-tests");
    }

    #[test]
    fn tests_are_told_from_binaries() {
        let messages = r#"{"reason":"compiler-artifact","package_id":"path+file:///c/tests#relay-tests@0.1.0","manifest_path":"/c/tests/Cargo.toml","target":{"kind":["test"],"name":"lab"},"profile":{"test":true},"executable":"/t/lab-1"}
{"reason":"compiler-artifact","package_id":"path+file:///c/relay#0.1.0","manifest_path":"/c/relay/Cargo.toml","target":{"kind":["bin"],"name":"relay"},"profile":{"test":false},"executable":"/t/relay"}
{"reason":"compiler-artifact","package_id":"path+file:///c/relay#0.1.0","manifest_path":"/c/relay/Cargo.toml","target":{"kind":["lib"],"name":"relay"},"profile":{"test":true},"executable":"/t/relay-2"}
{"reason":"build-finished","success":true}"#;
        let build = Build::parse(messages).expect("messages");
        assert_eq!(build.binary("relay").expect("built"), Path::new("/t/relay"));
        let lab = build.lab_test("lab").expect("built");
        assert_eq!(
            (lab.file.as_path(), lab.directory.as_path()),
            (Path::new("/t/lab-1"), Path::new("/c/tests"))
        );
        let unit: Vec<_> = build.unit_tests().map(|program| program.file.as_path()).collect();
        assert_eq!(unit, [Path::new("/t/relay-2")]);
    }
}
