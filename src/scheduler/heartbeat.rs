//! The server's side of a heartbeat: the lease lives on, progress is written, wishes and orders are told.
//! Never costs a job its worker because the store is in trouble.

use tokio::time::timeout;

use super::SchedulerError;
use super::handle::{Inner, Scheduler};
use super::policy::PROGRESS_PATIENCE;
use super::protocol::stale;
use crate::domain::id::VideoId;
use crate::domain::lease::{Heartbeat, HeartbeatAnswer, Orders};
use crate::domain::moves::Move;
use crate::store::StoreError;

impl Scheduler {
    /// A running job shows life.
    pub async fn heartbeat(
        &self,
        video: VideoId,
        beat: Heartbeat,
    ) -> Result<HeartbeatAnswer, SchedulerError> {
        if self.inner.beat(video, &beat)? {
            self.inner.record(video, &beat).await?;
        }
        self.inner.answer(video, &beat)
    }
}

impl Inner {
    /// Takes in the heartbeat; says whether it tells anything new about the job.
    fn beat(&self, video: VideoId, beat: &Heartbeat) -> Result<bool, SchedulerError> {
        let heard = self.heard();
        let mut state = self.state();
        let held = state.leases.get(video, beat.epoch).ok_or(SchedulerError::StaleLease)?;
        held.beat(beat.sequence, beat.stage, heard.seen);
        let status = &held.job.status;
        let news = status.stage != beat.stage || beat.progress > status.progress;
        if let Some(worker) = state.workers.get_mut(beat.worker) {
            worker.heard(heard);
            worker.measured(&beat.devices);
        }
        Ok(news)
    }

    /// Writes how far the job is. The lease is in memory, so it lives on though the store takes nothing now: the job
    /// stays as it was last written, and so the next beat tells the same news again.
    async fn record(&self, video: VideoId, beat: &Heartbeat) -> Result<(), SchedulerError> {
        let step = Move::Progress { epoch: beat.epoch, stage: beat.stage, percent: beat.progress };
        let slow = |_| Err(StoreError::Unavailable("the store is slow to take progress".to_owned()));
        let job = match timeout(PROGRESS_PATIENCE, self.change(video, step)).await.unwrap_or_else(slow) {
            Ok(job) => job,
            Err(StoreError::Unavailable(why)) => {
                tracing::debug!(job.id = %video, why, "progress is written with a later heartbeat");
                return Ok(());
            }
            Err(error) => return Err(stale(error)),
        };
        if let Some(held) = self.state().leases.get(video, beat.epoch) {
            held.recorded(job);
        }
        self.changes.announce(video);
        Ok(())
    }

    /// What is wished by now; a lease may have ended while its progress was written.
    fn answer(&self, video: VideoId, beat: &Heartbeat) -> Result<HeartbeatAnswer, SchedulerError> {
        let mut state = self.state();
        let held = state.leases.get(video, beat.epoch).ok_or(SchedulerError::StaleLease)?;
        let cancel = held.job.status.cancel_requested;
        let orders = state.workers.get(beat.worker).map_or_else(Orders::default, |worker| worker.orders);
        let orders = Orders { drain: orders.drain || state.draining, ..orders };
        Ok(HeartbeatAnswer { cancel, orders })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::WorkerId;
    use crate::domain::lease::Lease;
    use crate::domain::stage::Stage;
    use crate::scheduler::Policy;
    use crate::scheduler::policy::SELF_FENCE;
    use crate::scheduler::tests::Bench;
    use crate::store::Outage;

    /// Several times the silence that ends a lease.
    const LONG: u64 = 20;

    /// A worker and the lease that it works on.
    async fn at_work(bench: &Bench) -> (WorkerId, Lease) {
        let worker = bench.worker("gpu", false).await;
        bench.submit(1, 1).await;
        (worker, bench.lease(worker).await.unwrap())
    }

    fn beat(worker: WorkerId, lease: &Lease, sequence: u64, stage: Stage, progress: u8) -> Heartbeat {
        Heartbeat { worker, epoch: lease.epoch, sequence, stage, progress, step: 1, devices: vec![] }
    }

    #[tokio::test]
    async fn a_job_outlives_a_store_that_takes_nothing() {
        let mut bench = Bench::new().await;
        let (worker, lease) = at_work(&bench).await;
        let denoising = |sequence, progress| beat(worker, &lease, sequence, Stage::Denoising, progress);
        bench.scheduler.heartbeat(lease.video, denoising(1, 20)).await.unwrap();
        bench.store.fail_moves(Some(Outage::Refusing));
        bench.scheduler.drain();
        for sequence in 2..LONG {
            bench.pass(3).await;
            let answer = bench.scheduler.heartbeat(lease.video, denoising(sequence, 40)).await.unwrap();
            assert!(answer.orders.drain, "orders are told all the same");
        }
        let status = bench.job(lease.video).await.status;
        assert_eq!((status.progress, status.attempt), (20, 1));
        bench.store.fail_moves(None);
        bench.scheduler.heartbeat(lease.video, denoising(LONG, 40)).await.unwrap();
        let status = bench.job(lease.video).await.status;
        assert_eq!((status.progress, status.attempt), (40, 1), "it is written with the next beat");
        bench.complete(worker, &lease).await.unwrap();
    }

    #[tokio::test]
    async fn a_store_that_says_nothing_is_not_waited_for() {
        let bench = Bench::new().await;
        let (worker, lease) = at_work(&bench).await;
        bench.store.fail_moves(Some(Outage::Silent));
        let beats = bench.scheduler.heartbeat(lease.video, beat(worker, &lease, 1, Stage::Denoising, 20));
        let wished = async {
            let mut job = bench.job(lease.video).await;
            job.status.cancel_requested = true;
            bench.scheduler.cancelled(&job);
        };
        let (answer, ()) = tokio::join!(timeout(SELF_FENCE, beats), wished);
        assert!(answer.unwrap().unwrap().cancel, "what was wished meanwhile is told");
    }

    /// That it is being published could not be written, and yet it has the time for that.
    #[tokio::test]
    async fn a_job_that_is_done_waits_for_the_store() {
        let mut bench = Bench::new().await;
        let (worker, lease) = at_work(&bench).await;
        bench.store.fail_moves(Some(Outage::Refusing));
        let beats = Policy::default().execution_timeout.as_secs() / 3 + LONG;
        for sequence in 1..beats {
            let uploading = beat(worker, &lease, sequence, Stage::Uploading, 99);
            bench.scheduler.heartbeat(lease.video, uploading).await.unwrap();
            bench.pass(3).await;
        }
        bench.store.fail_moves(None);
        bench.pass(1).await;
        bench.complete(worker, &lease).await.unwrap();
    }
}
