use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Flown, Stream};
use crate::{Family, Lab, Peer, deadline};

/// Streams of both families for each pair.
#[derive(Debug)]
pub struct Streams(Vec<[Stream; 2]>);

impl Streams {
    /// Begins to send from the first to the second of each pair.
    pub fn start(lab: &Lab, pairs: &[(&str, &str)]) -> Result<Self> {
        Self::all(lab, pairs, Stream::start)
    }

    /// The same, with this time between two datagrams of a stream.
    pub fn start_every(interval: Duration, lab: &Lab, pairs: &[(&str, &str)]) -> Result<Self> {
        Self::all(lab, pairs, |from, to, family| Stream::start_every(interval, from, to, family))
    }

    fn all(
        lab: &Lab,
        pairs: &[(&str, &str)],
        start: impl Fn(&Peer, &Peer, Family) -> Result<Stream>,
    ) -> Result<Self> {
        let start = |(from, to): &(&str, &str)| -> Result<[Stream; 2]> {
            let (from, to) = (lab.peer(from)?, lab.peer(to)?);
            let [v4, v6] = Family::ALL.map(|family| start(from, to, family));
            Ok([v4?, v6?])
        };
        Ok(Self(pairs.iter().map(start).collect::<Result<_>>()?))
    }

    /// Stops them.
    pub fn stop(self) -> Result<Vec<Flown>> {
        self.0.into_iter().flatten().map(Stream::stop).collect()
    }

    /// Stops them and checks that every datagram arrived once; returns their number per pair.
    pub fn stop_without_loss(self) -> Result<Vec<u64>> {
        let flown = self.stop()?;
        for one in &flown {
            ensure!(one.sent > 100, "a stream of {} packets shows nothing", one.sent);
            ensure!(one.received == one.sent && one.repeated == 0, "{one:?}");
        }
        Ok(flown.chunks(2).map(|both| both.iter().map(|one| one.sent).sum()).collect())
    }

    /// Waits until they pass, or until datagrams in flight have arrived and no more pass.
    pub fn pass_or_not(&self, wanted: bool) -> Result<()> {
        for stream in self.0.iter().flatten() {
            let (sent, received) = (stream.sent(), stream.received());
            deadline::until(
                "more of the stream",
                || Ok((stream.sent() >= sent + 4).then_some(())),
            )?;
            if wanted {
                deadline::until("the stream to pass", || {
                    Ok((stream.received() > received).then_some(()))
                })?;
                continue;
            }
            // Late arrivals were in flight when the pair was revoked.
            let received = stream.received();
            deadline::pass(Duration::from_millis(50));
            ensure!(stream.received() == received, "a pair that was taken out goes on");
        }
        Ok(())
    }
}
