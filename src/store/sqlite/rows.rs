//! Rows to values and back. A row that cannot be read is reported, never skipped.

use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::domain::clock::UnixMillis;
use crate::domain::event::{Event, EventKind};
use crate::domain::job::Job;
use crate::store::StoreError;

/// The database failed; whatever was asked has not happened.
pub(super) fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// The JSON of a column.
pub(super) fn json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, StoreError> {
    from_json(row.try_get(column).map_err(unavailable)?)
}

/// The id, or whatever else has a text form, of a column.
pub(super) fn parsed<T: FromStr>(row: &SqliteRow, column: &str) -> Result<T, StoreError> {
    let text: &str = row.try_get(column).map_err(unavailable)?;
    text.parse().map_err(|_| StoreError::Corrupt(format!("{column} is {text:?}")))
}

pub(super) fn millis(row: &SqliteRow, column: &str) -> Result<UnixMillis, StoreError> {
    let millis: i64 = row.try_get(column).map_err(unavailable)?;
    Ok(UnixMillis(millis as u64))
}

pub(super) fn job(row: &SqliteRow) -> Result<Job, StoreError> {
    Ok(Job {
        id: parsed(row, "id")?,
        organization: parsed(row, "organization")?,
        project: parsed(row, "project")?,
        key: parsed(row, "key_id")?,
        created_at: millis(row, "created_at")?,
        request: json(row, "request")?,
        status: json(row, "status")?,
    })
}

pub(super) fn event(row: &SqliteRow) -> Result<Event, StoreError> {
    let kind: &str = row.try_get("kind").map_err(unavailable)?;
    let kind =
        EventKind::parse(kind).ok_or_else(|| StoreError::Corrupt(format!("an event of kind {kind}")))?;
    Ok(Event {
        id: parsed(row, "id")?,
        kind,
        project: parsed(row, "project")?,
        video: parsed(row, "video")?,
        at: millis(row, "at")?,
    })
}

/// Every row, read.
pub(super) fn all<T>(
    rows: &[SqliteRow],
    read: impl Fn(&SqliteRow) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    rows.iter().map(read).collect()
}
