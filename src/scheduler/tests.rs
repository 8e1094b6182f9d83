//! The scheduler against the model store, on a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::domain::asset::Variant;
use crate::domain::clock::Clock;
use crate::domain::failure::{FailureClass, FailureCode};
use crate::domain::id::{VideoId, WorkerId};
use crate::domain::job::{Job, JobState};
use crate::domain::lease::{
    Complete, Cost, Fail, Heartbeat, HeartbeatAnswer, HostedModel, Lease, LeaseRequest, ModelLoad, Orders,
    PROTOCOL, WorkerHello,
};
use crate::domain::model::ModelId;
use crate::domain::sample::{self, TestClock, TestRandom};
use crate::domain::stage::{Stage, Timings};
use crate::metrics::{KnownLabels, Metrics};
use crate::storage::{self, Body, Key, Storage};
use crate::store::{Admission, Gates, JobStore, Memory, OutboxStore, Reach};

/// A scheduler with all that it stands on.
pub(super) struct Bench {
    metrics: Arc<Metrics>,
    pub(super) store: Arc<Memory>,
    storage: Arc<storage::Memory>,
    clock: Arc<TestClock>,
    pub(super) scheduler: Scheduler,
    watchdog: Watchdog,
}

impl Bench {
    pub(super) async fn new() -> Self {
        let (store, clock) = (Arc::new(Memory::default()), Arc::new(TestClock::default()));
        let storage = Arc::new(storage::Memory::default());
        let metrics = metrics();
        let scheduler = Self::start(&store, &storage, &clock, &metrics).await;
        Self { metrics, store, storage, clock, scheduler, watchdog: Watchdog::default() }
    }

    async fn start(
        store: &Arc<Memory>,
        storage: &Arc<storage::Memory>,
        clock: &Arc<TestClock>,
        metrics: &Arc<Metrics>,
    ) -> Scheduler {
        let parts = Parts {
            store: store.clone(),
            storage: storage.clone(),
            clock: clock.clone(),
            random: Arc::new(TestRandom::default()),
            metrics: metrics.clone(),
            policy: Policy::default(),
        };
        Scheduler::start(parts).await.unwrap()
    }

    /// As if the server had been killed and started again.
    async fn restart(&mut self) {
        self.metrics = metrics();
        self.scheduler = Self::start(&self.store, &self.storage, &self.clock, &self.metrics).await;
        self.watchdog = Watchdog::default();
    }

    pub(super) async fn submit(&self, project: u64, number: u64) -> VideoId {
        let created = self.clock.now().0 - 1000 + number;
        let job = sample::job(project, created);
        self.store
            .admit(Admission {
                entry: sample::entry(&job),
                job: job.clone(),
                gates: Gates::default(),
                idempotency: None,
            })
            .await
            .unwrap();
        self.scheduler.submitted(&job);
        job.id
    }

    pub(super) async fn worker(&self, name: &str, local: bool) -> WorkerId {
        let hello = WorkerHello {
            protocol: PROTOCOL,
            name: name.to_owned(),
            host: "here".to_owned(),
            version: "0".to_owned(),
            process: 7,
            devices: vec![],
            models: models(),
        };
        self.scheduler.register(hello, local).await.unwrap().worker
    }

    pub(super) async fn lease(&self, worker: WorkerId) -> Option<Lease> {
        let request = LeaseRequest { models: models(), ..LeaseRequest::default() };
        self.scheduler.lease(worker, request).await.unwrap().lease.map(|lease| *lease)
    }

    async fn beat(
        &self,
        worker: WorkerId,
        lease: &Lease,
        sequence: u64,
    ) -> Result<HeartbeatAnswer, SchedulerError> {
        let beat = Heartbeat {
            worker,
            epoch: lease.epoch,
            sequence,
            stage: Stage::Denoising,
            progress: 30,
            step: 1,
            devices: vec![],
        };
        self.scheduler.heartbeat(lease.video, beat).await
    }

    pub(super) async fn complete(&self, worker: WorkerId, lease: &Lease) -> Result<(), SchedulerError> {
        self.complete_after(worker, lease, &[]).await
    }

