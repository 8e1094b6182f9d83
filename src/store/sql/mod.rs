//! The stores in SQL: every operation once, for both engines. One connection writes and commits for everyone who waits
//! (`writer`); a few others read. How an engine is opened, checked and kept is `sqlite`'s and `postgres`' affair.

mod answers;
mod audit;
mod conditions;
mod deliveries;
mod dialect;
mod endpoints;
mod engine;
mod files;
mod garbage;
mod jobs;
mod records;
mod rows;
mod tallies;
mod tenants;
mod writer;

use tokio::sync::watch;

use super::held::HeldWrites;
use super::lock_file::LockFile;
use super::{HeldStore, Pending};
pub(super) use audit::append_record;
pub(super) use engine::{Connection, Readers, Row, unavailable};
pub(super) use rows::from_json;
#[cfg(test)]
pub(super) use tallies::tally;
pub(super) use writer::Link;
use writer::{Write, Writer};

/// A store in SQL.
#[derive(Debug)]
pub struct SqlStore {
    writer: Writer,
    readers: Readers,
    /// Held while the server owns the folder that the store lies in.
    _lock: Option<LockFile>,
    /// Why it cannot be written any more, once it cannot.
    ended: Option<watch::Receiver<Option<String>>>,
}

impl SqlStore {
    pub(super) fn start(link: impl Link, readers: Readers, lock: Option<LockFile>) -> Self {
        Self { writer: Writer::start(link), readers, _lock: lock, ended: None }
    }

    /// It may end before its server does.
    pub(super) fn ending(self, ended: watch::Receiver<Option<String>>) -> Self {
        Self { ended: Some(ended), ..self }
    }

    /// Waits until another server has taken the store over, or whatever else forbids this one to write ever again: it must
    /// end. A store that one process owns for good never does.
    pub fn ended(&self) -> impl Future<Output = String> + Send + use<> {
        let ended = self.ended.clone();
        async move {
            if let Some(mut ended) = ended
                && let Ok(why) = ended.wait_for(Option::is_some).await
                && let Some(why) = why.as_ref()
            {
                return why.clone();
            }
            std::future::pending().await
        }
    }
}

impl HeldStore for SqlStore {
    fn commit(&self, held: HeldWrites) -> Pending<'_, ()> {
        Box::pin(async move {
            let (writes, afterwards) = held.parts::<Write>();
            self.writer.write_all(writes).await?;
            afterwards();
            Ok(())
        })
    }
}
