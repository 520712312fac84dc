//! Moves what has become old into longer steps, and removes what is too old or too much.
//!
//! Each sample does a little of it, more than it adds: a clock that is wrong for a while costs little.

use rusqlite::Connection;

use super::{
    amounts::COLUMNS,
    level::Level,
    limits::Limits,
    schema::{RELAY, pragma},
};

/// How much one sample may remove because the file is too large.
const MOST_ACTIONS: usize = 8;

/// Everything that is due at this time. Whether subjects were forgotten.
pub(super) fn thin(file: &Connection, now: u64, limits: &Limits) -> rusqlite::Result<bool> {
    let Limits { seconds_kept_s, minutes_kept_s, hours_kept_s, .. } = *limits;
    lengthen(file, Level::Seconds, Level::Minutes, now.saturating_sub(seconds_kept_s))?;
    lengthen(file, Level::Minutes, Level::Hours, now.saturating_sub(minutes_kept_s))?;
    match drop_hour(file, now.saturating_sub(hours_kept_s))? {
        true => forget_subjects(file),
        false => Ok(false),
    }
}

/// Keeps the file below its limit: the two-minute steps first become hours, the oldest first; then the
/// oldest hours go.
pub(super) fn shrink(file: &Connection, limits: &Limits) -> rusqlite::Result<()> {
    for _ in 0..MOST_ACTIONS {
        if size(file)? <= limits.bytes {
            break;
        }
        let day = 24 * 3600;
        let latest = latest(file, Level::Minutes)?.unwrap_or(0);
        let is_done = lengthen(file, Level::Minutes, Level::Hours, latest.saturating_sub(day))?
            || drop_hour(file, u64::MAX)?
            || lengthen(file, Level::Minutes, Level::Hours, u64::MAX)?
            || lengthen(file, Level::Seconds, Level::Minutes, u64::MAX)?;
        if !is_done {
            break;
        }
    }
    Ok(())
}

/// Bytes in use.
pub(super) fn size(file: &Connection) -> rusqlite::Result<u64> {
    let pages = pragma(file, "page_count")? - pragma(file, "freelist_count")?;
    Ok(u64::try_from(pages * pragma(file, "page_size")?).unwrap_or(0))
}

/// Moves the oldest steps, as many as make one longer step, if that ends before `end`. Whether there
/// was something to move.
fn lengthen(file: &Connection, from: Level, to: Level, end: u64) -> rusqlite::Result<bool> {
    let Some(oldest) = oldest(file, from)? else { return Ok(false) };
    let step = to.step(oldest);
    let next = (step + 1) * to.step_s();
    if next > end {
        return Ok(false);
    }
    let factor = to.step_s() / from.step_s();
    let (columns, sums) =
        (COLUMNS.join(", "), COLUMNS.map(|name| format!("sum({name})")).join(", "));
    let add = adding();
    let (source, target) = (from.table(), to.table());
    let before = i64::try_from(from.step(next)).unwrap_or(i64::MAX);
    file.execute(
        &format!(
            "INSERT INTO {target} (step, subject, {columns}) \
             SELECT step / {factor}, subject, {sums} FROM {source} WHERE step < ?1 GROUP BY 1, 2 \
             ON CONFLICT DO UPDATE SET {add}"
        ),
        [before],
    )?;
    file.execute(&format!("DELETE FROM {source} WHERE step < ?1"), [before])?;
    Ok(true)
}

/// Removes the oldest hour, if it ends before `end`. Whether there was one.
fn drop_hour(file: &Connection, end: u64) -> rusqlite::Result<bool> {
    let Some(oldest) = oldest(file, Level::Hours)? else { return Ok(false) };
    if oldest.saturating_add(Level::Hours.step_s()) > end {
        return Ok(false);
    }
    let step = i64::try_from(Level::Hours.step(oldest)).unwrap_or(i64::MAX);
    file.execute(
        "DELETE FROM hours WHERE step <= ?1 AND subject IN (SELECT id FROM subject)",
        [step],
    )?;
    Ok(true)
}

/// Removes what has gone and has no counts any more. What went more than eight days before the latest
/// sample has none but in hours.
fn forget_subjects(file: &Connection) -> rusqlite::Result<bool> {
    let forgotten = file.execute(
        "DELETE FROM subject WHERE gone < (SELECT latest FROM state) - 691200 \
         AND NOT EXISTS (SELECT 1 FROM hours WHERE hours.subject = subject.id)",
        (),
    )?;
    Ok(forgotten > 0)
}

/// Sets each column to the sum of what is there and what is inserted.
pub(super) fn adding() -> String {
    COLUMNS.map(|name| format!("{name} = {name} + excluded.{name}")).join(", ")
}

/// When the oldest step begins in which something was recorded.
fn oldest(file: &Connection, level: Level) -> rusqlite::Result<Option<u64>> {
    edge(file, level, "min")
}

fn latest(file: &Connection, level: Level) -> rusqlite::Result<Option<u64>> {
    edge(file, level, "max")
}

fn edge(file: &Connection, level: Level, which: &str) -> rusqlite::Result<Option<u64>> {
    // The relay has a row in each step that has any, and in hours only its rows are in order.
    let only =
        if level == Level::Hours { format!("WHERE subject = {RELAY}") } else { String::new() };
    let query = format!("SELECT {which}(step) FROM {} {only}", level.table());
    let step: Option<i64> = file.query_row(&query, (), |row| row.get(0))?;
    Ok(step.and_then(|step| u64::try_from(step).ok()).map(|step| step * level.step_s()))
}
