//! What keepalived tells of the address that peers dial.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use tokio::net::unix::pipe::Receiver;

use super::super::lock::DIRECTORY;
use crate::model::InterfaceName;

/// Longest line that is waited for.
const LONGEST_LINE: usize = 4096;

/// The FIFO into which keepalived writes a line for each change of a VRRP instance
/// (`vrrp_notify_fifo`, keepalived.conf(5)). The instance that counts has the name of the relay's
/// interface.
pub(super) struct Notices {
    path: PathBuf,
    instance: String,
    opened: Option<Opened>,
}

/// The FIFO of one run of keepalived.
struct Opened {
    receiver: Receiver,
    file: (u64, u64),
    /// A line of which the end is still to come.
    begun: Vec<u8>,
}

impl Notices {
    /// Those about a relay's interface.
    pub(super) fn of(interface: &InterfaceName) -> Self {
        Self::at(&Path::new(DIRECTORY).join(format!("{interface}.vrrp")), interface.as_str())
    }

    fn at(path: &Path, instance: &str) -> Self {
        Self { path: path.to_owned(), instance: instance.to_owned(), opened: None }
    }

    /// Opens the FIFO that there is now, which keepalived makes when it starts. What was written before
    /// is forgotten: keepalived runs `relay takeover`, too.
    ///
    /// # Errors
    /// It cannot be opened, or is no FIFO.
    pub(super) fn follow(&mut self) -> io::Result<()> {
        let found = match fs::symlink_metadata(&self.path) {
            Ok(found) => Some((found.dev(), found.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if found == self.opened.as_ref().map(|opened| opened.file) {
            return Ok(());
        }
        self.opened = None;
        if let Some(file) = found {
            // For writing, too: without a writer it would be at its end.
            let mut options = File::options();
            options.read(true).write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
            let mut opened = options.open(&self.path)?;
            let mut before = [0; LONGEST_LINE];
            while opened.read(&mut before).is_ok_and(|len| len > 0) {}
            let receiver = Receiver::from_file(opened)?;
            self.opened = Some(Opened { receiver, file, begun: Vec::new() });
        }
        Ok(())
    }

    /// Waits until this host has got the address; for ever without a FIFO. May be dropped and called
    /// again.
    pub(super) async fn master(&mut self) {
        let Some(opened) = &mut self.opened else { return std::future::pending().await };
        loop {
            if opened.read().await.is_err() {
                self.opened = None;
                return std::future::pending().await;
            }
            let lines = opened.lines();
            if lines.iter().any(|line| is_master(line, &self.instance)) {
                return;
            }
        }
    }
}

impl Opened {
    async fn read(&mut self) -> io::Result<()> {
        let mut some = [0; LONGEST_LINE];
        self.receiver.readable().await?;
        match self.receiver.try_read(&mut some) {
            Ok(len) => self.begun.extend_from_slice(&some[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The lines that have come.
    fn lines(&mut self) -> Vec<String> {
        let end = self.begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let whole: Vec<u8> = self.begun.drain(..end).collect();
        if self.begun.len() > LONGEST_LINE {
            self.begun.clear();
        }
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }
}

/// Whether a line such as `INSTANCE "relay0" MASTER 200` says that this instance is the master now.
fn is_master(line: &str, instance: &str) -> bool {
    let rest = line.strip_prefix("INSTANCE \"").and_then(|rest| rest.strip_prefix(instance));
    rest.and_then(|rest| rest.strip_prefix("\" "))
        .is_some_and(|rest| rest.split(' ').next() == Some("MASTER"))
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, task::Poll, time::Duration};

    use rustix::fs::{CWD, Mode, mkfifoat};
    use tokio::time::timeout;

    use super::*;

    /// Longer than a busy machine takes.
    const DEADLINE: Duration = Duration::from_secs(60);

    #[test]
    fn the_instance_of_the_interface_has_to_become_the_master() {
        let is_one = |line| is_master(line, "relay0");
        assert!(is_one("INSTANCE \"relay0\" MASTER 200"));
        assert!(is_one("INSTANCE \"relay0\" MASTER"));
        for other in [
            "INSTANCE \"relay0\" BACKUP 200",
            "INSTANCE \"relay0\" FAULT 200",
            "INSTANCE \"relay0\" MASTER_RX_LOWER_PRI 200",
            "INSTANCE \"relay01\" MASTER 200",
            "INSTANCE \"lan\" MASTER 200",
            "GROUP \"relay0\" MASTER 200",
            "MASTER",
            "",
        ] {
            assert!(!is_one(other), "{other}");
        }
    }

    #[tokio::test]
    async fn a_line_counts_once_it_is_whole_and_one_from_before_does_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("relay0.vrrp");
        let make = || mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("a FIFO");
        let open = || fs::File::options().read(true).write(true).open(&path).expect("the FIFO");
        let master = b"INSTANCE \"relay0\" MASTER 200\n";
        let mut notices = Notices::at(&path, "relay0");
        notices.follow().expect("none yet");
        assert!(is_silent(&mut notices).await);

        make();
        let mut keepalived = open();
        keepalived.write_all(master).expect("written");
        notices.follow().expect("opened");
        assert!(is_silent(&mut notices).await);
        let (first, second) = master.split_at(12);
        keepalived.write_all(b"INSTANCE \"relay0\" BACKUP 200\n").expect("written");
        keepalived.write_all(first).expect("written");
        assert!(is_silent(&mut notices).await);
        keepalived.write_all(second).expect("written");
        timeout(DEADLINE, notices.master()).await.expect("a notice");

        // keepalived starts again.
        fs::remove_file(&path).expect("removed");
        make();
        notices.follow().expect("opened");
        open().write_all(master).expect("written");
        timeout(DEADLINE, notices.master()).await.expect("a notice of the next");

        fs::remove_file(&path).expect("removed");
        fs::write(&path, "").expect("a file");
        notices.follow().expect_err("it is no FIFO");
    }

    /// Whether nothing counts of what has been written.
    async fn is_silent(notices: &mut Notices) -> bool {
        let mut master = std::pin::pin!(notices.master());
        for _ in 0..100 {
            tokio::task::yield_now().await;
            let polled = std::future::poll_fn(|context| {
                Poll::Ready(master.as_mut().poll(context).is_pending())
            });
            if !polled.await {
                return false;
            }
        }
        true
    }
}
