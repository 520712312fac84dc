//! Access that is lent: rules with an end, in fragments of their own.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Classified, Kind, Result, facts, instant::local, now, pair::Pair, rfc3339};
use crate::{
    config::{Draft, Loaded, Options},
    doctor::Clock,
    model::{
        Coverage, End, PeerName, Relay, Rule, RuleName, Selector, Service, Services, Territory,
    },
    net::{self, link},
    policy::{Difference, Effective, Pass, Sources},
    stats::{Loan, Loans},
};

/// Longest time that something is lent for, seconds.
const LONGEST: u64 = 366 * 86_400;

/// How long something is lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// From now on.
    For(Duration),
    /// To this time, seconds since 1970-01-01T00:00:00Z.
    Until(u64),
}

/// What was lent, has ended, and is in the files no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its rule.
    pub rule: RuleName,
    /// When it ended, as RFC 3339 writes it.
    pub until: String,
    /// The fragment that it was in.
    pub file: PathBuf,
}

/// Why something is not lent.
#[derive(Debug, thiserror::Error)]
enum LoanError {
    #[error("less than a second is too short to lend; name a time such as 2h")]
    TooShort,
    #[error("{until} is past, it is {now}; name a later time")]
    Past { until: String, now: String },
    #[error(
        "{until} is more than 366 days ahead; for what lasts that long, write a [[rule]] into the \
         configuration"
    )]
    TooLong { until: String },
    #[error(
        "this host's clock says {now}, which is long past, so what is lent would end when the clock is \
         set; set it first"
    )]
    Clock { now: String },
    #[error("nothing was lent: {0} is disabled; run `relay peer enable {0}` first")]
    Disabled(PeerName),
    #[error(
        "nothing was lent: {from} and {to} list each other in allowed_ips, so everything passes between \
         them, with no end; remove these entries first"
    )]
    Listed { from: PeerName, to: PeerName },
    #[error(
        "nothing was lent: rule {rule} ({at}) lets {from} begin this with {to} already, {}",
        or_never(.until.as_ref())
    )]
    Ruled { rule: RuleName, at: String, from: PeerName, to: PeerName, until: Option<String> },
    #[error(
        "nothing was lent: those named may begin this already, or are disabled; `relay graph` shows \
         who may begin what"
    )]
    Nothing,
    #[error("nothing is lent as {name}; {}", nearest_or_list(.nearest.as_ref()))]
    Unknown { name: RuleName, nearest: Option<RuleName> },
    #[error("rule {name} ({at}) was not lent; remove it there, and run `relay up`")]
    NotLent { name: RuleName, at: String },
}

fn or_never(until: Option<&String>) -> String {
    match until {
        Some(until) => format!("until {until}; name a later time"),
        None => "with no end; remove that rule first".to_owned(),
    }
}

impl Classified for LoanError {
    fn kind(&self) -> Kind {
        if matches!(self, Self::Clock { .. }) { Kind::Lacking } else { Kind::Usage }
    }
}

fn nearest_or_list(nearest: Option<&RuleName>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => "`relay lend --list` shows all".to_owned(),
    }
}

impl Term {
    /// When it ends, seconds since 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// That is not ahead, or too far ahead; or the host's clock cannot be right.
    pub fn end(self) -> Result<u64> {
        if facts::clock() == Clock::Past {
            return Err(LoanError::Clock { now: rfc3339(now()) }.into());
        }
        Ok(self.end_from(now())?)
    }

    fn end_from(self, now: u64) -> Result<u64, LoanError> {
        let until = match self {
            Self::For(time) if time.as_secs() == 0 => return Err(LoanError::TooShort),
            Self::For(time) => now.saturating_add(time.as_secs()),
            Self::Until(until) => until,
        };
        match until.checked_sub(now) {
            None | Some(0) => Err(LoanError::Past { until: rfc3339(until), now: rfc3339(now) }),
            Some(left) if left > LONGEST => Err(LoanError::TooLong { until: rfc3339(until) }),
            Some(_) => Ok(until),
        }
    }
}

/// Why what is lent may end early or late, if it may.
pub fn clock_doubt() -> Option<&'static str> {
    (facts::clock() == Clock::Unserved).then_some(
        "no known time service runs on this host, so what is lent ends early or late if the clock is \
         wrong or set meanwhile; `timedatectl set-ntp true`, or install chrony",
    )
}

