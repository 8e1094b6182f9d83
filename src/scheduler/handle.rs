//! The scheduler as the rest of the server holds it: start, stop, what waits, what runs, how long it will take.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::changes::{Changes, Watch};
use super::estimates::Estimates;
use super::leases::{Held, Leases};
use super::policy::Policy;
use super::presence::Presence;
use super::queue::{Backlog, Queue, Waiting};
use super::report;
use super::workers::{Heard, OrderRefused, WorkerView, Workers};
use crate::domain::clock::{Clock, Moment, Random};
use crate::domain::estimate::{Estimate, Measurement, Shape};
use crate::domain::id::{EventId, ProjectId, VideoId, WorkerId};
use crate::domain::job::Job;
use crate::domain::lease::Orders;
use crate::domain::model::ModelId;
use crate::domain::moves::{BadMove, Move, RequeueReason};
use crate::domain::video::VideoSpec;
use crate::metrics::Metrics;
use crate::storage::Storage;
use crate::store::{Change, Reach, Store, StoreError};

/// What a scheduler works with.
#[derive(Clone)]
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub storage: Arc<dyn Storage>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub metrics: Arc<Metrics>,
    pub policy: Policy,
}

/// A handle; clones share one scheduler.
#[derive(Clone)]
pub struct Scheduler {
    pub(super) inner: Arc<Inner>,
}

/// What is expected of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outlook {
    /// Place in line among the jobs of its model, from 1; only without a worker and before the first one.
    pub queue_position: Option<u64>,
    /// Until it ends; `None` once it has, and while nothing was measured that could tell.
    pub eta_seconds: Option<f64>,
}

/// Why no more jobs should be taken for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Overload {
    #[error("{depth} jobs wait, as many as may")]
    QueueFull { depth: usize },
    #[error("no worker takes jobs of this model now, and {depth} wait")]
    NoWorker { depth: usize },
}

/// What such jobs took so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// From hand-out to completion.
    pub run_seconds: f64,
    /// Charged.
    pub gpu_seconds: f64,
}

pub(super) struct Inner {
    pub(super) parts: Parts,
    pub(super) state: Mutex<State>,
    /// There may be work, or an order.
    pub(super) work: Notify,
    /// A lease has ended.
    pub(super) ended: Notify,
    pub(super) changes: Changes,
    /// Moves that must not stop halfway because a connection was dropped.
    pub(super) moves: TaskTracker,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) estimates: Estimates,
    pub(super) workers: Workers,
    pub(super) leases: Leases,
    pub(super) draining: bool,
    pub(super) presence: Presence,
}

/// Room for another job is promised neither sooner nor later: an estimate may be wrong, and clients stop waiting.
const SOONEST_ROOM: Duration = Duration::from_secs(1);
const LATEST_ROOM: Duration = Duration::from_secs(60);

/// A running job never claims to be done within less.
const LEAST_ETA_SECONDS: f64 = 0.1;

impl Scheduler {
    /// Reads every job that has not ended and takes over: the jobs of dead children go back to the queue at once,
    /// those of workers elsewhere are watched for a full time to live.
    pub async fn start(parts: Parts) -> Result<Self, StoreError> {
        let estimates = Estimates::new(parts.store.estimates().await?);
        let unfinished = parts.store.unfinished().await?;
        let state = State {
            queue: Queue::default(),
            estimates,
            workers: Workers::default(),
            leases: Leases::default(),
            draining: false,
            presence: Presence::since(parts.clock.monotonic()),
        };
        let inner = Inner {
            parts,
            state: Mutex::new(state),
            work: Notify::new(),
            ended: Notify::new(),
            changes: Changes::default(),
            moves: TaskTracker::new(),
        };
        let scheduler = Self { inner: Arc::new(inner) };
        for job in unfinished {
            scheduler.inner.take_over(job).await?;
        }
        Ok(scheduler)
    }

    /// Whether another job of the model can be taken.
    pub fn admits(&self, model: &ModelId) -> Result<(), Overload> {
        let now = self.inner.parts.clock.monotonic();
        let policy = &self.inner.parts.policy;
        let mut state = self.inner.state();
        let depth = state.queue.len();
        if depth >= policy.max_queued {
            return Err(Overload::QueueFull { depth });
        }
        let State { workers, presence, .. } = &mut *state;
        presence.look(workers, now);
        let absence = presence.absence(model, now);
        if absence >= policy.worker_absence { Err(Overload::NoWorker { depth }) } else { Ok(()) }
    }

    /// Whether a worker takes jobs of the model, or did a moment ago.
    pub fn serves(&self, model: &ModelId) -> bool {
        let now = self.inner.parts.clock.monotonic();
        let mut state = self.inner.state();
        let State { workers, presence, .. } = &mut *state;
        presence.look(workers, now);
        presence.seen_within(model, self.inner.parts.policy.worker_absence, now)
    }

