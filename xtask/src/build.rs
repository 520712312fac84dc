//! Runs `cargo build` and finds the executables.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::Message;
use relay_vm::{Architecture, process, workspace};

use crate::setup::target;

/// The executables of one build.
#[derive(Debug, Default)]
pub(crate) struct Build {
    /// Test executables, sorted by package and target.
    pub(crate) tests: Vec<TestProgram>,
    binaries: Vec<(String, PathBuf)>,
}

/// A test executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestProgram {
    pub(crate) package: String,
    pub(crate) target: String,
    /// `lib`, `bin` or `test`.
    pub(crate) kind: String,
    pub(crate) file: PathBuf,
    /// The directory of its package, where it runs.
    pub(crate) directory: PathBuf,
}

impl Build {
    /// Builds the workspace with its tests. One build, as builds with different features would replace
    /// each other's artifacts.
    ///
    /// # Errors
    /// A build failed.
    pub(crate) fn all() -> Result<Self> {
        Self::with(&["--workspace", "--lib", "--bins", "--tests"])
    }

    /// Runs `cargo build` with these arguments.
    ///
    /// # Errors
    /// The build failed.
    pub(crate) fn with(arguments: &[&str]) -> Result<Self> {
        Self::run(workspace::cargo(), arguments)
    }

    /// Runs `cargo build` with these arguments, for static binaries of this architecture.
    ///
    /// # Errors
    /// The build failed, or the architecture's C compiler does not run.
    pub(crate) fn of_target(architecture: Architecture, arguments: &[&str]) -> Result<Self> {
        let mut command = workspace::cargo();
        command.envs(target::environment(architecture)?);
        let target = architecture.target();
        Self::run(command, &[arguments, &["--target", &target]].concat())
    }

    fn run(mut command: Command, arguments: &[&str]) -> Result<Self> {
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
        Self::parse(&output.stdout)
    }

    fn parse(messages: &[u8]) -> Result<Self> {
        let mut build = Self::default();
        for message in Message::parse_stream(messages) {
            let message = message.context("cannot read the output of `cargo build`")?;
            let Message::CompilerArtifact(artifact) = message else { continue };
            let Some(file) = artifact.executable else { continue };
            let (target, file) = (artifact.target.name, file.into_std_path_buf());
            if !artifact.profile.test {
                build.binaries.push((target, file));
                continue;
            }
            let directory =
                artifact.manifest_path.parent().context("a manifest has a directory")?;
            build.tests.push(TestProgram {
                package: package_name(&artifact.package_id.repr),
                target,
                kind: artifact.target.kind.first().map_or_else(String::new, ToString::to_string),
                file,
                directory: directory.as_std_path().to_owned(),
            });
        }
        build.tests.sort_by(|a, b| (&a.package, &a.target).cmp(&(&b.package, &b.target)));
        Ok(build)
    }

    /// # Errors
    /// The build made no such binary.
    pub(crate) fn binary(&self, name: &str) -> Result<&Path> {
        self.binaries
            .iter()
            .find(|(binary, _)| binary == name)
            .map(|(_, file)| file.as_path())
            .with_context(|| format!("the build made no binary {name}"))
    }
}

impl TestProgram {
    /// `relay (lib)`, or `relay (test show)` if the target has another name than the package.
    pub(crate) fn name(&self) -> String {
        let Self { package, target, kind, .. } = self;
        if *package == target.replace('_', "-") {
            format!("{package} ({kind})")
        } else {
            format!("{package} ({kind} {target})")
        }
    }
}

/// Parses `path+file:///checkout/relay#0.1.0` and `path+file:///checkout/tests#relay-tests@0.1.0`.
fn package_name(id: &str) -> String {
    let (path, fragment) = id.rsplit_once('#').unwrap_or((id, ""));
    match fragment.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => path.rsplit('/').next().unwrap_or_default().to_owned(),
    }
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
    fn tests_and_binaries_are_distinguished() {
        let artifact = |package: &str, kind: &str, target: &str, test: bool, file: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"path+file:///c/{package}#0.1.0","manifest_path":"/c/{package}/Cargo.toml","target":{{"kind":["{kind}"],"crate_types":["bin"],"name":"{target}","src_path":"/c/s.rs","edition":"2024","doctest":false,"test":true,"doc":true}},"profile":{{"opt_level":"0","debuginfo":0,"debug_assertions":true,"overflow_checks":true,"test":{test}}},"features":[],"filenames":[],"executable":"{file}","fresh":true}}"#
            )
        };
        let messages = [
            artifact("tests", "test", "lab", true, "/t/lab-1"),
            artifact("relay", "bin", "relay", false, "/t/relay"),
            artifact("relay", "lib", "relay", true, "/t/relay-2"),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        let build = Build::parse(messages.join("\n").as_bytes()).expect("valid messages");
        assert_eq!(build.binary("relay").expect("was built"), Path::new("/t/relay"));
        let names: Vec<_> = build.tests.iter().map(TestProgram::name).collect();
        assert_eq!(names, ["relay (lib)", "tests (test lab)"]);
        let lab = &build.tests[1];
        assert_eq!(
            (lab.file.as_path(), lab.directory.as_path()),
            (Path::new("/t/lab-1"), Path::new("/c/tests"))
        );
    }
}
