use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use relay_common::PeerCounters;
use rusqlite::{Connection, TransactionBehavior, params_from_iter, types::Value};

use super::{
    Amounts, HistoryError, Sample,
    amounts::COLUMNS,
    file,
    known::{Known, Member},
    level::Level,
    limits::Limits,
    schema::{self, Access, Kind, RELAY, failed},
    thin,
};

/// Records samples in a file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    limits: Limits,
    file: Connection,
    known: Option<Known>,
    notice: Option<String>,
}

impl Store {
    /// Opens a history, or begins one. The directory must exist or be one that this user can create. A
    /// damaged file is renamed, and [`Store::notice`] says so.
    ///
    /// # Errors
    /// Others can write to the file or its directory; it is something else, or of a newer relay; the
    /// system or SQLite fails.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        Self::with(path, Limits::default())
    }

    /// The same, with other limits.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn with(path: &Path, limits: Limits) -> Result<Self, HistoryError> {
        match Self::opened(path, limits, true) {
            Err(error) if error.is_damage() => Self::anew(path, limits, &error),
            opened => opened,
        }
    }

    /// Adds a last sample to a history that exists, before the counters end. Whether there is one.
    ///
    /// # Errors
    /// As [`Store::open`]; and a damaged file stays as it is.
    pub fn add(path: &Path, sample: &Sample) -> Result<bool, HistoryError> {
        match file::require_own(path) {
            Err(HistoryError::Missing { .. }) => return Ok(false),
            own => own?,
        }
        let mut store = Self::opened(path, Limits::default(), false)?;
        store.try_record(sample).map_err(failed(path, "write"))?;
        Ok(true)
    }

    /// What the operator should know: that a damaged file was renamed. Says it once.
    pub fn notice(&mut self) -> Option<String> {
        self.notice.take()
    }

    /// Records by how much the counters grew since the latest sample, all of it or nothing. The first
    /// sample only says where counting begins. What cannot be recorded is in the next sample, too.
    ///
    /// Counts of a longer pause are spread over it evenly; those of counters that began anew are filed
    /// at the time of the sample.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record(&mut self, sample: &Sample) -> Result<(), HistoryError> {
        let recorded = self.try_record(sample).map_err(failed(&self.path, "write"));
        match recorded {
            Err(error) if error.is_damage() => {
                *self = Self::anew(&self.path, self.limits, &error)?;
                self.try_record(sample).map_err(failed(&self.path, "write"))
            }
            recorded => recorded,
        }
    }

    fn opened(path: &Path, limits: Limits, is_checked: bool) -> Result<Self, HistoryError> {
        file::create(path)?;
        let mut connection = schema::connect(path, Access::Write)?;
        schema::prepare(&mut connection, path)?;
        if is_checked {
            schema::check(&connection, path)?;
        }
        // Never reached while what is oldest can be removed.
        let page = schema::pragma(&connection, "page_size").map_err(failed(path, "read"))?;
        let bytes = i64::try_from(limits.bytes).unwrap_or(i64::MAX);
        let pages = bytes.saturating_add(bytes / 2) / page.max(1);
        schema::pragma(&connection, &format!("max_page_count = {pages}"))
            .map_err(failed(path, "limit"))?;
        let path = path.to_owned();
        Ok(Self { path, limits, file: connection, known: None, notice: None })
    }

    /// Renames a damaged file, and begins a new one.
    fn anew(path: &Path, limits: Limits, why: &HistoryError) -> Result<Self, HistoryError> {
        let aside = file::set_aside(path)?;
        let why =
            if let HistoryError::Damaged { why, .. } = why { why.clone() } else { why.to_string() };
        let notice = format!(
            "the history {} was damaged ({why}); it is now {}, and a new one begins",
            path.display(),
            aside.display()
        );
        Ok(Self { notice: Some(notice), ..Self::opened(path, limits, false)? })
    }

    fn try_record(&mut self, sample: &Sample) -> rusqlite::Result<()> {
        let file = self.file.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Taken, so that it is read again if the transaction fails.
        let mut known = Known::current(&file, self.known.take())?;
        let begins =
            sample.peers.as_ref().is_some_and(|family| known.begins(Kind::Peer, &family.life));
        let last = known.latest.filter(|_| !begins);
        let grown = growth(&file, &mut known, sample, self.limits.pairs)?;
        write(&file, last, sample.time, &grown)?;
        known.count(&file, sample.time)?;
        let is_current = !thin::thin(&file, sample.time, &self.limits)?;
        thin::shrink(&file, &self.limits)?;
        file.commit()?;
        self.known = Some(known).filter(|_| is_current);
        Ok(())
    }
}

