//! Sweeps under a clock that lies, and over a storage that does not let go of everything.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Retention;
use super::sweep::BATCH;
use super::tests::{BY, Bench, new_job, scope};
use crate::domain::clock::{Clock, UnixMillis};
use crate::domain::id::FileId;
use crate::domain::jump::Jumps;
use crate::storage::{
    Body, Chunks, Key, Memory, Pending, ReadLink, Storage, StorageError, Stored, WriteLink, WriteTerms,
};
use crate::store::{Garbage, Left};

/// Past every time that anything is kept for.
const A_MONTH: Duration = Duration::from_secs(31 * 24 * 3600);

/// Between two sweeps.
const A_MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_clock_that_is_a_month_ahead_for_a_minute_removes_nothing() {
    let bench = Bench::new().await;
    let (done, cancelled) = (bench.submit(new_job()).await, bench.submit(new_job()).await);
    let result = bench.complete(done).await;
    bench.jobs.cancel(scope(), cancelled, BY).await.unwrap();

    let (mut jumps, retention) = (Jumps::default(), Retention::default());
    bench.jobs.sweep_unless_paused(&mut jumps, &retention).await;
    for ahead in [A_MONTH, Duration::ZERO, Duration::ZERO] {
        bench.clock.pass(A_MINUTE);
        bench.clock.set_ahead(ahead);
        bench.jobs.sweep_unless_paused(&mut jumps, &retention).await;
        assert!(!bench.jobs.get(scope(), done).await.unwrap().job.status.expired);
        assert!(bench.jobs.get(scope(), cancelled).await.is_ok());
    }
    assert_eq!(bench.storage.head(&result).await.unwrap(), Some(4));

    // One that stays there is believed after the pause.
    bench.clock.set_ahead(A_MONTH);
    bench.jobs.sweep_unless_paused(&mut jumps, &retention).await;
    assert!(bench.jobs.get(scope(), done).await.is_ok());
    bench.clock.pass(A_MINUTE);
    bench.jobs.sweep_unless_paused(&mut jumps, &retention).await;
    assert!(bench.jobs.get(scope(), done).await.is_err());
}

/// Keeps files that it should delete: those the function names.
struct Clinging {
    memory: Memory,
    keeps: fn(&Key) -> bool,
    asked: Mutex<Vec<Key>>,
}

impl Storage for Clinging {
    fn put<'a>(&'a self, key: &'a Key, body: Body) -> Pending<'a, Stored> {
        self.memory.put(key, body)
    }

    fn get<'a>(&'a self, key: &'a Key, range: Option<Range<u64>>) -> Pending<'a, Chunks> {
        self.memory.get(key, range)
    }

    fn head<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<u64>> {
        self.memory.head(key)
    }

    fn delete<'a>(&'a self, key: &'a Key) -> Pending<'a, ()> {
        self.asked.lock().unwrap().push(*key);
        if (self.keeps)(key) {
            Box::pin(async { Err(StorageError::Refused("AccessDenied".to_owned())) })
        } else {
            self.memory.delete(key)
        }
    }

    fn probe(&self) -> Pending<'_, ()> {
        self.memory.probe()
    }

    fn read_link<'a>(&'a self, key: &'a Key, link: ReadLink<'a>) -> Pending<'a, Option<String>> {
        self.memory.read_link(key, link)
    }

    fn write_link<'a>(&'a self, key: &'a Key, terms: WriteTerms) -> Pending<'a, Option<WriteLink>> {
        self.memory.write_link(key, terms)
    }
}

/// The `number`th deleted file.
fn file(number: u64) -> FileId {
    FileId::new(number, [0; 10])
}

/// Sweeps over two batches of deleted files and one. Answers what is left, and how often a deletion was tried.
async fn sweep_over(keeps: fn(&Key) -> bool) -> (usize, usize) {
    let storage = Arc::new(Clinging { memory: Memory::default(), keeps, asked: Mutex::default() });
    let bench = Bench::with(storage.clone()).await;
    for number in 0..=u64::from(2 * BATCH) {
        let (due, left) = (UnixMillis(number), Left::File { file: file(number) });
        bench.store.reserve(Garbage { due, scope: scope(), left }).await.unwrap();
    }
    let done = bench.submit(new_job()).await;
    bench.complete(done).await;
    bench.clock.pass(A_MONTH);
    bench.jobs.sweep(&Retention::default(), bench.clock.now()).await;
    assert!(bench.jobs.get(scope(), done).await.is_err(), "records do not wait for files");
    let left = bench.store.garbage(UnixMillis(u64::MAX >> 1), 1000).await.unwrap();
    let tried = storage.asked.lock().unwrap().len();
    (left.iter().filter(|garbage| matches!(garbage.left, Left::File { .. })).count(), tried)
}

#[tokio::test]
async fn a_file_that_cannot_be_removed_holds_up_no_other_and_is_tried_once_a_sweep() {
    let all = 2 * BATCH as usize + 1;
    let (left, tried) =
        sweep_over(|key| matches!(key, Key::File { file: kept, .. } if *kept == file(0))).await;
    assert_eq!(left, 1);
    // The files of the job too.
    let others = tried - all;
    assert_eq!(sweep_over(|_| false).await, (0, all + others));
    assert_eq!(sweep_over(|key| matches!(key, Key::File { .. })).await, (all, BATCH as usize));
}
