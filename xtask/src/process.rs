//! Running other programs, with errors that name the program and what it said.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// The command line as a person would type it, for messages.
pub(crate) fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs to the end without input and returns what was written to standard output.
///
/// # Errors
/// The program cannot be started, or ends with another code than 0; then the message holds its
/// standard error.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", describe(command)))?;
    if !output.status.success() {
        bail!(
            "`{}` failed with {}: {}",
            describe(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` wrote something that is not UTF-8", describe(command)))
}

/// Runs without input, hands every line of both streams to `on_line` as it comes, and returns the
/// exit code; a signal counts as 128 and its number.
///
/// # Errors
/// The program cannot be started, or is not done at the deadline; then it is ended.
pub(crate) fn follow(
    command: &mut Command,
    deadline: Duration,
    mut on_line: impl FnMut(&str),
) -> Result<i32> {
    use std::os::unix::process::ExitStatusExt as _;
    let started = Instant::now();
    let name = describe(command);
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    command.stdin(Stdio::null()).stderr(writer.try_clone()?).stdout(writer);
    let mut child = Running(command.spawn().with_context(|| format!("cannot start `{name}`"))?);
    // The command holds the pipe's other end; the reader would wait for it for ever.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line);
            if sender.send(text.trim_end_matches(['\r', '\n']).to_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    loop {
        let left = deadline.saturating_sub(started.elapsed());
        match lines.recv_timeout(left.min(Duration::from_millis(200))) {
            Ok(line) => on_line(&line),
            // What it left running may hold the pipe open: its own end is the end.
            Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                bail!("`{name}` was stopped: it was not done after {} s", deadline.as_secs())
            }
            Err(RecvTimeoutError::Timeout) => {
                if child.0.try_wait().context("cannot wait for a program")?.is_some() {
                    break;
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.0.wait().with_context(|| format!("cannot wait for `{name}`"))?;
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

/// A program that does not outlive the interest in it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether the command runs and ends with 0; what it writes is of no interest.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Finds a program in PATH or in the system directories that a plain user's PATH lacks.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"].map(Into::into))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// Quotes one word for a POSIX shell.
pub(crate) fn quote(word: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '=' | ',');
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_only_what_a_shell_would_touch() {
        assert_eq!(quote("--kernel=6.1"), "--kernel=6.1");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn both_streams_are_followed_and_the_code_comes_back() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; printf last; exit 4"]);
        let code =
            follow(&mut command, Duration::from_secs(30), |line| lines.push(line.to_owned()))
                .expect("the shell is there");
        assert_eq!(
            (code, lines.as_slice()),
            (4, ["out", "err", "last"].map(String::from).as_slice())
        );
    }

    #[test]
    fn a_program_past_its_deadline_is_ended() {
        let mut command = Command::new("sleep");
        let error = follow(command.arg("60"), Duration::from_millis(50), |_| ())
            .expect_err("it sleeps longer");
        assert!(error.to_string().contains("`sleep 60` was stopped"), "{error}");
    }

    #[test]
    fn a_failing_program_is_named_with_its_words() {
        let error = read(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]))
            .expect_err("the shell ends with 3");
        let text = error.to_string();
        assert!(text.contains("exit 3") && text.contains("broken"), "{text}");
    }
}
