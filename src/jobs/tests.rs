//! The verbs over the model store, on a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;

use super::*;
use crate::domain::asset::Variant;
use crate::domain::audit::Actor;
use crate::domain::clock::{Clock, UnixMillis};
use crate::domain::file::FilePurpose;
use crate::domain::id::{EventId, KeyId, ServiceAccountId, VideoId};
use crate::domain::job::JobState;
use crate::domain::key::{KEY_RANDOM_BYTES, KeyKind, KeyOwner, KeyText, ProjectScope, Scope};
use crate::domain::moves::Move;
use crate::domain::sample::{self, TestClock, TestRandom};
use crate::metrics::KnownLabels;
use crate::scheduler::{Parts, Policy};
use crate::storage::{self, Body, Key};
use crate::store::{ActiveGate, Change, FileQuery, Gates, JobQuery, KeyStore, Left, Memory, Reach};

pub(super) struct Bench {
    pub(super) store: Arc<dyn Store>,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) clock: Arc<TestClock>,
    pub(super) jobs: Jobs,
}

impl Bench {
    pub(super) async fn new() -> Self {
        Self::with(Arc::new(storage::Memory::default())).await
    }

    pub(super) async fn with(storage: Arc<dyn Storage>) -> Self {
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let clock = Arc::new(TestClock::default());
        let random: Arc<dyn Random> = Arc::new(TestRandom::default());
        let known = KnownLabels { models: &["wan-tiny"], failure_codes: &[], stages: &[], variants: &[] };
        let metrics = Arc::new(Metrics::new(&known));
        let scheduler = Scheduler::start(Parts {
            store: store.clone(),
            storage: storage.clone(),
            clock: clock.clone(),
            random: random.clone(),
            metrics: metrics.clone(),
            // Nobody works here, and that must not matter.
            policy: Policy { worker_absence: Duration::MAX, ..Policy::default() },
        });
        let jobs = Jobs::new(JobsParts {
            store: store.clone(),
            storage: storage.clone(),
            scheduler: scheduler.await.unwrap(),
            clock: clock.clone(),
            random,
            metrics,
        });
        Self { store, storage, clock, jobs }
    }

    pub(super) async fn submit(&self, new: NewJob) -> VideoId {
        self.jobs.submit(scope(), new).await.unwrap().view.job.id
    }

    async fn make(&self, video: VideoId, step: Move) -> Job {
        let at = self.clock.now();
        let event = EventId::new(at.0, [at.0 as u8; 10]);
        self.store
            .change(Change { reach: Reach::Everywhere, video, step, at, event, by: None })
            .await
            .unwrap()
    }

    /// As a worker does it.
    pub(super) async fn complete(&self, video: VideoId) -> Key {
        let job = self.make(video, Move::Claim { holder: sample::holder("cpu") }).await;
        let (organization, project, epoch) = (job.organization, job.project, job.status.epoch);
        let key = Key::Result { organization, project, video, epoch, variant: Variant::Video };
        self.storage.put(&key, Body::from(Bytes::from_static(b"mp4!"))).await.unwrap();
        self.clock.pass(Duration::from_secs(1));
        self.make(video, Move::Complete { epoch, outcome: sample::outcome() }).await;
        key
    }

    pub(super) async fn sweep(&self) {
        self.jobs.sweep(&Retention::default(), self.clock.now()).await;
    }
}

/// Who asks.
pub(super) const BY: Actor = Actor::Server;

pub(super) fn scope() -> ProjectScope {
    sample::scope(1)
}

pub(super) fn new_job() -> NewJob {
    NewJob {
        key: KeyId::new(1, [0; 10]),
        spec: sample::spec(1),
        requested_model: None,
        remixed_from: None,
        input: None,
        metadata: Default::default(),
        asset_ttl_seconds: 3600,
        callback_url: None,
        warnings: vec![],
        gates: Gates::default(),
        max_running: None,
        idempotency: None,
        trace: None,
    }
}

