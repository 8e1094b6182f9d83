//! The checker finds what it is there to find: a job that is lost, one that never ends, a file that is gone or changed.

use std::sync::Arc;

use bytes::Bytes;
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

#[tokio::test]
async fn every_broken_promise_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let work = Arc::new(Work::open(folder.path()).await);
    let job = work.admit().await;
    let promises = [Promise::Admitted(job.id.to_string()), Promise::Completed(job.id.to_string())];
    assert!(!kept(&work, &promises).await, "a job that has not ended");
    let (organization, project, video) = (job.organization, job.project, job.id);
    work.run(job).await;
    assert!(kept(&work, &promises).await);

    let lost = VideoId::new(1, [7; 10]).to_string();
    assert!(!kept(&work, &[Promise::Admitted(lost)]).await, "a job that is not there");

    let key = Key::Result { organization, project, video, epoch: 1, variant: Variant::Video };
    work.storage.delete(&key).await.unwrap();
    assert!(!kept(&work, &promises).await, "a file that is not there");
    work.storage.put(&key, Body::from(Bytes::from_static(b"another's video"))).await.unwrap();
    assert!(!kept(&work, &promises).await, "a file that is not the job's");
}
