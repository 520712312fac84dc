//! Where text goes and how it looks there.

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

use crate::model::InterfaceName;

/// How long the reader of a secret may take.
const READING: Duration = Duration::from_secs(2);

/// Whether standard output takes colour: `WG_COLOR_MODE` and `NO_COLOR` before the terminal.
pub(super) fn color() -> bool {
    match env::var("WG_COLOR_MODE").as_deref() {
        Ok("always") => true,
        Ok("never") => false,
        Ok(_) | Err(_) => env::var_os("NO_COLOR").is_none() && io::stdout().is_terminal(),
    }
}

/// Warnings, a line each, on standard error.
pub(super) fn warn(warnings: &[impl Display]) {
    for warning in warnings {
        say(format_args!("warning: {warning}"));
    }
}

/// A line on standard error. Nobody can be told that nobody can be told.
pub(super) fn say(line: impl Display) {
    drop(writeln!(io::stderr(), "{line}"));
}

/// Standard output for what a verb has to say besides what it does: when nobody reads it any more,
/// the rest is dropped, and the verb goes on and ends with the exit code that it would have had.
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
            let said = format!("cannot write to standard output: {error}");
            Err(io::Error::new(error.kind(), said))
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

/// Standard error, which tells what it can.
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

/// Hands a secret over that exists nowhere else: it is written, and whoever reads it was there to
/// the end.
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

/// That a secret given to standard output would reach somebody.
///
/// # Errors
/// It is closed, or leads nowhere.
pub(super) fn require_reader() -> io::Result<()> {
    // Rust opens /dev/null in the place of a descriptor that is closed.
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

/// What standard output is; `None` when it is closed.
fn kind() -> Option<FileType> {
    fstat(io::stdout()).ok().map(|stat| FileType::from_raw_mode(stat.st_mode))
}

/// Waits until a pipe is read to its end, or for a moment: a pager takes its time.
fn drained(out: &impl AsFd) -> io::Result<()> {
    let end = Instant::now() + READING;
    loop {
        if ioctl_fionread(out)? == 0 || Instant::now() > end {
            return Ok(());
        }
        // Without an event to wait for, only the end of the reader is told.
        let mut look = [PollFd::new(out, PollFlags::empty())];
        let step = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        poll(&mut look, Some(&step))?;
        if look[0].revents().intersects(PollFlags::ERR) && ioctl_fionread(out)? > 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
    }
}

/// What a verb changed, or would change: its JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changes<'a> {
    schema_version: u32,
    interface: &'a str,
    changed: bool,
    dry_run: bool,
    changes: &'a [String],
    warnings: &'a [String],
}

impl<'a> Changes<'a> {
    pub(super) fn new(
        interface: &'a InterfaceName,
        dry_run: bool,
        changes: &'a [String],
        warnings: &'a [String],
    ) -> Self {
        let (interface, changed) = (interface.as_str(), !changes.is_empty());
        Self { schema_version: 1, interface, changed, dry_run, changes, warnings }
    }

    pub(super) fn print(&self, out: &mut (impl io::Write + ?Sized)) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }
}

/// Warns, as `wg genkey` does, when a secret goes to a file that everybody can read.
pub(super) fn warn_if_open() {
    let is_open = fstat(io::stdout()).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_mode & 0o077 != 0
    });
    if is_open {
        warn(&["others can read the file that this is written to; set the umask to 077"]);
    }
}
