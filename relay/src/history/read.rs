use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{
    Amounts, HistoryError, Limits,
    amounts::COLUMNS,
    file, known,
    level::Level,
    schema::{self, Access, Kind, RELAY, failed},
};
use crate::model::PublicKey;

/// Answers from a history. It changes nothing in it.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: Connection,
}

/// Whose history it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// All peers together.
    Relay,
    /// A peer, by its name or its key. Keys with the same name are one peer, whose key was changed.
    Peer(&'a str),
    /// Two peers. What goes from the first to the second is rx, the reverse tx.
    Pair(&'a str, &'a str),
    /// A rule. What it let through is rx.
    Rule(&'a str),
}

/// By how much counts grew, step by step; `None` where nothing was recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    /// Seconds of a step.
    pub step_s: u64,
    /// When the first step begins, seconds since 1970-01-01T00:00:00Z.
    pub from: u64,
    /// When the last step ends.
    pub to: u64,
    /// Each step. Of a pair, tx is what goes back.
    pub steps: Vec<Option<Amounts>>,
}

/// The time of the first and of the latest sample, seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Where counting began.
    pub first: u64,
    /// Until when it is recorded.
    pub latest: u64,
}

/// What was counted in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// When samples were taken, whether or not in the period.
    pub recorded: Recorded,
    /// All peers together, and what was dropped of no known sender.
    pub relay: Amounts,
    /// Every peer that is there now or counted anything, in the order in which they came.
    pub peers: Vec<Used<PublicKey>>,
    /// Dropped packets by sender, if it is known, with the label of the reason as name.
    pub dropped: Vec<Used<Option<PublicKey>>>,
    /// Pairs of peers, sender first, that counted anything. Without names.
    pub pairs: Vec<Used<(PublicKey, PublicKey)>>,
    /// Every rule that is there now or counted anything.
    pub rules: Vec<Used<()>>,
}

/// One subject in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used<K> {
    /// What it is known by.
    pub key: K,
    /// What it was called last; empty if that was never known.
    pub name: String,
    /// What was counted.
    pub amounts: Amounts,
}

impl Reader {
    /// Opens the history at a path. The only thing that it may change is to take back a write that was
    /// cut off, without which nobody can read.
    ///
    /// # Errors
    /// There is none, or nothing in it; others can write to it; it is damaged, something else, or of a
    /// newer relay.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        file::require_own(path)?;
        if file::has_journal(path) {
            let writer = schema::connect(path, Access::Write)?;
            schema::pragma(&writer, "user_version").map_err(failed(path, "mend"))?;
        }
        let file = schema::connect(path, Access::Read)?;
        schema::require_version(&file, path)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// When samples were taken.
    ///
    /// # Errors
    /// There is none; or the file cannot be read.
    pub fn recorded(&self) -> Result<Recorded, HistoryError> {
        let span = known::span(&self.file).map_err(failed(&self.path, "read"))?;
        let (first, latest) =
            span.ok_or_else(|| HistoryError::Empty { path: self.path.clone() })?;
        Ok(Recorded { first, latest })
    }