    async fn complete_after(
        &self,
        worker: WorkerId,
        lease: &Lease,
        loads: &[ModelLoad],
    ) -> Result<(), SchedulerError> {
        let job = self.job(lease.video).await;
        let (organization, project, video) = (job.organization, job.project, job.id);
        let key = Key::Result { organization, project, video, epoch: lease.epoch, variant: Variant::Video };
        self.storage.put(&key, Body::from(Bytes::from_static(b"mp4!"))).await.unwrap();
        let complete = Complete {
            worker,
            epoch: lease.epoch,
            assets: sample::outcome().assets,
            timings: Timings::default(),
            cost: Cost { gpu_seconds: 1.0, gpu_count: 1, ..Cost::default() },
            warnings: vec![],
            loads: loads.to_vec(),
        };
        self.scheduler.complete(lease.video, complete).await
    }

    pub(super) async fn fail(&self, worker: WorkerId, lease: &Lease, class: FailureClass) {
        self.fail_after(worker, lease, class, &[]).await;
    }

    async fn fail_after(&self, worker: WorkerId, lease: &Lease, class: FailureClass, loads: &[ModelLoad]) {
        let fail = Fail {
            worker,
            epoch: lease.epoch,
            code: FailureCode::EncodingFailed,
            class,
            message: String::new(),
            timings: Timings::default(),
            cost: Cost { gpu_seconds: 0.5, gpu_count: 1, ..Cost::default() },
            loads: loads.to_vec(),
        };
        self.scheduler.fail(lease.video, fail).await.unwrap();
    }

    pub(super) async fn job(&self, video: VideoId) -> Job {
        self.store.job(Reach::Everywhere, video).await.unwrap().unwrap()
    }

    /// Lets time pass in steps that no heartbeat-free lease survives unseen.
    pub(super) async fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.pass(Duration::from_secs(1));
            self.scheduler.tick(&mut self.watchdog).await;
        }
    }
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(&KnownLabels {
        models: &["wan-tiny"],
        failure_codes: &[],
        stages: &[],
        variants: &[],
    }))
}

pub(super) fn models() -> Vec<HostedModel> {
    vec![HostedModel { id: ModelId::new("wan-tiny"), quant_linear: false, resident: true }]
}

fn is_stale<T>(result: &Result<T, SchedulerError>) -> bool {
    matches!(result, Err(SchedulerError::StaleLease))
}

#[tokio::test]
async fn a_job_is_handed_out_made_and_told_once() {
    let bench = Bench::new().await;
    let worker = bench.worker("cpu", true).await;
    assert_eq!(bench.lease(worker).await, None);
    let video = bench.submit(1, 1).await;
    let lease = bench.lease(worker).await.unwrap();
    assert_eq!((lease.video, lease.epoch, lease.attempt), (video, 1, 1));
    assert_eq!(bench.beat(worker, &lease, 1).await.unwrap(), HeartbeatAnswer::default());
    assert_eq!(bench.job(video).await.status.progress, 30);
    bench.clock.pass(Duration::from_secs(2));
    bench.complete(worker, &lease).await.unwrap();
    bench.complete(worker, &lease).await.expect("a repeated report is no error");
    let job = bench.job(video).await;
    assert_eq!((job.status.state, job.status.progress), (JobState::Completed, 100));
    assert_eq!(bench.store.events(Reach::Everywhere, video).await.unwrap().len(), 2);
    assert_eq!(bench.scheduler.estimates()[0].run_seconds, 2.0);
    assert_eq!(bench.scheduler.running(), 0);
}

#[tokio::test]
async fn a_waiting_worker_gets_a_job_the_moment_it_comes() {
    let bench = Bench::new().await;
    let worker = bench.worker("cpu", true).await;
    let request = LeaseRequest { wait_ms: 10_000, models: models(), ..LeaseRequest::default() };
    let waiting = bench.scheduler.lease(worker, request);
    let (answer, video) = futures_util::join!(waiting, bench.submit(1, 1));
    assert_eq!(answer.unwrap().lease.unwrap().video, video);
}

