//! The boot clock, and the time of day of a machine that is the lab's own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

use crate::skip::Need;

/// The machine's time of day, to be set. It is what it was, and what passed since, when this is
/// dropped.
#[derive(Debug)]
pub struct MachineClock {
    /// When the machine was booted, by the time of day.
    booted: Duration,
}

impl MachineClock {
    /// The clock of this machine.
    ///
    /// # Errors
    /// The machine is not the lab's own.
    pub fn take() -> Result<Self> {
        let missing = Need::OwnMachine.missing();
        ensure!(missing.is_none(), "the clock of a machine that others use is not to be set");
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        Ok(Self { booted: now.checked_sub(since_boot()?).context("a clock before the epoch")? })
    }

    /// Sets it so far ahead of the true time.
    ///
    /// # Errors
    /// The kernel does not set it.
    pub fn set_ahead(&self, by: Duration) -> Result<()> {
        set(self.booted + since_boot()? + by)
    }

    /// Sets it so far behind the true time.
    ///
    /// # Errors
    /// The kernel does not set it.
    pub fn set_behind(&self, by: Duration) -> Result<()> {
        set((self.booted + since_boot()?).checked_sub(by).context("a time before the epoch")?)
    }
}

impl Drop for MachineClock {
    fn drop(&mut self) {
        drop(self.set_ahead(Duration::ZERO));
    }
}

/// The boot clock.
///
/// # Errors
/// It is negative.
pub fn since_boot() -> Result<Duration> {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Boottime);
    Ok(Duration::new(tv_sec.try_into()?, tv_nsec.try_into()?))
}

fn set(time: Duration) -> Result<()> {
    let time = Timespec { tv_sec: time.as_secs().try_into()?, tv_nsec: time.subsec_nanos().into() };
    clock_settime(ClockId::Realtime, time).context("set the time of day")
}