    /// The last `span_s` seconds before `now`, in steps of ten seconds, two minutes or an hour, as long
    /// as they are kept. The step that has not ended is left out.
    ///
    /// # Errors
    /// There is no such subject; or the file cannot be read.
    pub fn series(
        &self,
        subject: Subject<'_>,
        span_s: u64,
        now: u64,
    ) -> Result<Series, HistoryError> {
        let level = Level::showing(span_s, Limits::default().minutes_kept_s);
        let end = level.step(now);
        let begin = end.saturating_sub(span_s / level.step_s());
        let (ids, reverse) = match subject {
            Subject::Relay => (vec![RELAY], Vec::new()),
            Subject::Peer(name) => (ids(self.peers(name)?), Vec::new()),
            Subject::Rule(name) => (self.rule(name)?, Vec::new()),
            Subject::Pair(from, to) => {
                let (from, to) = (self.peers(from)?, self.peers(to)?);
                let both =
                    self.pair(&from, &to).and_then(|there| Ok((there, self.pair(&to, &from)?)));
                both.map_err(failed(&self.path, "read"))?
            }
        };
        let read = || {
            let transaction = self.file.unchecked_transaction()?;
            let mut steps = BTreeMap::new();
            for step in self.steps(&[RELAY], level, begin, end)?.into_keys() {
                steps.insert(step, Amounts::default());
            }
            for (step, amounts) in self.steps(&ids, level, begin, end)? {
                steps.entry(step).or_default().add(&amounts);
            }
            for (step, amounts) in self.steps(&reverse, level, begin, end)? {
                let traffic = &mut steps.entry(step).or_default().traffic;
                traffic.tx_packets += amounts.rx_packets();
                traffic.tx_bytes += amounts.rx_bytes();
            }
            transaction.commit()?;
            Ok((begin..end).map(|step| steps.get(&step).copied()).collect())
        };
        let steps = read().map_err(failed(&self.path, "read"))?;
        let (from, to) = (begin * level.step_s(), end * level.step_s());
        Ok(Series { step_s: level.step_s(), from, to, steps })
    }

    /// What was counted from `from` to before `to`, seconds since 1970-01-01T00:00:00Z. A step belongs
    /// to the period in which it begins.
    ///
    /// # Errors
    /// Nothing was ever recorded; or the file cannot be read.
    pub fn usage(&self, from: u64, to: u64) -> Result<Usage, HistoryError> {
        let recorded = self.recorded()?;
        self.sums(from, to, recorded).map_err(failed(&self.path, "read"))
    }

