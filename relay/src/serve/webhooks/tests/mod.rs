//! Events on their way to receivers on this host.

mod delivery;
mod http;
mod queue;
mod receiver;

use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc, time::SystemTime};

use tempfile::TempDir;

use super::*;
use crate::{
    engine::{Event, Happening},
    model::{EventType, WebhookUrl},
};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A webhook with a secret of its own, which goes with the value.
struct Site {
    webhook: Webhook,
    files: TempDir,
}

impl Site {
    fn new(is_tls: bool, port: u16) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let secret_file = files.path().join("secret");
        fs::write(&secret_file, format!("{SECRET}\n")).expect("a file");
        fs::set_permissions(&secret_file, fs::Permissions::from_mode(0o600)).expect("a mode");
        let webhook = Webhook {
            name: "ops".parse().expect("a name"),
            url: WebhookUrl {
                is_tls,
                host: "localhost".to_owned(),
                port,
                target: "/relay?from=here".to_owned(),
            },
            secret_file,
            events: Webhook::default_events().collect(),
        };
        Self { webhook, files }
    }
}

fn ids() -> Arc<Ids> {
    Arc::new(Ids::new().expect("random numbers"))
}

fn event(happening: Happening) -> Arc<Event> {
    Arc::new(Event::new("relay0", SystemTime::now(), happening))
}

/// A peer with a number as its name has gone offline.
fn offline(peer: usize) -> Arc<Event> {
    event(Happening::PeerOffline { peer: peer.to_string() })
}

/// The number in the name of the peer; for `lost`, how many, below zero.
fn number(event: &Event) -> i64 {
    let json = serde_json::to_value(event).expect("JSON");
    let peer = json["peer"].as_str().and_then(|peer| peer.parse().ok());
    peer.or_else(|| json["count"].as_i64().map(|count| -count)).expect("a number")
}

#[test]
fn what_a_webhook_asks_for_is_called_as_its_events_are() {
    let peer = || "a".to_owned();
    let text = String::new;
    let all = [
        Happening::RelayUp { generation: 1, hash: text() },
        Happening::RelayDown { error: text() },
        Happening::PolicyChanged { generation: 1, hash: text(), was: text() },
        Happening::PeerNew { peer: peer() },
        Happening::PeerGone { peer: peer() },
        Happening::PeerOnline { peer: peer(), endpoint: text() },
        Happening::PeerOffline { peer: peer() },
        Happening::PeerRoamed { peer: peer(), endpoint: text(), was: text() },
        Happening::GuardAlarm { outcome: "a", count: 1 },
        Happening::Lost { count: 1 },
        Happening::Test,
    ];
    let mut asked = Vec::new();
    for happening in all {
        let event = event(happening);
        let json = serde_json::to_value(&*event).expect("JSON");
        assert_eq!(json["type"], event.kind());
        let own = event.asked().filter(|asked| asked.label() == event.kind());
        assert_eq!(own.is_none(), matches!(event.kind(), "lost" | "test"));
        asked.extend(own);
    }
    assert_eq!(asked, Webhook::default_events().collect::<Vec<_>>());
    assert_eq!(Event::lost("relay0", 3).asked(), Some(EventType::PacketDropped));
}