#[tokio::test]
async fn a_silent_worker_loses_its_job_and_is_not_listened_to_any_more() {
    let mut bench = Bench::new().await;
    let (first, second) = (bench.worker("a", false).await, bench.worker("b", false).await);
    let video = bench.submit(1, 1).await;
    let old = bench.lease(first).await.unwrap();
    bench.beat(first, &old, 1).await.unwrap();
    bench.pass(14).await;
    bench.beat(first, &old, 1).await.expect("a heartbeat that does not rise is taken and counts for nothing");
    bench.pass(1).await;
    let job = bench.job(video).await;
    assert_eq!((job.status.state, job.status.stage), (JobState::InProgress, Stage::Requeued));
    assert_eq!(job.status.attempt, 2);
    assert!(is_stale(&bench.beat(first, &old, 2).await));
    bench.pass(1).await;
    let new = bench.lease(second).await.unwrap();
    assert_eq!((new.video, new.epoch, new.attempt), (video, 2, 2));
    assert!(is_stale(&bench.complete(first, &old).await));
    bench.complete(second, &new).await.unwrap();
    assert_eq!(bench.job(video).await.status.state, JobState::Completed);
}

#[tokio::test]
async fn a_hand_out_that_never_arrived_costs_no_attempt() {
    let mut bench = Bench::new().await;
    let worker = bench.worker("cpu", true).await;
    let video = bench.submit(1, 1).await;
    let lost = bench.lease(worker).await.unwrap();
    assert_eq!(bench.lease(worker).await, Some(lost), "asking again gives the same lease");
    bench.pass(5).await;
    assert_eq!(bench.job(video).await.status.attempt, 1);
    assert_eq!(bench.lease(worker).await.unwrap().epoch, 2);
}

#[tokio::test]
async fn a_dead_child_gives_its_job_back_at_once() {
    let mut bench = Bench::new().await;
    let worker = bench.worker("cpu", true).await;
    let video = bench.submit(1, 1).await;
    for attempt in 1..=3 {
        let lease = bench.lease(bench.worker("cpu", true).await).await.unwrap();
        assert_eq!(lease.attempt, attempt);
        bench.scheduler.lost("cpu").await;
        bench.pass(16).await;
    }
    let job = bench.job(video).await;
    assert_eq!(job.status.error.unwrap().code, FailureCode::WorkerLost);
    let gone = LeaseRequest { models: models(), ..LeaseRequest::default() };
    let answer = bench.scheduler.lease(worker, gone).await;
    assert!(matches!(answer, Err(SchedulerError::UnknownWorker)));
}

#[tokio::test]
async fn a_restart_frees_the_jobs_of_children_and_watches_the_others() {
    let mut bench = Bench::new().await;
    let (child, remote) = (bench.worker("cpu", true).await, bench.worker("far", false).await);
    let (one, two) = (bench.submit(1, 1).await, bench.submit(1, 2).await);
    let held = [bench.lease(child).await.unwrap(), bench.lease(remote).await.unwrap()];
    assert_eq!([held[0].video, held[1].video], [one, two]);
    bench.restart().await;
    assert!(is_stale(&bench.complete(child, &held[0]).await));
    bench.complete(remote, &held[1]).await.expect("a worker elsewhere survives a restart of the server");
    let lease = bench.lease(bench.worker("cpu", true).await).await.unwrap();
    assert_eq!((lease.video, lease.epoch, lease.attempt), (one, 2, 1));
}

#[tokio::test]
async fn a_worker_that_says_hello_holds_nothing_even_across_a_restart_of_the_server() {
    let mut bench = Bench::new().await;
    let far = bench.worker("far", false).await;
    let video = bench.submit(1, 1).await;
    bench.lease(far).await.unwrap();
    bench.restart().await;
    let again = bench.worker("far", false).await;
    bench.pass(2).await;
    let lease = bench.lease(again).await.unwrap();
    assert_eq!((lease.video, lease.epoch, lease.attempt), (video, 2, 2));
}

#[tokio::test]
async fn faults_of_the_machine_are_tried_again_and_those_of_the_job_are_not() {
    let mut bench = Bench::new().await;
    let worker = bench.worker("cpu", true).await;
    let video = bench.submit(1, 1).await;
    let lease = bench.lease(worker).await.unwrap();
    bench.fail(worker, &lease, FailureClass::Infra).await;
    assert_eq!(bench.lease(worker).await, None, "not before its time");
    bench.pass(1).await;
    let lease = bench.lease(worker).await.unwrap();
    assert_eq!(lease.attempt, 2);
    bench.fail(worker, &lease, FailureClass::Deterministic).await;
    let job = bench.job(video).await;
    assert_eq!(job.status.error.unwrap().code, FailureCode::EncodingFailed);
    assert_eq!(job.status.usage.unwrap().gpu_seconds, 0.0, "what the platform broke is free");
}

