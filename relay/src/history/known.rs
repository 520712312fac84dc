//! What the file has of each subject, in memory, so that a sample writes only what moved.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension as _, params_from_iter, types::Value};

use super::{
    Amounts,
    amounts::COLUMNS,
    schema::{Kind, RELAY},
};

/// The state of the file after a sample.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Number of samples. Another number in the file: somebody else has written since.
    pub(super) number: i64,
    /// Time of the latest sample.
    pub(super) latest: Option<u64>,
    lives: BTreeMap<Kind, String>,
    subjects: HashMap<(Kind, Vec<u8>), Entry>,
    pairs: usize,
    pairs_left_out: bool,
}

/// One subject.
#[derive(Debug)]
struct Entry {
    id: i64,
    name: String,
    /// Its totals in the latest sample; `None` if it was not in it.
    totals: Option<Amounts>,
    /// Number of the sample that it was in.
    number: i64,
}

/// A member of a family in a sample.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) key: Vec<u8>,
    pub(super) name: Option<String>,
    pub(super) totals: Amounts,
}

impl Known {
    /// What the file has: what is in memory, unless somebody else has written since.
    pub(super) fn current(file: &Connection, memory: Option<Self>) -> rusqlite::Result<Self> {
        let state = file.query_row(
            "SELECT number, latest, pairs_left_out FROM state WHERE id = 1",
            (),
            |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, bool>(2)?)),
        )?;
        let (number, latest, pairs_left_out) = state;
        if let Some(memory) = memory.filter(|memory| memory.number == number) {
            return Ok(memory);
        }
        let latest = latest.and_then(|latest| u64::try_from(latest).ok());
        let mut known = Self { number, latest, pairs_left_out, ..Self::default() };
        let mut lives = file.prepare("SELECT kind, name FROM life")?;
        let mut rows = lives.query(())?;
        while let Some(row) = rows.next()? {
            if let Some(kind) = Kind::of(row.get(0)?) {
                known.lives.insert(kind, row.get(1)?);
            }
        }
        let columns = COLUMNS.join(", ");
        let mut subjects = file.prepare(&format!(
            "SELECT id, kind, key, name, last.subject, {columns} FROM subject \
             LEFT JOIN last ON last.subject = subject.id WHERE id != {RELAY}"
        ))?;
        let mut rows = subjects.query(())?;
        while let Some(row) = rows.next()? {
            let Some(kind) = Kind::of(row.get(1)?) else { continue };
            let is_there = row.get::<_, Option<i64>>(4)?.is_some();
            let totals = if is_there { Some(Amounts::read(row, 5)?) } else { None };
            let entry = Entry { id: row.get(0)?, name: row.get(3)?, totals, number };
            known.pairs += usize::from(kind == Kind::Pair);
            known.subjects.insert((kind, row.get(2)?), entry);
        }
        Ok(known)
    }

    /// Whether the counters of a kind have begun anew since the latest sample.
    pub(super) fn begins(&self, kind: Kind, life: &str) -> bool {
        self.lives.get(&kind).is_some_and(|known| known != life)
    }

    pub(super) fn id(&self, kind: Kind, key: &[u8]) -> Option<i64> {
        self.subjects.get(&(kind, key.to_owned())).map(|entry| entry.id)
    }

    /// Takes in a family, and gives by how much each member grew.
    pub(super) fn take(
        &mut self,
        file: &Connection,
        time: i64,
        kind: Kind,
        life: &str,
        mut members: Vec<Member>,
        most_pairs: usize,
    ) -> rusqlite::Result<Vec<(Member, Amounts)>> {
        let number = self.number + 1;
        // Nothing tells when what was counted before the first sample came.
        let is_first = !self.lives.contains_key(&kind);
        let begins = self.begins(kind, life);
        if is_first || begins {
            let mut statement = file.prepare("INSERT OR REPLACE INTO life VALUES (?, ?)")?;
            statement.execute((kind as i64, life))?;
            self.lives.insert(kind, life.to_owned());
        }
        if kind == Kind::Pair {
            // The busiest first, for as long as there is room.
            members.sort_by_key(|member| std::cmp::Reverse(member.totals.traffic.rx_bytes));
        }
        let mut insert = file.prepare("INSERT INTO subject (kind, key, name) VALUES (?, ?, ?)")?;
        let mut rename = file.prepare("UPDATE subject SET name = ? WHERE id = ?")?;
        let mut back = file.prepare("UPDATE subject SET gone = NULL WHERE id = ?")?;
        let places = vec!["?"; COLUMNS.len() + 1].join(", ");
        let mut keep = file.prepare(&format!("INSERT OR REPLACE INTO last VALUES ({places})"))?;
        let mut grown = Vec::new();
        for member in members {
            let totals = member.totals;
            let (id, growth, is_kept) = match self.subjects.get_mut(&(kind, member.key.clone())) {
                Some(entry) => {
                    if let Some(name) = member.name.as_ref().filter(|name| **name != entry.name) {
                        rename.execute((name, entry.id))?;
                        entry.name.clone_from(name);
                    }
                    let last = match entry.totals {
                        Some(last) if !begins => last,
                        Some(_) | None => Amounts::default(),
                    };
                    if entry.totals.is_none() {
                        back.execute([entry.id])?;
                    }
                    let is_kept = entry.totals == Some(totals);
                    entry.totals = Some(totals);
                    entry.number = number;
                    (entry.id, totals.since(&last).unwrap_or(totals), is_kept)
                }
                None if kind == Kind::Pair && self.pairs >= most_pairs => {
                    if !self.pairs_left_out {
                        file.execute("UPDATE state SET pairs_left_out = 1", ())?;
                        self.pairs_left_out = true;
                    }
                    continue;
                }
                None => {
                    let name = member.name.clone().unwrap_or_default();
                    insert.execute((kind as i64, &member.key, &name))?;
                    let id = file.last_insert_rowid();
                    let entry = Entry { id, name, totals: Some(totals), number };
                    self.subjects.insert((kind, member.key.clone()), entry);
                    self.pairs += usize::from(kind == Kind::Pair);
                    // A pair that was left out may have counted for long.
                    let is_old = kind == Kind::Pair && self.pairs_left_out;
                    (id, if is_old { Amounts::default() } else { totals }, false)
                }
            };
            if !is_kept {
                let values = std::iter::once(id).chain(totals.signed()).map(Value::Integer);
                keep.execute(params_from_iter(values))?;
            }
            grown.push((member, if is_first { Amounts::default() } else { growth }));
        }
        self.forget_gone(file, time, kind, number)?;
        Ok(grown)
    }

    /// Counts a sample.
    pub(super) fn count(&mut self, file: &Connection, time: u64) -> rusqlite::Result<()> {
        self.number += 1;
        self.latest = Some(time);
        let time = i64::try_from(time).unwrap_or(i64::MAX);
        let mut statement =
            file.prepare("UPDATE state SET number = ?1, latest = ?2, first = coalesce(first, ?2)")?;
        statement.execute((self.number, time)).map(drop)
    }

    /// Forgets the totals of what is no longer there.
    fn forget_gone(
        &mut self,
        file: &Connection,
        time: i64,
        kind: Kind,
        number: i64,
    ) -> rusqlite::Result<()> {
        let mut forget = file.prepare("DELETE FROM last WHERE subject = ?")?;
        let mut mark = file.prepare("UPDATE subject SET gone = ? WHERE id = ?")?;
        for ((of, _key), entry) in &mut self.subjects {
            if *of == kind && entry.number != number && entry.totals.is_some() {
                forget.execute([entry.id])?;
                mark.execute((time, entry.id))?;
                entry.totals = None;
            }
        }
        Ok(())
    }
}

impl Kind {
    pub(super) fn of(number: i64) -> Option<Self> {
        let all = [Self::Relay, Self::Peer, Self::Dropped, Self::Pair, Self::Rule];
        all.into_iter().find(|kind| *kind as i64 == number)
    }
}

/// The time of the first and the latest sample.
pub(super) fn span(file: &Connection) -> rusqlite::Result<Option<(u64, u64)>> {
    let state = file.query_row("SELECT first, latest FROM state WHERE id = 1", (), |row| {
        Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?))
    });
    let time = |time: i64| u64::try_from(time).unwrap_or(0);
    let (first, latest) = state.optional()?.unwrap_or((None, None));
    Ok(first.zip(latest).map(|(first, latest)| (time(first), time(latest))))
}
