//! What the store keeps for webhooks: receivers, and what is on its way to them.

use super::{Order, Pending};
use crate::domain::clock::UnixMillis;
use crate::domain::id::{DeliveryId, EndpointId, EventId, ProjectId, VideoId};
use crate::domain::webhook::{
    Attempt, CallbackSecrets, Delivery, DeliveryState, Endpoint, EndpointChange, Verdict,
};

/// Receivers that projects registered.
pub trait EndpointStore: Send + Sync {
    /// The endpoints of a project, oldest first.
    fn endpoints(&self, project: ProjectId) -> Pending<'_, Vec<Endpoint>>;

    fn endpoint(&self, project: ProjectId, endpoint: EndpointId) -> Pending<'_, Option<Endpoint>>;

    /// [`super::StoreError::Exists`] if there is one of that id.
    fn add_endpoint(&self, endpoint: Endpoint) -> Pending<'_, ()>;

    /// [`super::StoreError::NotFound`] if the project has none of that id.
    fn change_endpoint(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        change: EndpointChange,
    ) -> Pending<'_, ()>;

    /// Forgets it and all that was on its way to it.
    fn remove_endpoint(&self, project: ProjectId, endpoint: EndpointId) -> Pending<'_, ()>;

    /// The project's callback secrets; `fresh` from now on if it has none.
    fn callback_secrets(&self, fresh: CallbackSecrets) -> Pending<'_, CallbackSecrets>;

    /// Replaces a project's callback secrets.
    fn save_callback_secrets(&self, secrets: CallbackSecrets) -> Pending<'_, ()>;
}

/// Events on their way.
pub trait DeliveryStore: Send + Sync {
    /// Adds those that are new (a receiver gets an event once) and settles the event, or neither.
    fn add_deliveries(&self, settles: Option<EventId>, deliveries: Vec<Delivery>) -> Pending<'_, ()>;

    /// Takes due deliveries, oldest first, no more of a lane than may be in flight and none of a receiver that is switched off.
    /// None of them is claimed again before the lease ends or the attempt is recorded.
    fn claim_deliveries(&self, claim: Claim) -> Pending<'_, Vec<Delivery>>;

    /// Records an attempt of a delivery and lets its endpoint learn from it. Answers the delivery after it;
    /// [`super::StoreError::NotFound`] if it was removed meanwhile.
    fn record_attempt(
        &self,
        delivery: DeliveryId,
        attempt: Attempt,
        verdict: Verdict,
    ) -> Pending<'_, Delivery>;

    fn delivery(&self, project: ProjectId, delivery: DeliveryId) -> Pending<'_, Option<Delivery>>;

    /// A page of a project's deliveries.
    fn deliveries(&self, project: ProjectId, query: DeliveryQuery) -> Pending<'_, DeliveryPage>;

    /// Makes it due at that moment, whatever became of it.
    fn redeliver(&self, project: ProjectId, delivery: DeliveryId, at: UnixMillis) -> Pending<'_, Delivery>;

    /// How many are due now or later.
    fn open_deliveries(&self) -> Pending<'_, u64>;

    /// Forgets those made before that moment. Answers how many.
    fn forget_deliveries(&self, before: UnixMillis) -> Pending<'_, u64>;
}

/// What a dispatcher asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub now: UnixMillis,
    /// When the claim ends by itself.
    pub lease_until: UnixMillis,
    pub limit: u32,
}

/// Which deliveries to list; an absent condition holds for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryQuery {
    pub order: Order,
    pub endpoint: Option<EndpointId>,
    pub video: Option<VideoId>,
    pub state: Option<DeliveryState>,
    /// The page begins behind this one.
    pub after: Option<DeliveryId>,
    pub limit: u32,
}

/// A page of deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryPage {
    pub deliveries: Vec<Delivery>,
    /// Whether another page follows.
    pub has_more: bool,
}

impl DeliveryQuery {
    /// Whether the delivery meets every condition.
    pub fn accepts(&self, delivery: &Delivery) -> bool {
        self.endpoint.is_none_or(|endpoint| delivery.endpoint() == Some(endpoint))
            && self.video.is_none_or(|video| delivery.video == Some(video))
            && self.state.is_none_or(|state| delivery.state == state)
            && self.after.is_none_or(|after| match self.order {
                Order::Newest => delivery.id < after,
                Order::Oldest => delivery.id > after,
            })
    }
}
