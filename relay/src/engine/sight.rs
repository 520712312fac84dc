use std::path::PathBuf;

use super::{Context, Event, EventReader, Notice, Result, Site, stats};
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

    /// What has happened since the last call with this reader.
    pub async fn events(&mut self, reader: &mut EventReader) -> Vec<Event> {
        let read = match self.context().await {
            Ok(context) => reader.read(context).await,
            Err(error) => Err(error),
        };
        read.unwrap_or_else(|error| {
            let interface = self.source.interface.as_ref();
            reader.gone(interface.map_or("", |interface| interface.as_str()), &error)
        })
    }
}
