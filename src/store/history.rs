//! How stores are tested: a check runs on each of them, and random histories must give what they give on the model.

use std::fmt::Debug;

use proptest::prelude::ProptestConfig;

use super::cluster::Database;
use super::{Memory, SqlStore, Store};

/// The time of the first operation of a history, in milliseconds; each further one is a millisecond later.
const BEGIN: u64 = 2000;

/// Enough for the operations to meet in most ways, in a few seconds.
pub(super) fn cases() -> ProptestConfig {
    ProptestConfig { cases: 64, ..ProptestConfig::default() }
}

/// A fresh SQLite store and the folder that it lives in.
pub(super) async fn sqlite() -> (tempfile::TempDir, SqlStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = super::sqlite::open(&folder.path().join("store.db")).await.unwrap();
    (folder, store)
}

/// A fresh PostgreSQL store and the database that it lives in.
pub(super) async fn postgres() -> (Database, SqlStore) {
    let database = Database::new();
    let store = super::postgres::open(&database.url()).await.unwrap();
    (database, store)
}

/// Runs the history on the model and on both engines. Each operation must tell the same, and the contents must be the same
/// in the end.
pub(super) fn compare<O: Debug>(
    history: &[O],
    perform: impl AsyncFn(&dyn Store, &O, u64) -> String,
    contents: impl AsyncFn(&dyn Store) -> String,
) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let model = Memory::default();
        let (_folder, sqlite) = sqlite().await;
        let (_database, postgres) = postgres().await;
        let engines = [("SQLite", &sqlite), ("PostgreSQL", &postgres)];
        for (at, operation) in (BEGIN..).zip(history) {
            let expected = perform(&model, operation, at).await;
            for (name, store) in engines {
                assert_eq!(perform(store, operation, at).await, expected, "{name}: {operation:?}");
            }
        }
        for (name, store) in engines {
            assert_eq!(contents(store).await, contents(&model).await, "{name}");
        }
    });
}

/// Each check as a test of each store.
macro_rules! every_store {
    ($($check:ident)+) => {
        mod memory {
            $(#[tokio::test] async fn $check() { super::$check(&$crate::store::Memory::default()).await; })+
        }
        mod sqlite {
            $(#[tokio::test] async fn $check() {
                let (_folder, store) = $crate::store::history::sqlite().await;
                super::$check(&store).await;
            })+
        }
        mod postgres {
            $(#[tokio::test] async fn $check() {
                let (_database, store) = $crate::store::history::postgres().await;
                super::$check(&store).await;
            })+
        }
    };
}
pub(super) use every_store;
