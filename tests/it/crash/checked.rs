//! The checker finds what it is there to find: a job that is lost, one that never ends, a file that is gone or changed,
//! an end that is told twice or never, a booking that is missing.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use wanserve::domain::asset::Variant;
use wanserve::domain::id::VideoId;
use wanserve::storage::{Body, Key, Storage};

use super::checker::check;
use super::store::Work;
use super::victim::Promise;

/// Whether the promises are found to be kept.
async fn kept(work: &Arc<Work>, promises: &[Promise]) -> bool {
    let (work, promises) = (Arc::clone(work), promises.to_vec());
    tokio::spawn(async move { check(&work.store, &work.storage, &promises).await }).await.is_ok()
}

/// Changes rows behind the store's back, and how many it changed.
async fn tamper(folder: &Path, statement: &'static str) {
    let mut rows = SqliteConnectOptions::new().filename(folder.join("store.db")).connect().await.unwrap();
    assert_eq!(sqlx::query(statement).execute(&mut rows).await.unwrap().rows_affected(), 1, "{statement}");
}

/// A store in which one job was made, and what its client was promised.
async fn made(folder: &Path) -> (Arc<Work>, [Promise; 2]) {
    let work = Arc::new(Work::open(folder).await);
    let job = work.admit().await;
    let promises = [Promise::Admitted(job.id.to_string()), Promise::Completed(job.id.to_string())];
    assert!(!kept(&work, &promises).await, "a job that has not ended");
    work.run(job).await;
    assert!(kept(&work, &promises).await);
    (work, promises)
}

#[tokio::test]
async fn a_lost_job_and_a_wrong_file_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (work, promises) = made(folder.path()).await;
    let lost = VideoId::new(1, [7; 10]).to_string();
    assert!(!kept(&work, &[Promise::Admitted(lost)]).await, "a job that is not there");

    let (Promise::Admitted(video) | Promise::Completed(video)) = &promises[0];
    let (organization, project) = super::store::owner();
    let video = video.parse().unwrap();
    let key = Key::Result { organization, project, video, epoch: 1, variant: Variant::Video };
    work.storage.delete(&key).await.unwrap();
    assert!(!kept(&work, &promises).await, "a file that is not there");
    work.storage.put(&key, Body::from(Bytes::from_static(b"another's video"))).await.unwrap();
    assert!(!kept(&work, &promises).await, "a file that is not the job's");
}

#[tokio::test]
async fn an_end_told_twice_or_never_and_a_missing_booking_are_noticed() {
    for statement in [
        "delete from usage",
        "delete from events where kind <> 'video.in_progress'",
        "insert into events (id, kind, project, video, at, settled) select substr(id, 1, length(id) - 1) || case substr(id, -1) when '0' then '1' else '0' end,
         kind, project, video, at, settled from events where kind <> 'video.in_progress'",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (work, promises) = made(folder.path()).await;
        tamper(folder.path(), statement).await;
        assert!(!kept(&work, &promises).await, "{statement}");
    }
}