/// Checks that a rule of `after` opens something that is not open before, or for longer.
///
/// # Errors
/// It opens nothing, with what opens it already.
pub fn require_gain(before: &Loaded, after: &Loaded, name: &RuleName) -> Result<()> {
    let slots: Vec<u32> = (1..).take(after.relay.peers.len()).collect();
    let [old, new] = [before, after].map(|Loaded { relay, .. }| Sources {
        relay,
        host_addresses: &[],
        slots: &slots,
    });
    let now = now();
    let difference = Difference::between(old, new, now);
    if difference.lines().next().is_some() {
        return Ok(());
    }
    let rule = after.relay.rules.iter().find(|rule| rule.name == *name);
    Err(rule.map_or(LoanError::Nothing, |rule| why_nothing(before, rule, now)).into())
}

fn why_nothing(before: &Loaded, rule: &Rule, now: u64) -> LoanError {
    let relay = &before.relay;
    let ([Selector::Peer(from)], [Selector::Peer(to)]) = (&rule.from[..], &rule.to[..]) else {
        return LoanError::Nothing;
    };
    let [a, b] = [from, to].map(|&peer| &relay.peers[peer]);
    if let Some(off) = [a, b].into_iter().find(|peer| !peer.enabled) {
        return LoanError::Disabled(off.name.clone());
    }
    let pass = || {
        let ends = [from, to].map(|&peer| End::Peer(peer));
        let pair = Pair::of(relay, &Territory::of(relay), ends)?;
        let service = first(rule.services.first()?);
        let pass = pair.openings(service).find_map(|opening| pair.verdict(&opening, now).ok())?;
        Some(match pass {
            Pass::Lists(verdict) => Pass::Lists(verdict),
            Pass::Rule(rule) => Pass::Rule(pair.rules[rule]),
        })
    };
    let (from, to) = (a.name.clone(), b.name.clone());
    match pass() {
        Some(Pass::Lists(_)) => LoanError::Listed { from, to },
        Some(Pass::Rule(rule)) => {
            let at = before.place_of_rule(rule).unwrap_or_default();
            let Rule { name: rule, until, .. } = &relay.rules[rule];
            LoanError::Ruled { rule: rule.clone(), at, from, to, until: until.map(rfc3339) }
        }
        None => LoanError::Nothing,
    }
}

/// One of some services.
const fn first(services: &Services) -> Service {
    match *services {
        Services::Ports { transport, first, .. } => Service::Port(transport, first),
        Services::Echo => Service::Echo,
        Services::Icmp => Service::Icmp,
        Services::Protocol(number) => Service::Protocol(number),
    }
}

/// The peers of a rule of `after` whose clients need another file than before to route to each other.
pub fn without_route(before: &Relay, after: &Relay, name: &RuleName) -> Vec<PeerName> {
    let Some(rule) = after.rules.iter().find(|rule| rule.name == *name) else { return Vec::new() };
    let territory = Territory::of(after);
    let sides = [&rule.from, &rule.to].map(|side| {
        [true, false].map(|is_v4| Coverage::of(after, &territory, side, &rule.except, is_v4))
    });
    let is_named = |peer| sides.iter().flatten().any(|side| side.has(peer));
    let (mut old, mut new) = (Effective::of(before), Effective::of(after));
    let named = (0..after.peers.len()).filter(|&peer| is_named(peer));
    let lacking = named.filter(|&peer| old.client(peer) != new.client(peer));
    lacking.map(|peer| after.peers[peer].name.clone()).collect()
}

/// The fragment of what is lent under a name.
///
/// # Errors
/// There is none.
pub fn lent_as<'l>(loaded: &'l Loaded, name: &RuleName) -> Result<&'l Path> {
    let rules = &loaded.relay.rules;
    if let Some((_, file)) = loaded.lent().find(|&(place, _)| rules[place].name == *name) {
        return Ok(file);
    }
    if let Some(place) = rules.iter().position(|rule| rule.name == *name) {
        let at = loaded.place_of_rule(place).unwrap_or_default();
        return Err(LoanError::NotLent { name: name.clone(), at }.into());
    }
    let near = loaded.lent().map(|(place, _)| &rules[place].name).map(|known| {
        // The beginning that all have makes nothing similar.
        let [asked, own] = [name, known]
            .map(|name| name.as_str().strip_prefix(RuleName::LENT).unwrap_or(name.as_str()));
        (strsim::damerau_levenshtein(asked, own), own.len(), known)
    });
    let nearest = near.filter(|(edits, length, _)| *edits <= length / 2).min();
    let nearest = nearest.map(|(_, _, known)| known.clone());
    Err(LoanError::Unknown { name: name.clone(), nearest }.into())
}

