use std::path::PathBuf;

use crate::{
    engine::{self, Result, Sight},
    history::Store,
};

/// The history that the server keeps.
#[derive(Default)]
pub(super) struct Recording {
    store: Option<(PathBuf, Store)>,
    /// Why the latest sample was not recorded, if it was not.
    told: Option<String>,
}

impl Recording {
    /// Records the counters as they are now. What fails is said once, and tried again with the next
    /// sample, which has the counts of this one, too.
    pub(super) async fn record(&mut self, sight: &mut Sight) {
        let failed = self.sample(sight).await.err().map(|error| error.chain());
        if let Some(why) = failed.as_ref().filter(|why| self.told.as_ref() != Some(*why)) {
            (sight.site().notice)(&format!("history: not recorded: {why}"));
        }
        self.told = failed;
    }

    async fn sample(&mut self, sight: &mut Sight) -> Result<()> {
        let state = sight.site().state.to_owned();
        let context = sight.context().await?;
        let path = engine::history_path(&state, &context.relay().interface);
        let sample = engine::sample(context)?;
        let mut store = match self.store.take() {
            Some((known, store)) if known == path => store,
            Some(_) | None => Store::open(&path)?,
        };
        // One that fails is opened anew.
        store.record(&sample)?;
        if let Some(notice) = store.notice() {
            (sight.site().notice)(&notice);
        }
        self.store = Some((path, store));
        Ok(())
    }
}
