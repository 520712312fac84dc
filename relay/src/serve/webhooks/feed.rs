use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use crate::{
    config::Stamp,
    engine::{Event, Kind, Sight, Subject},
    model::Webhook,
};

/// What webhooks are told, and which there are.
pub(in crate::serve) struct Feed {
    pub(in crate::serve) events: broadcast::Sender<Arc<Event>>,
    pub(in crate::serve) configured: watch::Receiver<Vec<Webhook>>,
}

/// The webhooks of the configuration, as it changes.
pub(in crate::serve) struct Configured {
    read: Option<Stamp>,
    webhooks: watch::Sender<Vec<Webhook>>,
}

impl Configured {
    pub(in crate::serve) const fn new(webhooks: watch::Sender<Vec<Webhook>>) -> Self {
        Self { read: None, webhooks }
    }

    /// Reads them if the files have changed. Those of an invalid configuration are what they were.
    pub(in crate::serve) async fn follow(&mut self, sight: &mut Sight) {
        let stamp = Stamp::of(&sight.source().config);
        if self.read.as_ref() == Some(&stamp) {
            return;
        }
        match sight.context().await.map(|context| context.subject()) {
            Ok(Subject::Configured(loaded)) => {
                self.webhooks.send_replace(loaded.relay.webhooks.clone());
            }
            Ok(Subject::Bare { .. }) => {}
            // Anything but an invalid configuration may be over with the next look.
            Err(error) if error.kind() != Kind::Usage => return,
            Err(_) => {}
        }
        self.read = Some(stamp);
    }
}
