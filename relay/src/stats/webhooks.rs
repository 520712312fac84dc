//! What became of events for webhooks, as metrics.

use std::io::{self, Write};

use super::{
    Exposition,
    exposition::{Family, Label},
};

/// A webhook, and what became of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookUse {
    /// Its name.
    pub webhook: String,
    /// Requests that were answered with success.
    pub delivered: u64,
    /// Requests that were not.
    pub failed: u64,
    /// Events that were dropped: too many waited, or for too long.
    pub lost: u64,
    /// Events that wait.
    pub waiting: u64,
    /// Whether it wants no more events.
    pub is_disabled: bool,
}

/// Samples: labels behind those of interface and webhook, and the value.
type Samples = Vec<(Option<Label<'static>>, u64)>;

/// What a family has of a webhook.
type Sampled = fn(&WebhookUse) -> Samples;

#[rustfmt::skip]
const FAMILIES: &[(Family, Sampled)] = &[
    (Family::plain_counter("wgrelay_webhook_deliveries", "Requests that relay serve sent to a webhook, by outcome: delivered or failed."),
        |it| vec![(Some(Label("outcome", "delivered")), it.delivered), (Some(Label("outcome", "failed")), it.failed)]),
    (Family::plain_counter("wgrelay_webhook_lost_events", "Events that a webhook was not told: too many waited, they waited for a day, or it was disabled."),
        |it| vec![(None, it.lost)]),
    (Family::gauge("wgrelay_webhook_queue_length", None, "Events that wait for a webhook, 1025 at most."),
        |it| vec![(None, it.waiting)]),
    (Family::gauge("wgrelay_webhook_disabled", None, "1 if the webhook answered 410 and is sent nothing any more."),
        |it| vec![(None, u64::from(it.is_disabled))]),
];

/// Writes the families of webhooks, if there are any.
pub(super) fn webhook_families(
    out: &mut impl Write,
    interface: Label<'_>,
    webhooks: &[WebhookUse],
    format: Exposition,
) -> io::Result<()> {
    if webhooks.is_empty() {
        return Ok(());
    }
    for (family, samples) in FAMILIES {
        family.head(out, format)?;
        for webhook in webhooks {
            for (label, value) in samples(webhook) {
                let labels = [interface, Label("webhook", &webhook.webhook)];
                family.sample(out, labels.into_iter().chain(label), value)?;
            }
        }
    }
    Ok(())
}