/// All that is lent, and what has ended and is still in the files.
pub fn loans(loaded: &Loaded) -> Loans {
    let (relay, now) = (&loaded.relay, signed(now()));
    let loan = |(place, file): (usize, &Path)| {
        let rule = &relay.rules[place];
        let side = |side: &[Selector]| side.iter().map(|one| named(relay, *one)).collect();
        Loan {
            name: rule.name.to_string(),
            from: side(&rule.from),
            to: side(&rule.to),
            both_ways: rule.both_ways,
            services: rule.services.iter().map(ToString::to_string).collect(),
            until: rule.until.map(rfc3339),
            local: rule.until.map(local),
            seconds_left: rule.until.map(|until| signed(until) - now),
            reason: rule.description.clone(),
            file: file.to_owned(),
        }
    };
    Loans::new(relay.interface.as_str(), loaded.lent().map(loan).collect())
}

fn named(relay: &Relay, selector: Selector) -> String {
    match selector {
        Selector::Any => "any".to_owned(),
        Selector::Peer(peer) => relay.peers[peer].name.to_string(),
        Selector::Group(group) => format!("group:{}", relay.groups[group].name),
        Selector::Prefix(net) if net.prefix_len() == net.max_prefix_len() => net.addr().to_string(),
        Selector::Prefix(net) => net.to_string(),
    }
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// Whether anything that was lent has ended and is still in the files. Without a lent fragment,
/// nothing is parsed.
pub fn has_ended_loans(config: &Path) -> bool {
    let draft = Draft::read(config);
    let is_lent = |name: &OsStr| name.as_encoded_bytes().starts_with(RuleName::LENT.as_bytes());
    let mut files = draft.files();
    files.any(|file| file.file_name().is_some_and(is_lent)) && !ended(&draft).is_empty()
}

/// Takes what was lent and has ended out of the files, whose lock the caller has.
///
/// # Errors
/// A file cannot be removed.
pub fn remove_ended(config: &Path) -> Result<Vec<Ended>> {
    let draft = Draft::read(config);
    let ended = ended(&draft);
    let edit = draft.without(ended.iter().map(|ended| ended.file.as_path()));
    edit.stage()?.commit()?;
    Ok(ended)
}

/// Nothing if the files are invalid: whoever reads them next says so.
fn ended(draft: &Draft) -> Vec<Ended> {
    let Ok(loaded) = draft.load(Options { allow_empty: true }) else { return Vec::new() };
    let now = now();
    let ended = loaded.lent().filter_map(|(place, file)| {
        let rule = &loaded.relay.rules[place];
        let until = rule.until.filter(|_| rule.has_ended(now))?;
        Some(Ended { rule: rule.name.clone(), until: rfc3339(until), file: file.to_owned() })
    });
    ended.collect()
}

/// Whether the interface of a relay exists.
///
/// # Errors
/// The kernel does not answer.
pub async fn is_up(relay: &Relay) -> Result<bool> {
    Ok(link::read(&net::connect()?, &relay.interface).await?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn a_term_ends_ahead_and_within_a_year() {
        let of = |seconds| Term::For(Duration::from_secs(seconds)).end_from(NOW);
        assert_eq!(of(1).expect("an end"), NOW + 1);
        assert_eq!(of(LONGEST).expect("an end"), NOW + LONGEST);
        assert_eq!(Term::Until(NOW + 1).end_from(NOW).expect("an end"), NOW + 1);
        let terms = [
            Term::For(Duration::ZERO),
            Term::For(Duration::from_millis(999)),
            Term::For(Duration::from_secs(LONGEST + 1)),
            Term::For(Duration::MAX),
            Term::Until(0),
            Term::Until(NOW),
            Term::Until(u64::MAX),
        ];
        let said = terms.map(|term| term.end_from(NOW).expect_err("no end").to_string());
        insta::assert_snapshot!(said.join("\n"));
    }
}