#[tokio::test]
async fn the_same_key_gives_the_same_job_and_another_request_is_refused() {
    let bench = Bench::new().await;
    let with = |fingerprint: &str| NewJob {
        idempotency: Some(IdempotencyUse {
            route: "/v1/videos".to_owned(),
            key: "k".to_owned(),
            fingerprint: fingerprint.to_owned(),
        }),
        ..new_job()
    };
    let first = bench.jobs.submit(scope(), with("a")).await.unwrap();
    assert_eq!((first.replayed, first.view.outlook.queue_position), (false, Some(1)));
    let again = bench.jobs.submit(scope(), with("a")).await.unwrap();
    assert_eq!((again.replayed, again.view.job.id), (true, first.view.job.id));
    assert!(matches!(bench.jobs.submit(scope(), with("b")).await, Err(JobsError::KeyReused)));
    bench.clock.pass(Duration::from_secs(24 * 3600 + 1));
    assert!(!bench.jobs.submit(scope(), with("b")).await.unwrap().replayed);
}

fn picture(bytes: &'static [u8]) -> NewInput {
    NewInput::Bytes {
        bytes: Bytes::from_static(bytes),
        width: 4,
        height: 2,
        content_type: "image/png".to_owned(),
        file_id: None,
    }
}

fn input_key(video: VideoId) -> Key {
    Key::Input { organization: scope().organization, project: scope().project, video }
}

#[tokio::test]
async fn every_job_has_an_input_of_its_own_which_is_erased_with_it() {
    let bench = Bench::new().await;
    let video = bench.submit(NewJob { input: Some(picture(b"png")), ..new_job() }).await;
    let image = bench.jobs.get(scope(), video).await.unwrap().job.request.input.unwrap();
    assert_eq!((image.width, image.height), (4, 2));
    let again = NewJob { input: Some(NewInput::Of(video, image.clone())), ..new_job() };
    let remix = bench.submit(again.clone()).await;
    assert_eq!(bench.jobs.get(scope(), remix).await.unwrap().job.request.input, Some(image));
    bench.jobs.cancel(scope(), video, BY).await.unwrap();
    bench.jobs.delete(scope(), video, BY).await.unwrap();
    assert_eq!(bench.storage.head(&input_key(video)).await.unwrap(), None);
    assert_eq!(bench.storage.head(&input_key(remix)).await.unwrap(), Some(3));
    assert!(matches!(bench.jobs.submit(scope(), again).await, Err(JobsError::SourceGone)));
    bench.jobs.cancel(scope(), remix, BY).await.unwrap();
    bench.clock.pass(Duration::from_secs(31 * 24 * 3600));
    bench.sweep().await;
    assert_eq!(bench.storage.head(&input_key(remix)).await.unwrap(), None);
    assert_eq!(bench.store.garbage(UnixMillis(u64::MAX >> 1), 10).await.unwrap(), []);
}

#[tokio::test]
async fn an_input_that_no_job_came_to_name_is_removed() {
    let bench = Bench::new().await;
    let full = Gates { active: vec![ActiveGate { model: None, most: 0 }], ..Gates::default() };
    let full = NewJob { input: Some(picture(b"png")), gates: full, ..new_job() };
    assert!(matches!(bench.jobs.submit(scope(), full).await, Err(JobsError::TooManyActive { .. })));
    let left = bench.store.garbage(UnixMillis(u64::MAX >> 1), 10).await.unwrap();
    let Left::Input { video } = left[0].left else { panic!("{left:?}") };
    assert_eq!(bench.storage.head(&input_key(video)).await.unwrap(), Some(3));
    bench.clock.pass(Duration::from_secs(2 * 3600));
    bench.sweep().await;
    assert_eq!(bench.storage.head(&input_key(video)).await.unwrap(), None);
}

#[tokio::test]
async fn a_file_is_kept_until_its_time_or_its_deletion() {
    let bench = Bench::new().await;
    let new = |lives| NewFile {
        filename: "a.png".to_owned(),
        purpose: FilePurpose::Vision,
        content_type: "image/png".to_owned(),
        bytes: 3,
        chunks: Box::pin(futures_util::stream::iter([Ok(Bytes::from_static(b"png"))])),
        lives: Duration::from_secs(lives),
    };
    let file = bench.jobs.add_file(scope(), new(3600)).await.unwrap();
    assert_eq!((file.bytes, file.expires_at), (3, file.created_at.after(Duration::from_secs(3600))));
    assert_eq!(bench.jobs.file_bytes(&file).await.unwrap(), "png");
    assert!(matches!(bench.jobs.file(sample::scope(2), file.id).await, Err(JobsError::NoSuchFile)));
    assert!(matches!(bench.jobs.delete_file(sample::scope(2), file.id).await, Err(JobsError::NoSuchFile)));
    let other = bench.jobs.add_file(scope(), new(7200)).await.unwrap();
    bench.jobs.delete_file(scope(), other.id).await.unwrap();
    assert!(matches!(bench.jobs.file_bytes(&other).await, Err(JobsError::NoSuchFile)));
    bench.clock.pass(Duration::from_secs(3600));
    assert!(matches!(bench.jobs.file(scope(), file.id).await, Err(JobsError::NoSuchFile)));
    assert_eq!(bench.jobs.file_bytes(&file).await.unwrap(), "png", "not swept yet");
    bench.sweep().await;
    assert!(matches!(bench.jobs.file_bytes(&file).await, Err(JobsError::NoSuchFile)));
    let short = NewFile { bytes: 9, ..new(3600) };
    assert!(matches!(bench.jobs.add_file(scope(), short).await, Err(JobsError::Storage(_))));
    assert_eq!(
        bench.jobs.files(scope(), FileQuery { limit: 9, ..FileQuery::default() }).await.unwrap().files,
        []
    );
}

