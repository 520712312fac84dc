use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    message::{Ids, Message},
    post::{Answer, Client, Post as _},
};
use crate::{
    config::{self, Options},
    engine::{self, Classified, Event, Kind, Result},
    model::WebhookName,
};

/// What the receiver of a webhook answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Scheme, host and port.
    pub url: String,
    /// The status, such as `204 No Content`.
    pub status: String,
    /// Whether that is success.
    pub is_delivered: bool,
    /// How long it took.
    pub took: Duration,
}

/// No webhook has this name.
#[derive(Debug, thiserror::Error)]
#[error("{file}: found no webhook {name}, expected one of {known}; add a [[webhook]]")]
pub struct UnknownWebhook {
    /// The name.
    name: WebhookName,
    /// The configuration.
    file: PathBuf,
    /// Names that there are.
    known: String,
}

impl Classified for UnknownWebhook {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// Sends an event of type `test` to a webhook of a configuration, once.
///
/// # Errors
/// The configuration is invalid, no webhook has this name, or its receiver does not answer.
pub fn try_webhook(config: &Path, name: &WebhookName) -> Result<Tried> {
    let relay = config::load(config, Options { allow_empty: true })?.relay;
    let Some(webhook) = relay.webhooks.iter().find(|webhook| webhook.name == *name) else {
        let known: Vec<_> = relay.webhooks.iter().map(|webhook| webhook.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(UnknownWebhook { name: name.clone(), file: config.to_owned(), known }.into());
    };
    let event = Arc::new(Event::test(relay.interface.as_str()));
    let message = Message { id: Ids::new()?.next(), event, since: tokio::time::Instant::now() };
    let started = Instant::now();
    let answer = engine::block_on(async { Ok(Client::default().post(webhook, &message).await?) });
    let Answer { status, .. } = answer?;
    Ok(Tried {
        url: webhook.url.to_string(),
        status: status.to_string(),
        is_delivered: status.is_success(),
        took: started.elapsed(),
    })
}
