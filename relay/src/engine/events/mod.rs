//! What happens to a relay: peers that come, go and roam, changes of the policy, dropped packets.

mod between;
mod event;

use std::time::SystemTime;

use super::{Context, Error, Result, stats::snapshot};
use crate::{datapath::Recorder, stats::Snapshot};
use between::Alarms;
pub use event::{Event, Happening};

use super::dropped::DroppedReader;

/// Reads what has happened since it was asked last.
#[derive(Default)]
pub struct EventReader {
    last: Option<Seen>,
    recorder: Option<Recorder>,
    alarms: Alarms,
}

/// What was there when it was asked last.
enum Seen {
    Up(Box<Snapshot>, SystemTime),
    /// The interface that is gone, if it was ever there.
    Down,
}

/// Dropped packets that are told one by one, of one read.
const TOLD: usize = 200;

impl EventReader {
    /// What has happened since the last call; nothing at the first.
    ///
    /// # Errors
    /// A pin cannot be read, or has another shape. A relay that is not up is an event.
    pub async fn read(&mut self, context: &Context) -> Result<Vec<Event>> {
        match snapshot(context).await {
            Ok(found) => self.compare(context, found),
            Err(error) => Ok(self.gone(context.relay().interface.as_str(), &error)),
        }
    }

    /// That the relay cannot be read.
    pub fn gone(&mut self, interface: &str, why: &Error) -> Vec<Event> {
        let was = self.last.replace(Seen::Down);
        self.recorder = None;
        match was {
            Some(Seen::Down) => Vec::new(),
            Some(Seen::Up(..)) | None => {
                let happening = Happening::RelayDown { error: why.chain() };
                vec![Event::new(interface, SystemTime::now(), happening)]
            }
        }
    }

    /// What has changed up to this snapshot of the relay.
    fn compare(&mut self, context: &Context, found: Snapshot) -> Result<Vec<Event>> {
        let now = SystemTime::now();
        let mut events = Vec::new();
        let mut tell = |happening| events.push(Event::new(&found.interface, now, happening));
        match &self.last {
            None => {}
            Some(Seen::Down) => tell(Happening::RelayUp {
                generation: found.generation,
                hash: found.policy_hash.clone(),
            }),
            Some(Seen::Up(before, then)) => {
                // Made anew in between, with another ring of dropped packets.
                if found.generation < before.generation {
                    self.recorder = None;
                }
                between::changes(before, *then, &found, now, &mut tell);
                self.alarms.of(&before.guard.messages, &found.guard.messages, now, &mut tell);
            }
        }
        self.dropped(context, &mut tell)?;
        self.last = Some(Seen::Up(Box::new(found), now));
        Ok(events)
    }

    fn dropped(&mut self, context: &Context, tell: &mut impl FnMut(Happening)) -> Result<()> {
        let Some(recorder) = &mut self.recorder else {
            self.recorder = Some(context.datapath().recorder(0)?);
            return Ok(());
        };
        let mut recorded = recorder.read();
        if recorded.packets.len() > TOLD {
            recorded.lost += (recorded.packets.len() - TOLD) as u64;
            recorded.packets.truncate(TOLD);
        }
        if !recorded.packets.is_empty() {
            let dropped = DroppedReader::show(context, &recorded.packets)?;
            dropped.into_iter().for_each(|packet| tell(Happening::PacketDropped(packet)));
        }
        if recorded.lost > 0 {
            tell(Happening::Lost { count: recorded.lost });
        }
        Ok(())
    }
}