    /// A job has been admitted.
    pub fn submitted(&self, job: &Job) {
        self.inner.enqueue(job, None);
    }

    /// A job has been changed from outside, by a cancellation: the queue and its worker learn of it.
    pub fn cancelled(&self, job: &Job) {
        {
            let mut state = self.inner.state();
            if job.status.state.is_terminal() {
                if state.queue.remove(job.id).is_some() {
                    report::ended(&self.inner.parts.metrics, job, None);
                }
            } else if let Some(held) = state.leases.any(job.id) {
                held.job.status.cancel_requested = true;
            }
        }
        self.inner.changes.announce(job.id);
    }

    /// Wakes whoever waits for the job.
    pub fn announce(&self, video: VideoId) {
        self.inner.changes.announce(video);
    }

    /// Wakes at every change of the job from now on.
    pub fn watch(&self, video: VideoId) -> Watch {
        self.inner.changes.watch(video)
    }

    /// What is expected of the job.
    pub fn outlook(&self, job: &Job) -> Outlook {
        if job.status.state.is_terminal() {
            return Outlook::default();
        }
        let now = self.inner.parts.clock.monotonic();
        let mut state = self.inner.state();
        let model = &job.request.spec.model;
        let run = state.estimates.measured_run_seconds(&Shape::of(&job.request.spec));
        if let Some(held) = state.leases.any(job.id) {
            let ran = now.since(held.since).as_secs_f64();
            let eta = run.map(|run| (run - ran).max(run * 0.05).max(LEAST_ETA_SECONDS));
            return Outlook { queue_position: None, eta_seconds: eta };
        }
        // One that stands in line no more is being handed out at this moment, as the first.
        let (place, ahead) = state.queue.outlook(job.id).unwrap_or((1, 0.0));
        let workers = state.workers.ready(Some(model), now).max(1) as f64;
        let running = state.running_seconds(model, now);
        Outlook {
            queue_position: job.status.started_at.is_none().then_some(place),
            eta_seconds: run.map(|run| (ahead + running) / workers + run),
        }
    }

    /// The place in line of a job that no worker ever had.
    pub fn place(&self, video: VideoId) -> Option<u64> {
        let state = self.inner.state();
        state.queue.outlook(video).map(|(place, _)| place)
    }

    /// What a job of this kind is expected to take.
    pub fn expected(&self, spec: &VideoSpec) -> Expected {
        let shape = Shape::of(spec);
        let state = self.inner.state();
        let run_seconds = state.estimates.run_seconds(&shape);
        Expected { run_seconds, gpu_seconds: state.estimates.gpu_seconds(&shape) }
    }

    /// When a job of the same project may end, so that there is room for `job`.
    pub fn next_end(&self, job: &Job) -> Duration {
        let now = self.inner.parts.clock.monotonic();
        let state = self.inner.state();
        let left = |held: &Held| {
            let run = state.estimates.run_seconds(&Shape::of(&held.job.request.spec));
            run - now.since(held.since).as_secs_f64()
        };
        let running = state.leases.all().filter(|held| held.job.project == job.project).map(left);
        let whole = state.estimates.run_seconds(&Shape::of(&job.request.spec));
        let seconds = running.min_by(f64::total_cmp).unwrap_or(whole);
        Duration::try_from_secs_f64(seconds).unwrap_or_default().clamp(SOONEST_ROOM, LATEST_ROOM)
    }

    /// No more jobs of the project are handed out at once, from now on; `None` lets it use an idle pool in full.
    pub fn limit_running(&self, project: ProjectId, most: Option<u32>) {
        self.inner.state().queue.limit_running(project, most);
        self.inner.work.notify_waiters();
    }

    /// Every worker known.
    pub fn workers(&self) -> Vec<WorkerView> {
        let state = self.inner.state();
        let now = self.inner.parts.clock.monotonic();
        state.workers.views(now, |worker| state.leases.of(worker).first().copied())
    }

    /// Workers that take jobs, and all that are known.
    pub fn ready_workers(&self) -> (usize, usize) {
        let state = self.inner.state();
        let now = self.inner.parts.clock.monotonic();
        let known = state.workers.views(now, |_| None).len();
        (state.workers.ready(None, now), known)
    }

    /// What waits, by project and model.
    pub fn backlog(&self) -> Vec<Backlog> {
        self.inner.state().queue.backlog()
    }

    /// What every measured shape takes.
    pub fn estimates(&self) -> Vec<Estimate> {
        self.inner.state().estimates.all()
    }

    /// Jobs that workers hold now.
    pub fn running(&self) -> usize {
        self.inner.state().leases.len()
    }

    /// Hands out no more jobs. Running ones go on.
    pub fn drain(&self) {
        self.inner.state().draining = true;
        self.inner.work.notify_waiters();
    }

