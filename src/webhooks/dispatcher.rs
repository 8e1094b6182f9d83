//! Turns events of the outbox into deliveries, and has the due ones attempted. What it knows lies in the store:
//! it may be killed at any time and started twice. A slow receiver holds its own lane and no other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info_span, warn};

use super::courier::Courier;
use super::error::WebhookError;
use super::message;
use crate::domain::clock::{Moment, UnixMillis};
use crate::domain::event::{Event, EventKind, JobFacts};
use crate::domain::id::{DeliveryId, EventId, ProjectId, VideoId};
use crate::domain::jump::Jumps;
use crate::domain::trace::TraceContext;
use crate::domain::webhook::{Delivery, DeliveryState, MAX_OF_PROJECT, Receiver};
use crate::store::{Claim, Reach, StoreError};

/// Attempts under way at once, over all receivers: those of eight projects that use all they may.
const MAX_UNDER_WAY: usize = 8 * MAX_OF_PROJECT as usize;

/// Events turned into deliveries in one go.
const EVENTS_AT_ONCE: u32 = 64;

/// A dispatcher that fell silent in the middle of an attempt loses it after four times the longest attempt.
const LEASE: Duration = Duration::from_secs(60);

/// How often the store is asked when nobody wakes us: the guarantee behind the hints.
const POLL: Duration = Duration::from_millis(500);

/// Attempts under way get so long at shutdown; a cut one is repeated later.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ended deliveries can be read and repeated for so long.
pub(super) const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often old deliveries are looked for.
const SWEEP: Duration = Duration::from_secs(3600);

/// The dispatcher of one server process.
pub struct Dispatcher {
    courier: Courier,
    wake: Arc<Notify>,
    under_way: JoinSet<()>,
    next_sweep: Moment,
    jumps: Jumps,
}

impl Dispatcher {
    /// `wake` is a hint that something may be due.
    pub fn new(courier: Courier, wake: Arc<Notify>) -> Self {
        Self {
            courier,
            wake,
            under_way: JoinSet::new(),
            next_sweep: Moment::default(),
            jumps: Jumps::default(),
        }
    }

    /// Works until it is stopped.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.turn().await {
                warn!(%error, "webhooks wait for the store");
            }
            let wake = Arc::clone(&self.wake);
            tokio::select! {
                () = stop.cancelled() => {}
                () = wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                Some(_) = self.under_way.join_next() => {}
            }
        }
        if tokio::time::timeout(PATIENCE, self.finish()).await.is_err() {
            self.under_way.shutdown().await;
        }
    }

    /// Starts everything that is due now.
    async fn turn(&mut self) -> Result<(), StoreError> {
        let store = Arc::clone(&self.courier.store);
        for event in store.pending_events(EVENTS_AT_ONCE).await? {
            let deliveries = self.deliveries(&event).await?;
            store.add_deliveries(Some(event.id), deliveries).await?;
        }
        while self.under_way.try_join_next().is_some() {}
        let (now, moment) = (self.courier.clock.now(), self.courier.clock.monotonic());
        let room = MAX_UNDER_WAY.saturating_sub(self.under_way.len());
        if room > 0 {
            let claim = Claim { now, lease_until: now.after(LEASE), limit: room as u32 };
            for delivery in store.claim_deliveries(claim).await? {
                let courier = self.courier.clone();
                self.under_way.spawn(async move { attempt(&courier, &delivery).await });
            }
        }
        self.courier.metrics.webhook_pending.set([], store.open_deliveries().await? as f64);
        if let Some(jump_ms) = self.jumps.look(now, moment) {
            warn!(jump_ms, "the wall clock has jumped: no delivery is forgotten for a while");
        }
        if moment >= self.next_sweep && self.jumps.trusts(moment) {
            self.next_sweep = moment.after(SWEEP);
            store.forget_deliveries(UnixMillis(now.0.saturating_sub(KEEP.as_millis() as u64))).await?;
        }
        Ok(())
    }

    async fn finish(&mut self) {
        while self.under_way.join_next().await.is_some() {}
    }

    /// One for each endpoint that wants such events, and one for the job's own callback.
    async fn deliveries(&self, event: &Event) -> Result<Vec<Delivery>, StoreError> {
        let store = &self.courier.store;
        let facts = match &event.facts {
            Some(facts) => Some(facts.clone()),
            // An older build wrote it.
            None => store.job(Reach::Everywhere, event.video).await?.as_ref().map(JobFacts::of),
        };
        let endpoints = store.endpoints(event.project).await?;
        let wanting = endpoints
            .iter()
            .filter(|endpoint| endpoint.is_active() && endpoint.target.events.contains(&event.kind))
            .map(|endpoint| Receiver::Endpoint(endpoint.id));
        let called = match event.kind {
            EventKind::Completed | EventKind::Failed => {
                facts.as_ref().and_then(|facts| facts.callback_url.clone())
            }
            EventKind::InProgress => None,
        };
        let body = message::of_job(event, facts.as_ref());
        let trace = facts.and_then(|facts| facts.trace);
        let receivers = wanting.chain(called.map(Receiver::Callback));
        Ok(receivers
            .map(|to| {
                self.courier.new_delivery(NewDelivery {
                    event: event.id,
                    kind: event.kind.as_str(),
                    project: event.project,
                    video: Some(event.video),
                    to,
                    body: body.clone(),
                    trace: trace.clone(),
                })
            })
            .collect())
    }
}

/// What a delivery is made of.
pub(super) struct NewDelivery {
    pub(super) event: EventId,
    pub(super) kind: &'static str,
    pub(super) project: ProjectId,
    pub(super) video: Option<VideoId>,
    pub(super) to: Receiver,
    pub(super) body: String,
    pub(super) trace: Option<TraceContext>,
}

impl Courier {
    /// A delivery that is due now.
    pub(super) fn new_delivery(&self, new: NewDelivery) -> Delivery {
        let now = self.clock.now();
        Delivery {
            id: DeliveryId::new(now.0, self.random.id_bytes()),
            event: new.event,
            kind: new.kind.to_owned(),
            project: new.project,
            video: new.video,
            to: new.to,
            body: new.body,
            created_at: now,
            state: DeliveryState::Pending,
            attempts: Vec::new(),
            next_attempt_at: Some(now),
            trace: new.trace,
        }
    }
}

async fn attempt(courier: &Courier, delivery: &Delivery) {
    let trace_id = delivery.trace.as_ref().map(TraceContext::trace_id);
    let span = info_span!("delivery", delivery.id = %delivery.id, trace_id);
    match courier.attempt(delivery, true).instrument(span).await {
        // Removed meanwhile, with its endpoint.
        Ok(_) | Err(WebhookError::Store(StoreError::NotFound)) => {}
        Err(error) => {
            error!(delivery.id = %delivery.id, %error, "delivery {} could not be attempted", delivery.id);
        }
    }
}

#[cfg(test)]
mod tests;
