use std::{path::PathBuf, sync::Arc, time::SystemTime};

use super::{Context, Event, EventReader, Look, Notice, Result, Site, stats};
use crate::{config::Stamp, model::InterfaceName, stats::Snapshot};

/// One relay, looked at for as long as a process runs: its files may change meanwhile, and it may go
/// and come again.
pub struct Sight {
    source: Source,
    /// What was opened last, and the files it was opened by.
    opened: Option<(Stamp, Context)>,
}

/// The relay that is looked at, and its files.
#[derive(Debug, Clone)]
pub struct Source {
    /// The main configuration file.
    pub config: PathBuf,
    /// The BPF file system.
    pub bpffs: PathBuf,
    /// The directory of what outlives a reboot.
    pub state: PathBuf,
    /// The interface, if it is not that of the configuration.
    pub interface: Option<InterfaceName>,
    /// The verb that looks.
    pub verb: &'static str,
    /// Prints a line for whoever waits.
    pub notice: Notice,
}

impl Sight {
    /// Opens nothing yet.
    pub const fn new(source: Source) -> Self {
        Self { source, opened: None }
    }

    /// The relay, by its files as they are now. Reads them only if they have changed.
    ///
    /// # Errors
    /// As [`Context::look`].
    pub async fn context(&mut self) -> Result<&Context> {
        let stamp = Stamp::of(&self.source.config);
        let opened = match self.opened.take() {
            Some(opened) if opened.0 == stamp => opened,
            _ => {
                let interface = self.source.interface.as_ref();
                (stamp, Context::look(self.site(), interface).await?)
            }
        };
        Ok(&self.opened.insert(opened).1)
    }

    /// Its files, for what reads them by itself.
    pub fn site(&self) -> Site<'_> {
        let Source { config, bpffs, state, verb, notice, .. } = &self.source;
        Site { config, bpffs, state, verb, notice: *notice }
    }

    /// What it was made for.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Its counters now.
    ///
    /// # Errors
    /// As [`stats::snapshot`].
    pub async fn snapshot(&mut self) -> Result<Snapshot> {
        stats::snapshot(self.context().await?).await
    }

    /// The same with its time, to be shared.
    ///
    /// # Errors
    /// As [`stats::snapshot`].
    pub async fn look(&mut self) -> Result<Arc<Look>> {
        let at = SystemTime::now();
        Ok(Arc::new(Look { at, snapshot: self.snapshot().await? }))
    }

    /// What has happened up to this look since the last one with this reader.
    pub async fn events(
        &mut self,
        reader: &mut EventReader,
        look: &Result<Arc<Look>>,
    ) -> Vec<Event> {
        let gone = match (self.context().await, look) {
            (Ok(context), Ok(look)) => match reader.read(context, look) {
                Ok(events) => return events,
                Err(error) => reader.gone(context.relay().interface.as_str(), &error),
            },
            (Ok(context), Err(error)) => reader.gone(context.relay().interface.as_str(), error),
            (Err(error), _) => {
                let interface = self.source.interface.as_ref();
                reader.gone(interface.map_or("", |interface| interface.as_str()), &error)
            }
        };
        gone.into_iter().collect()
    }
}
