//! Running programs, with errors that quote the command line and what it wrote.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// The command line, for messages.
pub fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a command without input and returns its standard output.
///
/// # Errors
/// The program does not start, or fails; then the message quotes its standard error.
pub fn read(command: &mut Command) -> Result<String> {
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
        .with_context(|| format!("`{}` wrote text that is not UTF-8", describe(command)))
}

/// Runs a command without input, passes each line of both streams to `on_line`, and returns the
/// exit code, or 128 plus the number of the signal that ended it.
///
/// # Errors
/// The program does not start, or misses the deadline and is killed.
pub fn follow(
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
    // The command holds a writing end of the pipe, which would keep the reader waiting.
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
            // A process that it left behind may hold the pipe open.
            Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                bail!("stopped `{name}`: it did not finish within {} s", deadline.as_secs())
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

/// A child process, killed on drop.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has already exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether the command exits with 0; its output is discarded.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Finds a program in PATH, or in system directories that are not in every user's PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"].map(Into::into))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// Quotes one word for a POSIX shell.
pub fn quote(word: &str) -> String {
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
            .expect_err("60 s are past the deadline");
        assert!(error.to_string().contains("stopped `sleep 60`"), "{error}");
    }

    #[test]
    fn a_failing_program_is_named_with_its_words() {
        let error = read(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]))
            .expect_err("the shell ends with 3");
        let text = error.to_string();
        assert!(text.contains("exit 3") && text.contains("broken"), "{text}");
    }
}
