//! What happens to a relay: peers that come, go and roam, changes of the policy, dropped packets.

mod between;
mod event;

use std::{sync::Arc, time::SystemTime};

use super::{Context, Error, Look, Result, dropped::DroppedReader};
use crate::datapath::Recorder;
use between::{Alarms, FormerNames};
pub use event::{Event, Happening};

/// Reads what has happened since it was asked last.
#[derive(Default)]
pub struct EventReader {
    last: Option<Seen>,
    former: FormerNames,
    recorder: Option<Recorder>,
    alarms: Alarms,
}

/// What was there when it was asked last.
enum Seen {
    Up(Arc<Look>),
    Down,
}

/// Dropped packets that are told one by one, of one read.
const TOLD: usize = 200;

impl EventReader {
    /// What has happened up to this look since the last one; nothing at the first.
    ///
    /// # Errors
    /// A pin cannot be read, or has another shape.
    pub fn read(&mut self, context: &Context, look: &Arc<Look>) -> Result<Vec<Event>> {
        let Look { at, snapshot } = &**look;
        let mut events = Vec::new();
        let mut tell = |happening| events.push(Event::new(&snapshot.interface, *at, happening));
        match &self.last {
            None => {}
            Some(Seen::Down) => tell(Happening::RelayUp {
                generation: snapshot.generation,
                hash: snapshot.policy_hash.clone(),
            }),
            Some(Seen::Up(last)) => {
                // Made anew in between, with another ring of dropped packets.
                if snapshot.generation < last.snapshot.generation {
                    self.recorder = None;
                }
                self.former.follow(last, look);
                between::changes(last, look, &self.former, &mut tell);
                let messages = [&last.snapshot, snapshot].map(|of| &of.guard.messages);
                self.alarms.of(messages[0], messages[1], *at, &mut tell);
            }
        }
        self.dropped(context, &mut tell)?;
        self.last = Some(Seen::Up(Arc::clone(look)));
        Ok(events)
    }

    /// That the relay cannot be read; told once.
    pub fn gone(&mut self, interface: &str, why: &Error) -> Option<Event> {
        let was = self.last.replace(Seen::Down);
        self.recorder = None;
        let is_news = !matches!(was, Some(Seen::Down));
        let happening = Happening::RelayDown { error: why.chain() };
        is_news.then(|| Event::new(interface, SystemTime::now(), happening))
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
