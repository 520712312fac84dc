//! Standard output and standard error, which may be closed.

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal as _, Write},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, fdatasync, fstat, stat},
    io::ioctl_fionread,
};
use serde::Serialize;

use crate::engine::Result;

/// How long a secret waits for its reader.
const READING: Duration = Duration::from_secs(2);

/// Whether to colour standard output: as `WG_COLOR_MODE` or `NO_COLOR` say, else on a terminal.
pub(super) fn color() -> bool {
    match env::var("WG_COLOR_MODE").as_deref() {
        Ok("always") => true,
        Ok("never") => false,
        Ok(_) | Err(_) => env::var_os("NO_COLOR").is_none() && io::stdout().is_terminal(),
    }
}

/// Prints warnings to standard error, a line each.
pub(super) fn warn(warnings: &[impl Display]) {
    for warning in warnings {
        say(format_args!("warning: {warning}"));
    }
}

/// Prints a line to standard error, unless it is closed.
pub(super) fn say(line: impl Display) {
    drop(writeln!(io::stderr(), "{line}"));
}

/// Prints that another command holds a lock.
pub(super) fn notice(line: &str) {
    say(line);
}

/// Standard output for a verb that does more than print: once its reader closes it, the rest of the
/// text is discarded, and the verb finishes with the exit code that it would have had.
pub(super) fn stdout() -> Stdout {
    Stdout { is_closed: false }
}

/// See [`stdout`].
#[derive(Debug)]
pub(super) struct Stdout {
    is_closed: bool,
}

impl Stdout {
    fn unless_closed<T>(&mut self, done: io::Result<T>, instead: T) -> io::Result<T> {
        done.or_else(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                self.is_closed = true;
                return Ok(instead);
            }
            let text = format!("cannot write to standard output: {error}");
            Err(io::Error::new(error.kind(), text))
        })
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_closed {
            return Ok(bytes.len());
        }
        let done = io::stdout().write(bytes);
        self.unless_closed(done, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let done = io::stdout().flush();
        self.unless_closed(done, ())
    }
}

/// Standard error; once it is closed, text is discarded.
#[derive(Debug)]
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        drop(io::stderr().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Delivers a secret that exists nowhere else: it is written to the end, and a pipe's reader has
/// read it.
///
/// # Errors
/// It was not delivered.
pub(super) fn deliver(secret: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(secret)?;
    out.flush()?;
    match kind() {
        Some(FileType::RegularFile) => fdatasync(&out)?,
        Some(FileType::Fifo) => drained(&out)?,
        Some(_) | None => {}
    }
    Ok(())
}

/// Checks that a secret on standard output would have a reader.
///
/// # Errors
/// Standard output is closed or /dev/null.
pub(super) fn require_reader() -> io::Result<()> {
    // Rust opens /dev/null in place of a closed descriptor.
    let null = stat("/dev/null").map(|null| null.st_rdev);
    let leads_nowhere = fstat(io::stdout()).is_ok_and(|out| {
        FileType::from_raw_mode(out.st_mode) == FileType::CharacterDevice && null == Ok(out.st_rdev)
    });
    match kind() {
        Some(_) if !leads_nowhere => Ok(()),
        Some(_) | None => {
            Err(io::Error::new(io::ErrorKind::NotFound, "it is closed or leads to /dev/null"))
        }
    }
}

/// The type of standard output; `None` if it is closed.
fn kind() -> Option<FileType> {
    fstat(io::stdout()).ok().map(|stat| FileType::from_raw_mode(stat.st_mode))
}

/// Waits a limited time until a pipe is read to its end: a pager reads when its user scrolls.
fn drained(out: &impl AsFd) -> io::Result<()> {
    let end = Instant::now() + READING;
    loop {
        if ioctl_fionread(out)? == 0 || Instant::now() > end {
            return Ok(());
        }
        // Without events, poll reports only that the reader has closed the pipe.
        let mut look = [PollFd::new(out, PollFlags::empty())];
        let step = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        poll(&mut look, Some(&step))?;
        if look[0].revents().intersects(PollFlags::ERR) && ioctl_fionread(out)? > 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
    }
}

/// Prints a value as one JSON object.
pub(super) fn json(out: &mut (impl Write + ?Sized), value: &impl Serialize) -> Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    Ok(writeln!(out)?)
}

/// Warns, as `wg genkey` does, that others can read the file that a secret is written to.
pub(super) fn warn_if_open() {
    let is_open = fstat(io::stdout()).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_mode & 0o077 != 0
    });
    if is_open {
        warn(&["others can read the file that this is written to; use umask 077"]);
    }
}
