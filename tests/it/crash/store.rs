//! The store alone: a process admits, hands out and completes as fast as it can, and is killed two hundred times.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use wanserve::domain::asset::{Asset, Variant};
use wanserve::domain::clock::{Clock, Random};
use wanserve::domain::id::{EventId, KeyId, OrganizationId, ProjectId, VideoId, WorkerId};
use wanserve::domain::job::{Holder, Job, JobRequest, JobStatus};
use wanserve::domain::moves::{Move, Outcome, RequeueReason, Spent};
use wanserve::domain::stage::Stage;
use wanserve::domain::video::VideoSpec;
use wanserve::scheduler::{SystemClock, SystemRandom};
use wanserve::storage::{Body, Key, Local, Storage};
use wanserve::store::{Admission, Change, Gates, JobStore, Reach, SqlStore, sqlite};

use super::checker::check;
use super::victim::{FOLDER, Promise, Victim};

const KILLS: usize = 200;

/// Clients of a victim at once: enough for commits to be shared.
const CLIENTS: usize = 8;

/// Promises that a victim makes at most before it is killed.
const MOST_PROMISES: u64 = 60;

#[test]
fn two_hundred_kills_lose_nothing_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut promises = Vec::new();
    for round in 0..KILLS {
        let enough = 1.0 + SystemRandom.fraction() * MOST_PROMISES as f64;
        let made = Victim::start("crash::store::victim", folder.path()).kill_after(enough as usize);
        assert!(!made.is_empty(), "victim {round} promised nothing");
        promises.extend(made);
    }
    std::fs::write(folder.path().join("finish"), "").unwrap();
    promises.extend(Victim::start("crash::store::victim", folder.path()).finish());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = sqlite::open(&folder.path().join("store.db")).await.unwrap();
        let storage = Local::open(&folder.path().join("files")).unwrap();
        check(&store, &storage, &promises).await;
    });
    println!("{KILLS} kills, {} promises, none broken", promises.len());
}

/// The main function of the processes that the test above kills; it does nothing unless it was started as one.
#[test]
fn victim() {
    #[expect(clippy::disallowed_methods, reason = "how the test tells its child where to work")]
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let work = Arc::new(Work::open(Path::new(&folder)).await);
        work.take_over().await;
        if Path::new(&folder).join("finish").exists() {
            return;
        }
        let clients = (0..CLIENTS).map(|_| {
            let work = Arc::clone(&work);
            tokio::spawn(async move {
                loop {
                    let job = work.admit().await;
                    work.run(job).await;
                }
            })
        });
        futures_util::future::join_all(clients).await;
    });
}

/// What a victim does, which other tests do without being killed.
pub(super) struct Work {
    pub(super) store: SqlStore,
    pub(super) storage: Local,
    clock: SystemClock,
}

impl Work {
    pub(super) async fn open(folder: &Path) -> Self {
        Self {
            store: sqlite::open(&folder.join("store.db")).await.unwrap(),
            storage: Local::open(&folder.join("files")).unwrap(),
            clock: SystemClock::default(),
        }
    }

    /// As a server that was killed does at its next start.
    async fn take_over(&self) {
        for mut job in self.store.unfinished().await.unwrap() {
            if job.status.holder.is_some() {
                let (epoch, not_before) = (job.status.epoch, self.clock.now());
                let reason = RequeueReason::HandedBack;
                job = self.change(job.id, Move::Requeue { epoch, reason, not_before }).await;
            }
            self.run(job).await;
        }
    }

    pub(super) async fn admit(&self) -> Job {
        let now = self.clock.now();
        let (organization, project) = owner();
        let job = Job {
            id: VideoId::new(now.0, SystemRandom.id_bytes()),
            organization,
            project,
            key: KeyId::new(1, [0; 10]),
            created_at: now,
            request: JobRequest {
                spec: spec(),
                requested_model: None,
                remixed_from: None,
                input: None,
                metadata: Default::default(),
                asset_ttl_seconds: 3600,
                callback_url: None,
                warnings: vec![],
                trace: None,
            },
            status: JobStatus::new(now),
        };
        let entry = EventId::new(now.0, SystemRandom.id_bytes());
        let admission = Admission { job: job.clone(), gates: Gates::default(), idempotency: None, entry };
        self.store.admit(admission).await.unwrap();
        Promise::Admitted(job.id.to_string()).make();
        job
    }

    pub(super) async fn run(&self, job: Job) {
        let since = self.clock.now();
        let worker = WorkerId::new(since.0, SystemRandom.id_bytes());
        let holder = Holder { worker, name: "victim".to_owned(), local: true, since };
        let job = self.change(job.id, Move::Claim { holder }).await;
        let epoch = job.status.epoch;
        self.change(job.id, Move::Progress { epoch, stage: Stage::Denoising, percent: 40 }).await;
        let asset = self.publish(&job).await;
        let spent = Spent { gpu_seconds: 1.0, gpu_count: 1, ..Spent::default() };
        let outcome = Outcome { assets: vec![asset], spent, warnings: vec![] };
        self.change(job.id, Move::Complete { epoch, outcome }).await;
        Promise::Completed(job.id.to_string()).make();
    }

    async fn publish(&self, job: &Job) -> Asset {
        let key = Key::Result {
            organization: job.organization,
            project: job.project,
            video: job.id,
            epoch: job.status.epoch,
            variant: Variant::Video,
        };
        let bytes = Bytes::from(format!("{} of epoch {}", job.id, job.status.epoch));
        let stored = self.storage.put(&key, Body::from(bytes)).await.unwrap();
        Asset {
            variant: Variant::Video,
            bytes: stored.bytes,
            sha256: stored.sha256.to_string(),
            width: 224,
            height: 128,
            num_frames: Some(17),
            sheet: None,
        }
    }

    async fn change(&self, video: VideoId, step: Move) -> Job {
        let at = self.clock.now();
        let event = EventId::new(at.0, SystemRandom.id_bytes());
        let change = Change { reach: Reach::Everywhere, video, step, at, event, by: None };
        self.store.change(change).await.unwrap()
    }
}

/// Whose jobs they are.
pub(super) fn owner() -> (OrganizationId, ProjectId) {
    (OrganizationId::new(1, [0; 10]), ProjectId::new(1, [0; 10]))
}

fn spec() -> VideoSpec {
    serde_json::from_value(serde_json::json!({
        "model": "wan-tiny", "operation": "text_to_video", "prompt": "p", "effective_prompt": "p",
        "size": "224x128", "resolution": "128p", "aspect_ratio": "16:9", "frames": 17, "steps": 1, "seed": 1,
        "sigma_max": 80.0, "ode": false, "boundary": null, "adaptive_resolution": null, "image_fit": null,
        "attention": "original", "sla_topk": null, "quant_linear": false, "normalize_prompt": true
    }))
    .unwrap()
}
