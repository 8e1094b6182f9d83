//! The embedded store: one SQLite file in WAL mode, fully synced at every commit.

mod older;
mod open;

#[cfg(test)]
mod audit_tests;
#[cfg(test)]
mod tallies_tests;

pub use open::{open, open_beside};

use super::StoreError;
use super::sql::{Connection, Link};

/// The connection that writes.
struct Own(Connection);

impl Link for Own {
    async fn begin(&mut self) -> Result<&mut Connection, StoreError> {
        self.0.query("begin immediate").run().await?;
        Ok(&mut self.0)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        let committed = self.0.query("commit").run().await;
        if committed.is_err() {
            self.abandon().await;
        }
        committed.map(|_| ())
    }

    /// SQLite ends some failed transactions by itself, and then there is none to undo.
    async fn abandon(&mut self) {
        if let Err(error) = self.0.query("rollback").run().await {
            tracing::debug!(%error, "no transaction was left to undo");
        }
    }

    /// A file needs no looking after.
    async fn idle(&self) {
        std::future::pending().await
    }

    async fn tend(&mut self) {}

    async fn close(self) -> Result<(), StoreError> {
        self.0.close().await
    }
}
