//! The server's side of the lease protocol: hello, lease, complete, fail, and what a vanished worker leaves.
//! Every answer follows a committed move; a call that was superseded is answered as stale.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, Span};

use super::handle::{Inner, Scheduler};
use super::leases::Held;
use super::pick::pick;
use super::policy::{HEARTBEAT, LEASE_TTL, LONGEST_POLL, SELF_FENCE};
use super::queue::Waiting;
use super::retry::{Next, Trouble, next};
use super::{SchedulerError, report};
use crate::domain::asset::{Asset, Variant};
use crate::domain::estimate::{Measurement, Shape};
use crate::domain::failure::FailureClass;
use crate::domain::id::{VideoId, WorkerId};
use crate::domain::job::{Holder, Job, JobError, JobState};
use crate::domain::lease::{
    Complete, Cost, Fail, InputTarget, Lease, LeaseAnswer, LeaseRequest, ModelLoad, ModelOrder, Orders,
    PROTOCOL, UploadTarget, Welcome, WorkerHello,
};
use crate::domain::moves::{BadMove, Move, Outcome, RequeueReason, Spent};
use crate::domain::stage::Timings;
use crate::domain::trace::TraceContext;
use crate::storage::Key;
use crate::store::{Reach, StoreError};

/// What a worker makes of each job.
const WANTED: [Variant; 3] = Variant::ALL;

impl Scheduler {
    /// A worker says hello, and so holds nothing: whatever its name still held is free at once.
    /// `local` is a child of this server, which dies with it.
    pub async fn register(&self, hello: WorkerHello, local: bool) -> Result<Welcome, SchedulerError> {
        if hello.protocol != PROTOCOL {
            return Err(SchedulerError::Protocol { theirs: hello.protocol, ours: PROTOCOL });
        }
        let heard = self.inner.heard();
        let id = WorkerId::new(heard.at.0, self.inner.parts.random.id_bytes());
        self.give_up(&hello.name).await;
        report::joined(&self.inner.parts.metrics, &hello);
        let worker = self.inner.state().workers.register(hello, local, id, heard);
        Ok(Welcome {
            protocol: PROTOCOL,
            worker,
            heartbeat_ms: HEARTBEAT.as_millis() as u64,
            self_fence_ms: SELF_FENCE.as_millis() as u64,
            lease_ttl_ms: LEASE_TTL.as_millis() as u64,
        })
    }

    /// Waits for a job for the worker, for orders, or for the end of the time that it may wait.
    pub async fn lease(
        &self,
        worker: WorkerId,
        request: LeaseRequest,
    ) -> Result<LeaseAnswer, SchedulerError> {
        let deadline = Instant::now() + Duration::from_millis(request.wait_ms).min(LONGEST_POLL);
        self.inner.asks(worker, request)?;
        loop {
            let work = self.inner.work.notified();
            let inner = Arc::clone(&self.inner);
            let attempt = self.inner.moves.spawn(async move { inner.hand_out(worker).await });
            let (answer, urgent) = attempt.await.map_err(|_| SchedulerError::StaleLease)??;
            if urgent || answer.lease.is_some() {
                return Ok(answer);
            }
            if timeout_at(deadline, work).await.is_err() {
                return Ok(answer);
            }
        }
    }

    /// A job is done: its assets are checked in storage, then everything is committed at once.
    pub async fn complete(&self, video: VideoId, complete: Complete) -> Result<(), SchedulerError> {
        let inner = Arc::clone(&self.inner);
        let span = self.inner.span(video, complete.epoch);
        let moves = async move { inner.complete(video, complete).await };
        let moves = self.inner.moves.spawn(moves.instrument(span));
        moves.await.map_err(|_| SchedulerError::StaleLease)?
    }

    /// An execution ended without a video.
    pub async fn fail(&self, video: VideoId, fail: Fail) -> Result<(), SchedulerError> {
        let inner = Arc::clone(&self.inner);
        let span = self.inner.span(video, fail.epoch);
        let moves = async move { inner.fail(video, fail).await };
        let moves = self.inner.moves.spawn(moves.instrument(span));
        moves.await.map_err(|_| SchedulerError::StaleLease)?
    }

    /// The supervisor saw the child process of that name end: its job is free at once.
    pub async fn lost(&self, name: &str) {
        self.inner.state().workers.remove(name);
        self.give_up(name).await;
    }

    /// The job, if that epoch of it is being worked on.
    pub fn holds(&self, video: VideoId, epoch: u32) -> Option<Job> {
        self.inner.state().leases.get(video, epoch).map(|held| held.job.clone())
    }

