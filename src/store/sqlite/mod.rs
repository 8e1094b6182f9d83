//! The embedded store: one SQLite file in WAL mode, fully synced at every commit.
//! One connection writes and commits for everyone who waits (`writer`); a few others read.

mod answers;
mod audit;
#[cfg(test)]
mod audit_tests;
mod conditions;
mod deliveries;
mod endpoints;
mod files;
mod garbage;
mod jobs;
mod open;
mod records;
mod rows;
mod tallies;
mod tenants;
mod writer;

use std::fs::File;

use sqlx::SqlitePool;

use super::held::HeldWrites;
use super::{HeldStore, Pending};
use writer::{Write, Writer};

/// The SQLite store. Dropping it lets the data folder go.
#[derive(Debug)]
pub struct Sqlite {
    writer: Writer,
    readers: SqlitePool,
    /// Held while the server owns the folder.
    _lock: Option<File>,
}

impl HeldStore for Sqlite {
    fn commit(&self, held: HeldWrites) -> Pending<'_, ()> {
        Box::pin(async move {
            let (writes, afterwards) = held.parts::<Write>();
            self.writer.write_all(writes).await?;
            afterwards();
            Ok(())
        })
    }
}