    fn sums(&self, from: u64, to: u64, recorded: Recorded) -> rusqlite::Result<Usage> {
        let transaction = self.file.unchecked_transaction()?;
        let mut sums: HashMap<i64, Amounts> = HashMap::new();
        let columns = COLUMNS.join(", ");
        for level in Level::ALL {
            let table = level.table();
            // Hours are ordered by subject. Sums are made here: SQLite would sort all rows first.
            let source = match level {
                Level::Hours => "subject AS of CROSS JOIN hours ON hours.subject = of.id AND",
                Level::Seconds | Level::Minutes => &format!("{table} WHERE"),
            };
            let query =
                format!("SELECT {table}.subject, {columns} FROM {source} step >= ?1 AND step < ?2");
            let mut statement = self.file.prepare(&query)?;
            let steps = [from, to].map(|time| signed(level.step_from(time)));
            let mut rows = statement.query(steps)?;
            while let Some(row) = rows.next()? {
                sums.entry(row.get(0)?).or_default().add(&Amounts::read(row, 1)?);
            }
        }
        let mut usage = Usage {
            recorded,
            relay: sums.get(&RELAY).copied().unwrap_or_default(),
            peers: Vec::new(),
            dropped: Vec::new(),
            pairs: Vec::new(),
            rules: Vec::new(),
        };
        let query = "SELECT id, kind, key, name, gone IS NULL FROM subject ORDER BY id";
        let mut statement = self.file.prepare(query)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let counted = sums.get(&row.get(0)?).copied();
            let (key, name): (Vec<u8>, String) = (row.get(2)?, row.get(3)?);
            let is_shown = counted.is_some() || row.get(4)?;
            let amounts = counted.unwrap_or_default();
            let first = public_key(&key);
            match Kind::of(row.get(1)?) {
                Some(Kind::Peer) if is_shown => {
                    usage.peers.extend(first.map(|key| Used { key, name, amounts }));
                }
                Some(Kind::Dropped) if counted.is_some() => {
                    let sender = first.filter(|_| key.len() > name.len());
                    usage.dropped.push(Used { key: sender, name, amounts });
                }
                Some(Kind::Pair) if counted.is_some() => {
                    let pair = first.zip(key.get(KEY_BYTES..).and_then(public_key));
                    usage.pairs.extend(pair.map(|key| Used { key, name, amounts }));
                }
                Some(Kind::Rule) if is_shown => usage.rules.push(Used { key: (), name, amounts }),
                Some(Kind::Relay | Kind::Peer | Kind::Dropped | Kind::Pair | Kind::Rule) | None => {
                }
            }
        }
        drop(rows);
        drop(statement);
        transaction.commit()?;
        Ok(usage)
    }

    /// Sums over some subjects by step, of this level and finer ones.
    fn steps(
        &self,
        ids: &[i64],
        level: Level,
        begin: u64,
        end: u64,
    ) -> rusqlite::Result<BTreeMap<u64, Amounts>> {
        let mut sums = BTreeMap::<u64, Amounts>::new();
        let ids: Vec<_> = ids.iter().map(i64::to_string).collect();
        let columns = COLUMNS.join(", ");
        for of in Level::ALL.into_iter().filter(|of| *of <= level) {
            let factor = level.step_s() / of.step_s();
            let mut statement = self.file.prepare(&format!(
                "SELECT step, {columns} FROM {} WHERE step >= ?1 AND step < ?2 AND subject IN ({})",
                of.table(),
                ids.join(", ")
            ))?;
            let mut rows = statement.query([begin * factor, end * factor].map(signed))?;
            while let Some(row) = rows.next()? {
                let step = u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0) / factor;
                sums.entry(step).or_default().add(&Amounts::read(row, 1)?);
            }
        }
        Ok(sums)
    }

    /// Number and key of each peer with this name, or of the one with this key.
    fn peers(&self, name: &str) -> Result<Vec<(i64, Vec<u8>)>, HistoryError> {
        let key = name.parse::<PublicKey>().map(|key| key.as_bytes().to_vec()).unwrap_or_default();
        self.named(Kind::Peer, "peer", name, &key)
    }

    fn rule(&self, name: &str) -> Result<Vec<i64>, HistoryError> {
        Ok(ids(self.named(Kind::Rule, "rule", name, name.as_bytes())?))
    }

    fn named(
        &self,
        kind: Kind,
        what: &'static str,
        name: &str,
        key: &[u8],
    ) -> Result<Vec<(i64, Vec<u8>)>, HistoryError> {
        let read = || {
            let query = "SELECT id, key FROM subject WHERE kind = ?1 AND (name = ?2 OR key = ?3)";
            let mut statement = self.file.prepare(query)?;
            let found = statement.query_map((kind as i64, name, key), |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
            })?;
            let found: Vec<_> = found.collect::<rusqlite::Result<_>>()?;
            let mut names = Vec::new();
            if found.is_empty() {
                let query = "SELECT DISTINCT name FROM subject WHERE kind = ? AND name != ''";
                let mut statement = self.file.prepare(query)?;
                names = statement
                    .query_map([kind as i64], |row| row.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
            }
            Ok((found, names))
        };
        let (found, names) = read().map_err(failed(&self.path, "read"))?;
        if found.is_empty() {
            return Err(HistoryError::Unknown { what, name: name.to_owned(), names });
        }
        Ok(found)
    }

    fn pair(&self, from: &[(i64, Vec<u8>)], to: &[(i64, Vec<u8>)]) -> rusqlite::Result<Vec<i64>> {
        let mut statement =
            self.file.prepare("SELECT id FROM subject WHERE kind = ? AND key = ?")?;
        let mut found = Vec::new();
        for (from, to) in from.iter().flat_map(|(_, from)| to.iter().map(move |(_, to)| (from, to)))
        {
            let key = [from.as_slice(), to].concat();
            let mut rows = statement.query((Kind::Pair as i64, key))?;
            while let Some(row) = rows.next()? {
                found.push(row.get(0)?);
            }
        }
        Ok(found)
    }
}

/// Bytes of a public key.
const KEY_BYTES: usize = 32;

fn public_key(bytes: &[u8]) -> Option<PublicKey> {
    let bytes = bytes.get(..KEY_BYTES)?.try_into().ok()?;
    Some(PublicKey::from_bytes(bytes))
}

fn ids(found: Vec<(i64, Vec<u8>)>) -> Vec<i64> {
    found.into_iter().map(|(id, _key)| id).collect()
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
