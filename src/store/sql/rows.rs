//! Rows to values and back. A row that cannot be read is reported, never skipped.

use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::engine::Row;
use crate::domain::clock::UnixMillis;
use crate::domain::event::{Event, EventKind};
use crate::domain::job::Job;
use crate::store::StoreError;

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(in crate::store) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// The JSON of a column.
pub(super) fn json<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T, StoreError> {
    from_json(row.get(column)?)
}

/// The id, or whatever else has a text form, of a column.
pub(super) fn parsed<T: FromStr>(row: &Row, column: &str) -> Result<T, StoreError> {
    let text: &str = row.get(column)?;
    text.parse().map_err(|_| StoreError::Corrupt(format!("{column} is {text:?}")))
}

pub(super) fn millis(row: &Row, column: &str) -> Result<UnixMillis, StoreError> {
    let millis: i64 = row.get(column)?;
    Ok(UnixMillis(millis as u64))
}

pub(super) fn job(row: &Row) -> Result<Job, StoreError> {
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

pub(super) fn event(row: &Row) -> Result<Event, StoreError> {
    let kind: &str = row.get("kind")?;
    let kind =
        EventKind::parse(kind).ok_or_else(|| StoreError::Corrupt(format!("an event of kind {kind}")))?;
    Ok(Event {
        id: parsed(row, "id")?,
        kind,
        project: parsed(row, "project")?,
        video: parsed(row, "video")?,
        at: millis(row, "at")?,
        facts: row.get::<Option<&str>>("facts")?.map(from_json).transpose()?,
    })
}

/// Every row, read.
pub(super) fn all<T>(
    rows: &[Row],
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    rows.iter().map(read).collect()
}