#[tokio::test]
async fn a_stranger_sees_nothing() {
    let bench = Bench::new().await;
    let (video, stranger) = (bench.submit(new_job()).await, sample::scope(2));
    assert!(matches!(bench.jobs.get(stranger, video).await, Err(JobsError::NotFound)));
    assert!(matches!(bench.jobs.cancel(stranger, video, BY).await, Err(JobsError::NotFound)));
    assert!(matches!(bench.jobs.delete(stranger, video, BY).await, Err(JobsError::NotFound)));
    let content = bench.jobs.content(stranger, video, Variant::Video).await;
    assert!(matches!(content, Err(JobsError::NotFound)));
    let behind = JobQuery { after: Some(video), limit: 1, ..JobQuery::default() };
    assert!(matches!(bench.jobs.list(stranger, behind).await, Err(JobsError::UnknownAfter)));
}

#[tokio::test]
async fn cancelling_twice_is_once_and_a_done_job_stays_done() {
    let bench = Bench::new().await;
    let video = bench.submit(new_job()).await;
    for _ in 0..2 {
        let view = bench.jobs.cancel(scope(), video, BY).await.unwrap();
        assert!(view.job.status.is_cancelled());
    }
    assert_eq!(bench.store.pending_events(10).await.unwrap().len(), 1);
    assert!(matches!(bench.jobs.content(scope(), video, Variant::Video).await, Err(JobsError::NotAvailable)));
    let done = bench.submit(new_job()).await;
    bench.complete(done).await;
    let refused = bench.jobs.cancel(scope(), done, BY).await;
    assert!(matches!(refused, Err(JobsError::NotCancellable(JobState::Completed))));
}

#[tokio::test]
async fn a_waiter_is_woken_by_the_end() {
    let bench = Bench::new().await;
    let video = bench.submit(new_job()).await;
    let wait = bench.jobs.wait(scope(), video, Duration::from_secs(60));
    let (view, _) = futures_util::join!(wait, bench.jobs.cancel(scope(), video, BY));
    assert!(view.unwrap().job.status.state.is_terminal());
    let other = bench.submit(new_job()).await;
    let view = bench.jobs.wait(scope(), other, Duration::ZERO).await.unwrap();
    assert_eq!(view.job.status.state, JobState::Queued);
}

#[tokio::test]
async fn content_is_there_from_completion_to_expiry() {
    let bench = Bench::new().await;
    let video = bench.submit(new_job()).await;
    let content = async || bench.jobs.content(scope(), video, Variant::Video).await;
    assert!(matches!(content().await, Err(JobsError::NotReady { eta_seconds: None })));
    let key = bench.complete(video).await;
    let found = content().await.unwrap();
    let part = bench.jobs.read(&found, Some(1..3)).await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(&part[..], b"p4");
    let thumbnail = bench.jobs.content(scope(), video, Variant::Thumbnail).await;
    assert!(matches!(thumbnail, Err(JobsError::NoSuchVariant)));
    bench.clock.pass(Duration::from_secs(3600));
    assert!(matches!(content().await, Err(JobsError::Expired)));
    bench.sweep().await;
    assert_eq!(bench.storage.head(&key).await.unwrap(), None);
    let job = bench.jobs.get(scope(), video).await.unwrap().job;
    assert_eq!((job.status.state, job.status.assets.len()), (JobState::Completed, 0));
    bench.clock.pass(Duration::from_secs(31 * 24 * 3600));
    bench.sweep().await;
    assert!(matches!(bench.jobs.get(scope(), video).await, Err(JobsError::NotFound)));
}

