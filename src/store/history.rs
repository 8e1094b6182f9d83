//! How stores are tested: a check runs on each of them, and random histories must give what they give on the model.

use std::fmt::Debug;

use proptest::prelude::ProptestConfig;

use super::{Memory, Sqlite, Store};

/// The time of the first operation of a history, in milliseconds; each further one is a millisecond later.
const BEGIN: u64 = 2000;

/// Enough for the operations to meet in most ways, in a few seconds.
pub(super) fn cases() -> ProptestConfig {
    ProptestConfig { cases: 64, ..ProptestConfig::default() }
}

/// A fresh SQLite store and the folder that it lives in.
pub(super) async fn sqlite() -> (tempfile::TempDir, Sqlite) {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("store.db")).await.unwrap();
    (folder, store)
}

/// Runs the history on the model and on SQLite. Each operation must tell the same, and the contents must be the same in the end.
pub(super) fn compare<O: Debug>(
    history: &[O],
    perform: impl AsyncFn(&dyn Store, &O, u64) -> String,
    contents: impl AsyncFn(&dyn Store) -> String,
) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let model = Memory::default();
        let (_folder, store) = sqlite().await;
        for (at, operation) in (BEGIN..).zip(history) {
            let expected = perform(&model, operation, at).await;
            let found = perform(&store, operation, at).await;
            assert_eq!(found, expected, "{operation:?}");
        }
        assert_eq!(contents(&store).await, contents(&model).await);
    });
}

/// Each check as a test of each store.
macro_rules! both_stores {
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
    };
}
pub(super) use both_stores;