    pub fn is_draining(&self) -> bool {
        self.inner.state().draining
    }

    /// Waits until no worker holds a job.
    pub async fn idle(&self) {
        loop {
            let ended = self.inner.ended.notified();
            if self.running() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Asks every worker to give its job back at the next step and to end.
    pub fn stop_workers(&self) {
        {
            let mut state = self.inner.state();
            state.draining = true;
            for worker in state.workers.all_mut() {
                worker.orders = Orders { drain: true, restart: false, stop: true };
            }
        }
        self.inner.work.notify_waiters();
    }

    /// Gives a worker new orders; false if it is unknown. After `patience` it is to give its job back, too.
    pub fn order(&self, worker: WorkerId, orders: Orders, patience: Option<Duration>) -> bool {
        let stop_at = patience.map(|patience| self.inner.parts.clock.monotonic().after(patience));
        let known = self.inner.state().workers.order(worker, orders, stop_at);
        self.inner.work.notify_waiters();
        known
    }

    /// Wants a model in a worker's memory, or out of it. The worker sees to it before its next job.
    pub fn order_model(&self, worker: WorkerId, model: &ModelId, resident: bool) -> Result<(), OrderRefused> {
        let at = self.inner.parts.clock.now();
        self.inner.state().workers.order_model(worker, model, resident, at)?;
        self.inner.work.notify_waiters();
        Ok(())
    }

    /// Waits for moves that were begun and not ended, so that none is cut off by the end of the process.
    pub async fn settle(&self) {
        self.inner.moves.close();
        self.inner.moves.wait().await;
        self.inner.moves.reopen();
    }
}

impl Inner {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn heard(&self) -> Heard {
        Heard { seen: self.parts.clock.monotonic(), at: self.parts.clock.now() }
    }

    /// Makes a move in the store, as the server itself.
    pub(super) async fn change(&self, video: VideoId, step: Move) -> Result<Job, StoreError> {
        let at = self.parts.clock.now();
        let event = EventId::new(at.0, self.parts.random.id_bytes());
        self.parts.store.change(Change { reach: Reach::Everywhere, video, step, at, event, by: None }).await
    }

    /// Stands a job in line.
    pub(super) fn enqueue(&self, job: &Job, avoid: Option<String>) {
        {
            let mut state = self.state();
            let cost = state.estimates.gpu_seconds(&Shape::of(&job.request.spec));
            state.queue.push(Waiting::of(job, cost, avoid));
        }
        self.work.notify_waiters();
        self.changes.announce(job.id);
    }

    /// A job that the store says is held, and nobody here watches.
    pub(super) fn watch_found(&self, job: Job) {
        let now = self.parts.clock.monotonic();
        let mut state = self.state();
        let cost = state.estimates.gpu_seconds(&Shape::of(&job.request.spec));
        state.queue.found_running(job.project, cost);
        state.leases.found(job, cost, now);
    }

    async fn take_over(&self, job: Job) -> Result<(), StoreError> {
        let Some(holder) = &job.status.holder else {
            self.enqueue(&job, None);
            return Ok(());
        };
        if !holder.local {
            self.watch_found(job);
            return Ok(());
        }
        let not_before = self.parts.clock.now();
        let step = Move::Requeue { epoch: job.status.epoch, reason: RequeueReason::HandedBack, not_before };
        match self.change(job.id, step).await {
            Ok(job) if !job.status.state.is_terminal() => self.enqueue(&job, None),
            Ok(_) | Err(StoreError::Move(BadMove::Stale { .. }) | StoreError::NotFound) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl State {
    /// Takes in what a job took. The first of its shape tells better what those that wait will take.
    pub(super) fn learn(&mut self, shape: Shape, measured: Measurement) -> Estimate {
        let estimate = self.estimates.learn(shape, measured);
        if estimate.samples == 1 {
            let Self { queue, estimates, .. } = self;
            queue.predict(&estimate.shape.model, |shape| estimates.gpu_seconds(shape));
        }
        estimate
    }

    /// Takes a lease away and settles what it was charged.
    pub(super) fn end_lease(&mut self, video: VideoId, epoch: u32, now: Moment) -> Option<Held> {
        let held = self.leases.remove(video, epoch)?;
        self.queue.stop(held.job.project, held.cost, now.since(held.since).as_secs_f64());
        Some(held)
    }

    /// Seconds that the running jobs of the model still take together.
    fn running_seconds(&self, model: &ModelId, now: Moment) -> f64 {
        let running = self.leases.all().filter(|held| held.job.request.spec.model == *model);
        let left = running.map(|held| {
            let run = self.estimates.run_seconds(&Shape::of(&held.job.request.spec));
            (run - now.since(held.since).as_secs_f64()).max(0.0)
        });
        left.sum()
    }
}