    /// Frees the jobs that a worker of that name holds.
    async fn give_up(&self, name: &str) {
        let leases = self.inner.state().leases.of_name(name);
        for (video, epoch) in leases {
            let inner = Arc::clone(&self.inner);
            let moves = self.inner.moves.spawn(async move { inner.lease_lost(video, epoch).await });
            if let Err(error) = moves.await {
                tracing::error!(job.id = %video, %error, "giving up a lease broke off");
            }
        }
    }
}

impl Inner {
    /// What is logged of a running job, together with whom it is done for.
    fn span(&self, video: VideoId, epoch: u32) -> Span {
        let mut state = self.state();
        let trace = state.leases.get(video, epoch).and_then(|held| held.job.request.trace.as_ref());
        let trace_id = trace.map(TraceContext::trace_id);
        tracing::info_span!("job", job.id = %video, trace_id)
    }

    fn asks(&self, worker: WorkerId, request: LeaseRequest) -> Result<(), SchedulerError> {
        let heard = self.heard();
        let mut state = self.state();
        let worker = state.workers.get_mut(worker).ok_or(SchedulerError::UnknownWorker)?;
        report::moved(&self.parts.metrics, &worker.hello.name, &request.moves);
        report::loaded(&self.parts.metrics, &worker.news_of(&request.loads));
        worker.asks(request, heard);
        Ok(())
    }

    /// Takes in what a worker says with the end of a job.
    fn loaded(&self, worker: WorkerId, loads: &[ModelLoad]) {
        if let Some(worker) = self.state().workers.get_mut(worker) {
            report::loaded(&self.parts.metrics, &worker.news_of(loads));
        }
    }

    /// One try to find a job for the worker, and whether it is to have the answer even without one.
    async fn hand_out(&self, worker: WorkerId) -> Result<(LeaseAnswer, bool), SchedulerError> {
        loop {
            let Choice { orders, models, urgent, found } = self.choose(worker)?;
            let Some(found) = found else { return Ok((LeaseAnswer { lease: None, orders, models }, urgent)) };
            let lease = match found {
                Found::Again(job) => Some(lease_of(&job)),
                Found::Waiting(waiting, holder) => {
                    self.claim(waiting, holder).await?.map(|job| lease_of(&job))
                }
            };
            if let Some(lease) = lease {
                return Ok((LeaseAnswer { lease: Some(Box::new(lease)), orders, models }, urgent));
            }
        }
    }

    /// Orders about models come before the next job, and are told to a worker that drains, too.
    fn choose(&self, id: WorkerId) -> Result<Choice, SchedulerError> {
        let (now, at) = (self.parts.clock.monotonic(), self.parts.clock.now());
        let mut state = self.state();
        let asking = state.workers.asking(id, now).ok_or(SchedulerError::UnknownWorker)?;
        let worker = state.workers.get_mut(id).ok_or(SchedulerError::UnknownWorker)?;
        let (orders, local, occupied) = (worker.orders, worker.local, worker.occupied);
        let (models, news) = worker.model_orders.tell();
        let choice = Choice { orders, models, urgent: news || orders.stop || orders.restart, found: None };
        if state.draining || orders != Orders::default() {
            return Ok(Choice { orders: Orders { drain: true, ..orders }, ..choice });
        }
        if let Some(held) = state.leases.unheard(id) {
            return Ok(Choice { found: Some(Found::Again(Box::new(held.job.clone()))), ..choice });
        }
        if news || occupied {
            return Ok(choice);
        }
        let picked = pick(&state.queue.snapshot(&asking, at), &asking, &self.parts.policy, at);
        let waiting = picked.and_then(|(_, video)| state.queue.start(video));
        let holder = Holder { worker: id, name: asking.name, local, since: at };
        Ok(Choice { found: waiting.map(|waiting| Found::Waiting(waiting, holder)), ..choice })
    }

    /// Makes the claim durable. `None` if the job was gone; then another may be tried.
    async fn claim(&self, waiting: Waiting, holder: Holder) -> Result<Option<Job>, SchedulerError> {
        let video = waiting.video;
        let claimed = self.change(video, Move::Claim { holder }).await;
        let now = self.parts.clock.monotonic();
        let Ok(job) = claimed else {
            self.state().queue.stop(waiting.project, waiting.cost, 0.0);
            return self.unclaimed(waiting, claimed.err()).await;
        };
        self.state().leases.handed_out(job.clone(), waiting.cost, now);
        report::handed_out(&self.parts.metrics, &job, waiting.fresh);
        self.changes.announce(video);
        Ok(Some(job))
    }

