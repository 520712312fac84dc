//! A relay on a host that forwards, with allowed and dropped traffic, while something happens to it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use relay_tests::{
    Family, Lab, Ledger, Site, deadline, schema,
    traffic::{Flown, Stream},
};

/// Minimum number of datagrams per dropped stream in each situation.
const ENOUGH: u64 = 15;

/// Time limit for a tunnel to recover after the relay lost its session. The peer notices after
/// KEEPALIVE_TIMEOUT + REKEY_TIMEOUT (WireGuard whitepaper, section 6.1), which is 15 s.
const NEW_SESSION: Duration = Duration::from_secs(60);

/// Streams from `node-a` to `node-b`, which the policy allows, and from `node-b` to `node-c`, which it
/// drops; in both families.
#[derive(Debug)]
pub(crate) struct Siege {
    pub(crate) lab: Lab,
    allowed: Vec<Stream>,
    dropped: Vec<Stream>,
}

impl Siege {
    /// One administrator and two nodes with AllowedIPs of the whole overlay, on a host that forwards
    /// everything.
    pub(crate) fn lay() -> Result<Self> {
        let site = Site::one_to_many()?;
        let present: Vec<String> = site.names()?.into_iter().take(3).collect();
        let lab = Lab::start_with(site, &present)?;
        let host = lab.relay().namespace();
        host.forward()?;
        let [a, b, c] = lab.first()?;
        for peer in [b, c] {
            lab.widen(peer)?;
        }
        let streams = |from, to| -> Result<Vec<Stream>> {
            Family::ALL.iter().map(|family| Stream::start(from, to, *family)).collect()
        };
        let (allowed, dropped) = (streams(a, b)?, streams(b, c)?);
        let siege = Self { lab, allowed, dropped };
        siege.is_sound().context("before anything happened")?;
        Ok(siege)
    }

    /// Whether programs are attached by TCX, not as clsact filters.
    pub(crate) fn on_tcx(&self) -> Result<bool> {
        Ok(self.lab.relay().stats()?.attached == "tcx")
    }

    /// Checks that the relay is sound, allowed traffic passes and other traffic is dropped.
    pub(crate) fn is_sound(&self) -> Result<()> {
        let checked = self.lab.relay().relay(&["status", "--check"])?;
        ensure!(checked.code == 0 && checked.stderr.is_empty(), "status --check: {checked:?}");
        self.flows()?;
        self.holds()
    }

    /// Checks that allowed traffic passes.
    pub(crate) fn flows(&self) -> Result<()> {
        for stream in &self.allowed {
            let before = stream.received();
            deadline::within(NEW_SESSION, "allowed traffic to pass", || {
                Ok((stream.received() >= before + 5).then_some(()))
            })?;
        }
        Ok(())
    }

    /// Checks that no datagram of a disallowed pair passes while more are sent.
    pub(crate) fn holds(&self) -> Result<()> {
        for stream in &self.dropped {
            let before = stream.sent();
            deadline::until("traffic to be sent that must be dropped", || {
                Ok((stream.sent() >= before + ENOUGH).then_some(()))
            })?;
            ensure!(
                stream.received() == 0,
                "{} datagrams passed that must be dropped",
                stream.received()
            );
        }
        Ok(())
    }

    /// Checks that packets reach the fence and none passes.
    pub(crate) fn is_fenced(&self) -> Result<()> {
        let before = self.fenced()?;
        deadline::within(NEW_SESSION, "packets at the fence", || {
            Ok((self.fenced()? >= before + ENOUGH).then_some(()))
        })?;
        let allowed: u64 = self.allowed.iter().map(Stream::received).sum();
        self.holds()?;
        let now: u64 = self.allowed.iter().map(Stream::received).sum();
        ensure!(now == allowed, "{} packets passed without programs", now - allowed);
        Ok(())
    }

    /// Checks that `relay status --check` fails and prints these words.
    pub(crate) fn status_says(&self, words: &[&str]) -> Result<()> {
        let checked = self.lab.relay().relay(&["status", "--check"])?;
        ensure!(checked.code == 1, "status --check: {checked:?}");
        for word in words {
            ensure!(checked.stderr.contains(word), "no {word:?} in {checked:?}");
        }
        // `relay status` shows the same, and exits with 0.
        let shown = self.lab.relay().relay(&["status"])?.success("relay status")?;
        for line in checked.stderr.lines() {
            ensure!(shown.contains(line), "no {line:?} in {shown}");
        }
        let json = self.lab.relay().relay(&["status", "--json"])?.success("relay status --json")?;
        let status = schema::parse("status", &json)?;
        ensure!(status["ok"] == false, "{status}");
        Ok(())
    }

    /// Checks that `relay up` repairs the relay, and a second one changes nothing. Returns the changes.
    pub(crate) fn is_repaired(&self) -> Result<Vec<String>> {
        let report = self.lab.relay().up()?;
        ensure!(report.changed, "up saw nothing to repair");
        self.is_sound().with_context(|| format!("after {:?}", report.changes))?;
        let again = self.lab.relay().up()?;
        ensure!(!again.changed, "a second up: {again:?}");
        Ok(report.changes)
    }

    /// Checks that counters have not gone back since `before`, and allowed traffic was counted.
    pub(crate) fn counted_on(&self, before: &Ledger) -> Result<()> {
        let [a, b, _c] = self.lab.first()?;
        let moved = self.lab.relay().ledger()?.since(before)?;
        for name in
            [format!("{} relayed rx packets", a.name()), format!("{} relayed tx packets", b.name())]
        {
            ensure!(moved.get(&name) > 0, "{name} does not move; moved:\n{moved}");
        }
        Ok(())
    }

    /// Stops the streams and checks that no datagram of a disallowed pair has ever passed.
    pub(crate) fn raise(self) -> Result<(Lab, Vec<Flown>)> {
        let allowed: Vec<Flown> =
            self.allowed.into_iter().map(Stream::stop).collect::<Result<_>>()?;
        for stream in self.dropped {
            let flown = stream.stop()?;
            ensure!(flown.received == 0 && flown.sent > 0, "must be dropped: {flown:?}");
        }
        Ok((self.lab, allowed))
    }

    /// Packets dropped by the fence.
    fn fenced(&self) -> Result<u64> {
        let host = self.lab.relay().namespace();
        let table = format!("relay_{}", self.lab.interface()?);
        let listing = host.run("nft", &["list", "table", "inet", &table])?;
        let counts = listing.split("counter packets ").skip(1);
        let mut sum = 0;
        for count in counts.map(|rest| rest.split(' ').next().unwrap_or_default()) {
            let Ok(count) = count.parse::<u64>() else { bail!("{listing}") };
            sum += count;
        }
        Ok(sum)
    }
}