/// By how much each subject grew.
fn growth(
    file: &Connection,
    known: &mut Known,
    sample: &Sample,
    most_pairs: usize,
) -> rusqlite::Result<BTreeMap<i64, Amounts>> {
    let time = i64::try_from(sample.time).unwrap_or(i64::MAX);
    // The relay has a row in every step, so that it is known in which something was recorded.
    let mut grown = BTreeMap::from([(RELAY, Amounts::default())]);
    let mut add = |id: Option<i64>, growth: &Amounts| {
        if let Some(id) = id.filter(|id| *id == RELAY || !growth.is_none()) {
            grown.entry(id).or_default().add(growth);
        }
    };
    let take = |known: &mut Known, kind, life: &str, members| {
        known.take(file, time, kind, life, members, most_pairs)
    };
    if let Some(family) = &sample.peers {
        let members = family.members.iter().map(|peer| Member {
            key: peer.public_key.as_bytes().to_vec(),
            name: peer.name.clone(),
            totals: Amounts { traffic: peer.traffic, ..Amounts::default() },
        });
        for (member, growth) in take(known, Kind::Peer, &family.life, members.collect())? {
            add(known.id(Kind::Peer, &member.key), &growth);
            add(Some(RELAY), &growth);
        }
    }
    if let Some(family) = &sample.dropped {
        let some = family.members.iter().filter(|(_, _, packets)| *packets > 0);
        let members = some.map(|(sender, label, packets)| {
            let sender = sender.iter().flat_map(|key| key.as_bytes());
            let key = sender.chain(label.as_bytes()).copied().collect();
            let totals = Amounts { dropped: *packets, ..Amounts::default() };
            Member { key, name: Some((*label).to_owned()), totals }
        });
        for (member, growth) in take(known, Kind::Dropped, &family.life, members.collect())? {
            let label = member.name.as_deref().unwrap_or_default().len();
            let sender = &member.key[..member.key.len() - label];
            add(known.id(Kind::Dropped, &member.key), &growth);
            add(known.id(Kind::Peer, sender), &growth);
            add(Some(RELAY), &growth);
        }
    }
    if let Some(family) = &sample.pairs {
        let members = family.members.iter().map(|pair| Member {
            key: [*pair.from.as_bytes(), *pair.to.as_bytes()].concat(),
            name: None,
            totals: received(pair.traffic.packets, pair.traffic.bytes, 0),
        });
        for (member, growth) in take(known, Kind::Pair, &family.life, members.collect())? {
            add(known.id(Kind::Pair, &member.key), &growth);
        }
    }
    if let Some(family) = &sample.rules {
        let members = family.members.iter().map(|rule| Member {
            key: rule.name.as_bytes().to_vec(),
            name: Some(rule.name.clone()),
            totals: received(rule.traffic.packets, rule.traffic.bytes, rule.traffic.flows),
        });
        for (member, growth) in take(known, Kind::Rule, &family.life, members.collect())? {
            add(known.id(Kind::Rule, &member.key), &growth);
        }
    }
    Ok(grown)
}

/// Adds growth to the steps that it belongs to.
fn write(
    file: &Connection,
    last: Option<u64>,
    time: u64,
    grown: &BTreeMap<i64, Amounts>,
) -> rusqlite::Result<()> {
    let (level, steps) = Level::spread(last, time);
    let columns = COLUMNS.join(", ");
    let places = vec!["?"; COLUMNS.len() + 2].join(", ");
    let mut insert = file.prepare(&format!(
        "INSERT INTO {} (step, subject, {columns}) VALUES ({places}) ON CONFLICT DO UPDATE SET {}",
        level.table(),
        thin::adding()
    ))?;
    let parts = u64::try_from(steps.len()).unwrap_or(u64::MAX);
    for (index, step) in (0..).zip(steps) {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        for (&id, growth) in grown {
            let part = growth.part(index, parts);
            if id == RELAY || !part.is_none() {
                let values = [step, id].into_iter().chain(part.signed()).map(Value::Integer);
                insert.execute(params_from_iter(values))?;
            }
        }
    }
    Ok(())
}

fn received(packets: u64, bytes: u64, flows: u64) -> Amounts {
    let traffic = PeerCounters { rx_packets: packets, rx_bytes: bytes, ..PeerCounters::default() };
    Amounts { traffic, flows, ..Amounts::default() }
}