#[tokio::test]
async fn deleting_takes_the_files_and_nothing_that_runs() {
    let bench = Bench::new().await;
    let video = bench.submit(new_job()).await;
    assert!(matches!(bench.jobs.delete(scope(), video, BY).await, Err(JobsError::InProgress)));
    let key = bench.complete(video).await;
    bench.jobs.delete(scope(), video, BY).await.unwrap();
    assert_eq!(bench.storage.head(&key).await.unwrap(), None);
    assert!(matches!(bench.jobs.delete(scope(), video, BY).await, Err(JobsError::NotFound)));
    let far = UnixMillis(u64::MAX >> 1);
    assert_eq!(bench.store.garbage(far, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_wrong_secret_costs_the_same_look_up_whether_the_handle_is_in_use_or_nobodys() {
    let store = Arc::new(Memory::default());
    let (clock, random) = (Arc::new(TestClock::default()), Arc::new(TestRandom::default()));
    let keys = Keys::new(store.clone(), clock, random, Pepper::new(1, b"p".to_vec()));
    let terms = KeyTerms {
        name: String::new(),
        owner: KeyOwner::Project { scope: scope(), account: ServiceAccountId::new(1, [0; 10]) },
        scopes: vec![Scope::All],
        expires_at: None,
    };
    let (mut record, text) = keys.create(terms).await.unwrap();
    let mut bytes = [7; KEY_RANDOM_BYTES];
    let stranger = KeyText::new(KeyKind::Project, &bytes);
    // Another secret behind the handle of a key that exists.
    bytes[KEY_RANDOM_BYTES - 1] = 8;
    let wrong = KeyText::new(KeyKind::Project, &bytes);
    assert_eq!(wrong.handle(), stranger.handle());
    record.handle = wrong.handle().to_owned();
    record.digest = stranger.digest(b"p");
    store.save_key(record).await.unwrap();
    let nobody = text;

    assert!(keys.check(&stranger).await.unwrap().is_ok());
    store.take_asked();
    assert!(keys.check(&stranger).await.unwrap().is_ok());
    assert_eq!(store.take_asked(), [], "whoever has the key waits for nothing");
    for text in [&wrong, &nobody, &wrong, &nobody] {
        assert_eq!(keys.check(text).await.unwrap(), Err(KeyRefusal::Unknown));
        assert_eq!(store.take_asked().len(), 1, "{}", text.redacted());
    }
}

#[tokio::test]
async fn a_key_opens_until_it_is_revoked_or_too_old() {
    let bench = Bench::new().await;
    let random: Arc<dyn Random> = Arc::new(TestRandom::default());
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let keys = Keys::new(bench.store.clone(), clock.clone(), random.clone(), Pepper::new(1, b"p".to_vec()));
    let audit = AuditLog::new(bench.store.clone(), clock.clone(), random.clone());
    let first = first_start(&bench.store, &keys, &audit, &*clock, &*random, BY).await.unwrap().unwrap();
    assert!(first_start(&bench.store, &keys, &audit, &*clock, &*random, BY).await.unwrap().is_none());
    let record = keys.check(&first.key).await.unwrap().unwrap();
    assert!(matches!(record.owner, KeyOwner::Project { scope, .. } if scope == first.scope));
    assert_eq!(bench.store.key(record.id).await.unwrap().unwrap().last_used_at, Some(clock.now()));

    let expires_at = Some(clock.now().after(Duration::from_secs(60)));
    let terms = KeyTerms { name: "short".into(), owner: record.owner, scopes: vec![Scope::All], expires_at };
    let (_, short) = keys.create(terms).await.unwrap();
    assert!(keys.check(&short).await.unwrap().is_ok());
    bench.clock.pass(Duration::from_secs(60));
    assert_eq!(keys.check(&short).await.unwrap(), Err(KeyRefusal::Expired));
    keys.revoke(record.id).await.unwrap();
    assert_eq!(keys.check(&first.key).await.unwrap(), Err(KeyRefusal::Unknown));
    let other = Keys::new(bench.store.clone(), clock, random, Pepper::new(1, b"q".to_vec()));
    assert_eq!(other.check(&short).await.unwrap(), Err(KeyRefusal::Unknown), "another pepper opens nothing");
}