    async fn unclaimed(
        &self,
        waiting: Waiting,
        error: Option<StoreError>,
    ) -> Result<Option<Job>, SchedulerError> {
        match error {
            Some(StoreError::Move(BadMove::Held)) => {
                // A claim whose commit was in doubt had happened after all.
                if let Some(job) = self.parts.store.job(Reach::Everywhere, waiting.video).await? {
                    self.watch_found(job);
                }
                Ok(None)
            }
            Some(StoreError::Unavailable(why)) => {
                self.state().queue.push(waiting);
                Err(StoreError::Unavailable(why).into())
            }
            Some(StoreError::Move(BadMove::TooEarly)) => {
                self.state().queue.push(waiting);
                Ok(None)
            }
            Some(error) => {
                tracing::debug!(job.id = %waiting.video, %error, "a waiting job was gone");
                Ok(None)
            }
            None => Ok(None),
        }
    }

    async fn complete(&self, video: VideoId, complete: Complete) -> Result<(), SchedulerError> {
        let Complete { worker, epoch, assets, timings, cost, warnings, loads } = complete;
        self.loaded(worker, &loads);
        let job = self.state().leases.get(video, epoch).map(|held| held.job.clone());
        let Some(job) = job else { return self.told_already(video, epoch, true).await };
        self.check_stored(&job, &assets).await?;
        let outcome = Outcome { assets, spent: spent(timings, cost), warnings };
        match self.change(video, Move::Complete { epoch, outcome }).await {
            Ok(job) => {
                self.over(&job, epoch, Some((timings, cost))).await;
                Ok(())
            }
            Err(error) => Err(stale(error)),
        }
    }

    async fn fail(&self, video: VideoId, fail: Fail) -> Result<(), SchedulerError> {
        self.loaded(fail.worker, &fail.loads);
        let held = self.state().leases.get(video, fail.epoch).cloned();
        let Some(held) = held else { return self.told_already(video, fail.epoch, false).await };
        tracing::warn!(job.id = %video, job.attempt = held.job.status.attempt, code = fail.code.as_str(),
                       class = ?fail.class, message = %fail.message, "an execution failed");
        if fail.class == FailureClass::OutOfMemory {
            self.restart_after_memory(&held, fail.worker);
        }
        let trouble = Trouble::Reported { class: fail.class, code: fail.code };
        self.follow_up(&held, trouble, spent(fail.timings, fail.cost)).await
    }

    /// The worker of a job is gone, or has had its time.
    pub(super) async fn lease_lost(&self, video: VideoId, epoch: u32) {
        self.give_away(video, epoch).instrument(self.span(video, epoch)).await;
    }

    async fn give_away(&self, video: VideoId, epoch: u32) {
        let held = self.state().leases.get(video, epoch).cloned();
        let Some(held) = held else { return };
        let worker = held.job.status.holder.as_ref().map(|holder| holder.name.clone()).unwrap_or_default();
        tracing::warn!(job.id = %video, worker, "the worker of a job is gone");
        let trouble = Trouble::Lost { worker };
        if let Err(error) = self.follow_up(&held, trouble, Spent::default()).await {
            tracing::warn!(job.id = %video, %error, "a lost lease could not be recorded yet");
        }
    }