#[tokio::test]
async fn out_of_memory_restarts_the_worker_and_tries_once_more() {
    let mut bench = Bench::new().await;
    let worker = bench.worker("cpu", true).await;
    let video = bench.submit(1, 1).await;
    let lease = bench.lease(worker).await.unwrap();
    bench.fail(worker, &lease, FailureClass::OutOfMemory).await;
    let request = LeaseRequest { wait_ms: 10_000, models: models(), ..LeaseRequest::default() };
    let answer = bench.scheduler.lease(worker, request).await.unwrap();
    assert!(answer.orders.restart && answer.lease.is_none());
    bench.pass(2).await;
    let fresh = bench.worker("cpu", true).await;
    let lease = bench.lease(fresh).await.unwrap();
    bench.fail(fresh, &lease, FailureClass::OutOfMemory).await;
    assert_eq!(bench.job(video).await.status.error.unwrap().code, FailureCode::GpuOutOfMemory);
}

#[tokio::test]
async fn a_running_job_hears_of_its_cancellation_with_the_next_heartbeat() {
    let bench = Bench::new().await;
    let worker = bench.worker("cpu", true).await;
    let video = bench.submit(1, 1).await;
    let lease = bench.lease(worker).await.unwrap();
    let change = crate::store::Change {
        reach: Reach::Everywhere,
        video,
        step: crate::domain::moves::Move::Cancel,
        at: bench.clock.now(),
        event: crate::domain::id::EventId::new(1, [0; 10]),
        by: None,
    };
    bench.scheduler.cancelled(&bench.store.change(change).await.unwrap());
    assert!(bench.beat(worker, &lease, 1).await.unwrap().cancel);
    bench.fail(worker, &lease, FailureClass::Cancelled).await;
    let job = bench.job(video).await;
    assert!(job.status.is_cancelled());
    assert_eq!(job.status.usage.unwrap().gpu_seconds, 0.5, "what was used until then is charged");
}

#[tokio::test]
async fn waiting_and_running_have_their_limits() {
    let mut bench = Bench::new().await;
    let worker = bench.worker("cpu", true).await;
    let runs = bench.submit(1, 1).await;
    let waits = bench.submit(1, 2).await;
    let lease = bench.lease(worker).await.unwrap();
    for sequence in 1..=200 {
        bench.pass(3).await;
        if sequence < 200 {
            bench.beat(worker, &lease, sequence).await.unwrap();
        }
    }
    assert_eq!(bench.job(runs).await.status.error.unwrap().code, FailureCode::GenerationTimeout);
    bench.pass(3001).await;
    assert_eq!(bench.job(waits).await.status.error.unwrap().code, FailureCode::QueueTimeout);
}

#[tokio::test]
async fn a_draining_server_hands_nothing_out_and_ends_when_its_jobs_do() {
    let bench = Bench::new().await;
    let worker = bench.worker("cpu", true).await;
    bench.submit(1, 1).await;
    let lease = bench.lease(worker).await.unwrap();
    bench.submit(1, 2).await;
    bench.scheduler.drain();
    assert!(bench.beat(worker, &lease, 1).await.unwrap().orders.drain);
    let ends = async { bench.complete(worker, &lease).await.unwrap() };
    futures_util::join!(bench.scheduler.idle(), ends);
    assert_eq!(bench.lease(worker).await, None);
    bench.scheduler.stop_workers();
    let request = LeaseRequest { wait_ms: 10_000, models: models(), ..LeaseRequest::default() };
    let orders = bench.scheduler.lease(worker, request).await.unwrap().orders;
    assert_eq!(orders, Orders { drain: true, restart: false, stop: true });
}

