use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    config::Stamp,
    engine::{Context, Kind, Sight, Subject},
    model::Relay,
};

/// The relay of the configuration, as it changes; `None` until there is one with names or webhooks.
pub(super) type Configured = watch::Receiver<Option<Arc<Relay>>>;

/// What reads the configuration, and tells of it.
pub(super) struct Configuration {
    read: Option<Stamp>,
    relay: watch::Sender<Option<Arc<Relay>>>,
}

impl Configuration {
    pub(super) fn new() -> (Self, Configured) {
        let (relay, configured) = watch::channel(None);
        (Self { read: None, relay }, configured)
    }

    /// Reads it if the files have changed, and tells if it has. What an invalid one would change stays
    /// as it was: somebody may be editing it.
    pub(super) async fn follow(&mut self, sight: &mut Sight) {
        let stamp = Stamp::of(&sight.source().config);
        if self.read.as_ref() == Some(&stamp) {
            return;
        }
        match sight.context().await.map(Context::subject) {
            Ok(Subject::Configured(loaded)) => {
                // With thousands of peers it takes megabytes.
                let needed = |relay: &&Relay| relay.names.is_some() || !relay.webhooks.is_empty();
                let relay = Some(&loaded.relay).filter(needed);
                self.relay.send_if_modified(|known| {
                    let is_new = known.as_deref() != relay;
                    if is_new {
                        *known = relay.cloned().map(Arc::new);
                    }
                    is_new
                });
            }
            Ok(Subject::Bare { .. }) => {}
            // Anything but an invalid configuration may be over with the next look.
            Err(error) if error.kind() != Kind::Usage => return,
            Err(_) => {}
        }
        self.read = Some(stamp);
    }
}