    /// Another execution, or the end.
    pub(super) async fn follow_up(
        &self,
        held: &Held,
        trouble: Trouble,
        spent: Spent,
    ) -> Result<(), SchedulerError> {
        let (video, status) = (held.job.id, &held.job.status);
        let epoch = status.epoch;
        let (step, avoid) = match next(status, trouble, &self.parts.policy, self.parts.random.fraction()) {
            Next::Again { reason, delay } => {
                // Nobody is to blame for a job that was handed back, so nobody is to be avoided.
                let blamed = status.holder.as_ref().filter(|_| reason != RequeueReason::HandedBack);
                let avoid = blamed.map(|holder| holder.name.clone());
                (Move::Requeue { epoch, reason, not_before: self.parts.clock.now().after(delay) }, avoid)
            }
            Next::End(code) => (Move::Fail { epoch, error: JobError::new(code), spent }, None),
        };
        let changed = self.change(video, step).await;
        match changed {
            Ok(job) if job.status.state.is_terminal() => self.over(&job, epoch, None).await,
            Ok(job) => {
                self.free(video, epoch);
                self.enqueue(&job, avoid);
            }
            Err(StoreError::Move(BadMove::Stale { .. }) | StoreError::NotFound) => {
                self.free(video, epoch);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// A job has ended: the lease, the estimate, the numbers, the waiters.
    async fn over(&self, job: &Job, epoch: u32, measured: Option<(Timings, Cost)>) {
        let now = self.parts.clock.monotonic();
        let held = self.free(job.id, epoch);
        report::ended(&self.parts.metrics, job, measured.map(|(_, cost)| cost));
        self.changes.announce(job.id);
        let (Some(held), Some((timings, cost))) = (held, measured) else { return };
        if job.status.state != JobState::Completed {
            return;
        }
        let run = now.since(held.since).as_secs_f64() - timings.model_load.unwrap_or(0.0);
        let shape = Shape::of(&job.request.spec);
        let measured = Measurement {
            run_seconds: run.max(0.0),
            gpu_seconds: cost.gpu_seconds,
            quant_linear: job.request.spec.quant_linear,
            peak_memory_bytes: cost.peak_memory_bytes,
        };
        let estimate = self.state().learn(shape, measured);
        if let Err(error) = self.parts.store.save_estimate(estimate).await {
            tracing::warn!(%error, "an estimate could not be kept");
        }
    }

    fn free(&self, video: VideoId, epoch: u32) -> Option<Held> {
        let now = self.parts.clock.monotonic();
        let held = {
            let mut state = self.state();
            let held = state.end_lease(video, epoch, now);
            if let Some(held) = &held {
                let holder = held.job.status.holder.as_ref();
                let worker = holder.and_then(|holder| state.workers.get(holder.worker));
                report::freed(&self.parts.metrics, held, worker, now);
            }
            held
        };
        self.ended.notify_waiters();
        self.work.notify_waiters();
        held
    }

    /// Whether the same end was reported before and the answer got lost.
    async fn told_already(&self, video: VideoId, epoch: u32, completed: bool) -> Result<(), SchedulerError> {
        let job = self.parts.store.job(Reach::Everywhere, video).await?;
        let told = job.is_some_and(|job| {
            let status = &job.status;
            status.epoch == epoch
                && status.holder.is_none()
                && (status.state == JobState::Completed) == completed
        });
        if told {
            return Ok(());
        }
        self.parts.metrics.stale_complete_total.increment([]);
        Err(SchedulerError::StaleLease)
    }

    /// Every asset lies in storage at the length that the worker says.
    async fn check_stored(&self, job: &Job, assets: &[Asset]) -> Result<(), SchedulerError> {
        if !assets.iter().any(|asset| asset.variant == Variant::Video) {
            return Err(SchedulerError::Invalid("a completed job has a video".to_owned()));
        }
        for asset in assets {
            let key = Key::Result {
                organization: job.organization,
                project: job.project,
                video: job.id,
                epoch: job.status.epoch,
                variant: asset.variant,
            };
            let stored = self.parts.storage.head(&key).await?;
            if stored != Some(asset.bytes) {
                let variant = asset.variant.as_str();
                return Err(SchedulerError::Invalid(format!("{variant} is not stored as reported")));
            }
        }
        Ok(())
    }

    fn restart_after_memory(&self, held: &Held, worker: WorkerId) {
        if let Some(worker) = self.state().workers.get_mut(worker) {
            worker.orders.restart = true;
        }
        report::out_of_memory(&self.parts.metrics, &held.job);
    }
}

/// What is to be told to a worker.
struct Choice {
    orders: Orders,
    models: Vec<ModelOrder>,
    /// Told at once, also without a job.
    urgent: bool,
    found: Option<Found>,
}

/// What a worker is given.
enum Found {
    /// The job that it was given before, without knowing.
    Again(Box<Job>),
    Waiting(Waiting, Holder),
}

fn lease_of(job: &Job) -> Lease {
    let base = format!("/internal/v1/leases/{}/{}", job.id, job.status.epoch);
    let upload =
        |variant: Variant| UploadTarget { variant, url: format!("{base}/assets/{}", variant.as_str()) };
    Lease {
        video: job.id,
        epoch: job.status.epoch,
        attempt: job.status.attempt,
        spec: job.request.spec.clone(),
        input: job.request.input.clone().map(|image| InputTarget { image, url: format!("{base}/input") }),
        uploads: WANTED.map(upload).to_vec(),
        trace: job.request.trace.clone(),
    }
}

fn spent(timings: Timings, cost: Cost) -> Spent {
    let Cost { gpu_seconds, gpu_count, prompt_tokens, .. } = cost;
    Spent { timings, gpu_seconds, gpu_count, prompt_tokens }
}

/// A superseded lease is the worker's affair, not the store's.
pub(super) fn stale(error: StoreError) -> SchedulerError {
    match error {
        StoreError::Move(_) | StoreError::NotFound => SchedulerError::StaleLease,
        StoreError::Exists
        | StoreError::NotEnded
        | StoreError::TooManyActive { .. }
        | StoreError::QuotaSpent { .. }
        | StoreError::KeyReused
        | StoreError::Unavailable(_)
        | StoreError::Locked
        | StoreError::Corrupt(_) => SchedulerError::Store(error),
    }
}