#[tokio::test]
async fn a_worker_that_is_to_restart_gives_its_job_back_when_patience_ends() {
    let bench = Bench::new().await;
    let worker = bench.worker("cpu", true).await;
    bench.submit(1, 1).await;
    let lease = bench.lease(worker).await.unwrap();
    let orders = Orders { drain: true, restart: true, stop: false };
    assert!(bench.scheduler.order(worker, orders, Some(Duration::from_secs(5))));
    assert_eq!(bench.beat(worker, &lease, 1).await.unwrap().orders, orders);
    bench.clock.pass(Duration::from_secs(4));
    assert_eq!(bench.beat(worker, &lease, 2).await.unwrap().orders, orders);
    bench.clock.pass(Duration::from_secs(1));
    assert_eq!(bench.beat(worker, &lease, 3).await.unwrap().orders, Orders { stop: true, ..orders });
    assert!(bench.scheduler.order(worker, Orders::default(), None));
    assert_eq!(bench.beat(worker, &lease, 4).await.unwrap().orders, Orders::default(), "the last word holds");
}

#[tokio::test]
async fn the_outlook_counts_who_goes_first() {
    let bench = Bench::new().await;
    let (first, second) = (bench.submit(1, 1).await, bench.submit(1, 2).await);
    let other = bench.submit(2, 3).await;
    let mut places = Vec::new();
    for video in [first, other, second] {
        places.push(bench.scheduler.outlook(&bench.job(video).await).queue_position);
    }
    assert_eq!(places, [Some(1), Some(2), Some(3)]);
    let eta = async || bench.scheduler.outlook(&bench.job(second).await).eta_seconds;
    assert_eq!(eta().await, None, "nothing was measured yet");

    let worker = bench.worker("cpu", true).await;
    let lease = bench.lease(worker).await.unwrap();
    bench.beat(worker, &lease, 1).await.unwrap();
    bench.clock.pass(Duration::from_secs(8));
    bench.complete(worker, &lease).await.unwrap();
    // One job ahead that is charged 1 s, and eight seconds of its own.
    assert_eq!(eta().await, Some(9.0));
}

#[tokio::test]
async fn every_load_of_a_model_is_observed_once_however_its_job_ends() {
    let mut bench = Bench::new().await;
    let load = |number| ModelLoad { number, model: ModelId::new("wan-tiny"), seconds: 1.5 };
    let told = |loads: &[ModelLoad]| LeaseRequest {
        models: models(),
        loads: loads.to_vec(),
        ..LeaseRequest::default()
    };
    let count = |bench: &Bench| bench.metrics.model_load_duration_seconds.count(["wan-tiny"]);
    let worker = bench.worker("cpu", true).await;
    // At the start, without a job; its answer is lost, so it is told again.
    for _ in 0..2 {
        bench.scheduler.lease(worker, told(&[load(1)])).await.unwrap();
    }
    assert_eq!(count(&bench), 1);
    assert_eq!(bench.worker("cpu", true).await, worker, "the same process says hello again");
    bench.scheduler.lease(worker, told(&[load(1)])).await.unwrap();
    assert_eq!(count(&bench), 1);

    let failing = bench.submit(1, 1).await;
    let lease = bench.lease(worker).await.unwrap();
    bench.fail_after(worker, &lease, FailureClass::Deterministic, &[load(2)]).await;
    assert_eq!((bench.job(failing).await.status.state, count(&bench)), (JobState::Failed, 2));

    bench.submit(1, 2).await;
    let lease = bench.lease(worker).await.unwrap();
    for _ in 0..2 {
        bench.complete_after(worker, &lease, &[load(2), load(3)]).await.unwrap();
    }
    assert_eq!(count(&bench), 3);
    bench.scheduler.lease(worker, told(&[load(3), load(4)])).await.unwrap();
    assert_eq!(count(&bench), 4, "a load that a lost job had needed comes with the next request");

    bench.restart().await;
    let worker = bench.worker("cpu", true).await;
    bench.scheduler.lease(worker, told(&[load(5)])).await.unwrap();
    assert_eq!(count(&bench), 1, "another server counts what it is told");
}

#[tokio::test]
async fn no_job_is_taken_that_nobody_would_do() {
    let mut bench = Bench::new().await;
    let model = ModelId::new("wan-tiny");
    assert_eq!(bench.scheduler.admits(&model), Ok(()), "workers may be on their way");
    bench.pass(61).await;
    assert_eq!(bench.scheduler.admits(&model), Err(Overload::NoWorker { depth: 0 }));
    let worker = bench.worker("cpu", true).await;
    bench.lease(worker).await;
    assert_eq!(bench.scheduler.admits(&model), Ok(()));
    bench.scheduler.lost("cpu").await;
    assert_eq!(bench.scheduler.admits(&model), Ok(()), "a restart is no outage");
}
