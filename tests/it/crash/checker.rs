//! Compares what was promised with what is there: the invariants I1, I3, I4, I6 and I7.

use std::collections::HashMap;

use wanserve::domain::asset::Variant;
use wanserve::domain::clock::UnixMillis;
use wanserve::domain::event::EventKind;
use wanserve::domain::id::VideoId;
use wanserve::domain::job::{Job, JobState};
use wanserve::domain::usage::UsageRecord;
use wanserve::storage::{Key, Storage};
use wanserve::store::{Reach, Store, UsageQuery};

use super::victim::Promise;

/// Fails unless every admitted job exists once, has ended, is told once, booked once, and its file is what its row says.
pub(super) async fn check(store: &dyn Store, storage: &dyn Storage, promises: &[Promise]) {
    assert_eq!(store.unfinished().await.unwrap(), [], "every job ends");
    let mut booked: HashMap<VideoId, Vec<UsageRecord>> = HashMap::new();
    for promise in promises {
        let (Promise::Admitted(video) | Promise::Completed(video)) = promise;
        let video: VideoId = video.parse().unwrap();
        let job = store.job(Reach::Everywhere, video).await.unwrap();
        let job = job.unwrap_or_else(|| panic!("{promise:?}, and the job is lost"));
        if booked.is_empty() {
            booked = all_bookings(store, &job).await;
        }
        if matches!(promise, Promise::Completed(_)) {
            assert_eq!(job.status.state, JobState::Completed, "{promise:?}");
        }
        check_end(store, &job).await;
        check_file(storage, &job).await;
        assert_eq!(booked.get(&video).map_or(0, Vec::len), 1, "{video} is booked once");
    }
}

async fn all_bookings(store: &dyn Store, job: &Job) -> HashMap<VideoId, Vec<UsageRecord>> {
    let query = UsageQuery {
        organization: job.organization,
        project: None,
        from: UnixMillis(0),
        to: UnixMillis(i64::MAX as u64),
    };
    let mut booked: HashMap<VideoId, Vec<UsageRecord>> = HashMap::new();
    for record in store.usage(query).await.unwrap() {
        booked.entry(record.video).or_default().push(record);
    }
    booked
}

async fn check_end(store: &dyn Store, job: &Job) {
    let events = store.events(Reach::Everywhere, job.id).await.unwrap();
    let ends: Vec<_> = events.iter().filter(|event| event.kind != EventKind::InProgress).collect();
    assert_eq!(ends.len(), 1, "{} is told once: {events:?}", job.id);
    assert_eq!(ends[0].kind == EventKind::Completed, job.status.state == JobState::Completed);
}

async fn check_file(storage: &dyn Storage, job: &Job) {
    let videos = job.status.assets.iter().filter(|asset| asset.variant == Variant::Video).count();
    let completed = job.status.state == JobState::Completed;
    assert_eq!(videos, usize::from(completed), "a completed job has one video, another none: {}", job.id);
    for asset in &job.status.assets {
        let key = Key::Result {
            organization: job.organization,
            project: job.project,
            video: job.id,
            epoch: job.status.epoch,
            variant: asset.variant,
        };
        let mut chunks = storage.get(&key, None).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(chunk) = futures_util::StreamExt::next(&mut chunks).await {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        let digest = <sha2::Sha256 as sha2::Digest>::digest(&bytes);
        assert_eq!(wanserve::storage::Sha256(digest.into()).to_string(), asset.sha256, "{}", job.id);
    }
}
