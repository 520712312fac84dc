use std::path::PathBuf;

use toml::de::DeTable;

use crate::{
    config::read::{
        findings::Findings,
        keys::WEBHOOK,
        place::{Located, Place},
        table::{List, TableReader},
        url, value,
    },
    model::{EventType, WebhookName, WebhookUrl},
};

/// One `[[webhook]]`, as written.
pub(in crate::config::read) struct WebhookTable {
    pub(in crate::config::read) place: Place,
    pub(in crate::config::read) name: Option<Located<WebhookName>>,
    pub(in crate::config::read) url: Option<Located<WebhookUrl>>,
    pub(in crate::config::read) secret_file: Option<Located<PathBuf>>,
    pub(in crate::config::read) events: Option<List<EventType>>,
}

impl WebhookTable {
    pub(super) fn read(table: &DeTable<'_>, place: Place, findings: &mut Findings) -> Self {
        let name = table.get("name").and_then(|name| name.get_ref().as_str());
        let name = name.and_then(|name| value::webhook_name(name).ok());
        let label = name.map_or_else(|| "webhook".to_owned(), |name| format!("webhook.{name}"));
        let mut reader = TableReader::new(table, place, &label, &WEBHOOK, findings);
        Self {
            place,
            name: reader.text("name", value::webhook_name),
            url: reader.text("url", url::webhook_url),
            secret_file: reader.text("secret_file", value::key_file),
            events: events(&mut reader),
        }
    }
}

/// `None` without the key; an empty list is an error.
fn events(reader: &mut TableReader<'_, '_>) -> Option<List<EventType>> {
    reader.value("events")?;
    let remedy = "write event types such as \"peer_offline\", or leave events out for the default";
    Some(reader.some("events", value::event_type, remedy))
}
