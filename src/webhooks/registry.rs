//! What a project can say about its receivers: register, change, rotate, test, look, repeat.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::courier::Courier;
use super::dispatcher::{KEEP, NewDelivery};
use super::error::WebhookError;
use super::message;
use super::secret::SigningSecret;
use crate::domain::clock::UnixMillis;
use crate::domain::event::EventKind;
use crate::domain::id::{DeliveryId, EndpointId, EventId, ProjectId};
use crate::domain::webhook::{
    Delivery, Endpoint, EndpointChange, EndpointTarget, Health, MAX_ENDPOINTS, Receiver, SigningSecrets,
};
use crate::net::{Purpose, Refusal};
use crate::store::{DeliveryPage, DeliveryQuery, StoreError, once_durable};

/// The verbs; clones share everything.
#[derive(Clone)]
pub struct Webhooks {
    courier: Courier,
    wake: Arc<Notify>,
}

/// Something with its secret, which is shown this once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revealed<T> {
    pub of: T,
    pub secret: SigningSecret,
}

/// A change of an endpoint; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointEdit {
    pub url: Option<String>,
    pub events: Option<BTreeSet<EventKind>>,
    pub description: Option<String>,
    pub enabled: Option<bool>,
}

impl Webhooks {
    /// `wake` is the dispatcher's.
    pub fn new(courier: Courier, wake: Arc<Notify>) -> Self {
        Self { courier, wake }
    }

    /// Whether a request may name that URL as its callback.
    pub async fn check_callback(&self, url: &str) -> Result<(), Refusal> {
        let checked = self.courier.outgoing.check(Purpose::Webhook, url).await;
        if checked.is_err() {
            self.courier.metrics.outbound_blocked_total.add([Purpose::Webhook.as_str()], 1.0);
        }
        checked
    }

    pub async fn create(
        &self,
        project: ProjectId,
        target: EndpointTarget,
    ) -> Result<Revealed<Endpoint>, WebhookError> {
        self.check_callback(&target.url).await?;
        if self.list(project).await?.len() >= MAX_ENDPOINTS {
            return Err(WebhookError::TooMany { limit: MAX_ENDPOINTS });
        }
        let now = self.courier.clock.now();
        let id = EndpointId::new(now.0, self.courier.random.id_bytes());
        let secret = SigningSecret::random(&*self.courier.random);
        let sealed = self.courier.secrets.seal(&id.to_string(), &secret, &*self.courier.random);
        let endpoint = Endpoint {
            id,
            project,
            created_at: now,
            target,
            secrets: SigningSecrets::new(sealed),
            health: Health::default(),
        };
        self.courier.store.add_endpoint(endpoint.clone()).await?;
        Ok(Revealed { of: endpoint, secret })
    }

    /// Oldest first.
    pub async fn list(&self, project: ProjectId) -> Result<Vec<Endpoint>, WebhookError> {
        Ok(self.courier.store.endpoints(project).await?)
    }

    pub async fn get(&self, project: ProjectId, id: EndpointId) -> Result<Endpoint, WebhookError> {
        let endpoint = self.courier.store.endpoint(project, id).await?;
        Ok(endpoint.ok_or(StoreError::NotFound)?)
    }

    pub async fn edit(
        &self,
        project: ProjectId,
        id: EndpointId,
        edit: EndpointEdit,
    ) -> Result<Endpoint, WebhookError> {
        if let Some(url) = &edit.url {
            self.check_callback(url).await?;
        }
        let endpoint = self.get(project, id).await?;
        let before = endpoint.target.clone();
        let target = EndpointTarget {
            url: edit.url.unwrap_or(before.url),
            events: edit.events.unwrap_or(before.events),
            description: edit.description.or(before.description),
            enabled: edit.enabled.unwrap_or(before.enabled),
        };
        let after = self.change(endpoint, EndpointChange::Edit(target)).await?;
        let wake = self.wake.clone();
        once_durable(move || wake.notify_one());
        Ok(after)
    }

    pub async fn remove(&self, project: ProjectId, id: EndpointId) -> Result<(), WebhookError> {
        self.get(project, id).await?;
        Ok(self.courier.store.remove_endpoint(project, id).await?)
    }

    /// Another secret; the present one signs as well for `overlap`.
    pub async fn rotate(
        &self,
        project: ProjectId,
        id: EndpointId,
        overlap: Duration,
    ) -> Result<Revealed<Endpoint>, WebhookError> {
        let secret = SigningSecret::random(&*self.courier.random);
        let sealed = self.courier.secrets.seal(&id.to_string(), &secret, &*self.courier.random);
        let overlap_until = self.courier.clock.now().after(overlap);
        let change = EndpointChange::Rotate { secret: sealed, overlap_until };
        let endpoint = self.change(self.get(project, id).await?, change).await?;
        Ok(Revealed { of: endpoint, secret })
    }

    /// The endpoint as the change makes it.
    async fn change(&self, mut endpoint: Endpoint, change: EndpointChange) -> Result<Endpoint, WebhookError> {
        self.courier.store.change_endpoint(endpoint.project, endpoint.id, change.clone()).await?;
        endpoint.apply(change);
        Ok(endpoint)
    }

    /// The secret that signs callbacks, if nobody has seen it yet.
    pub async fn callback_secret(&self, project: ProjectId) -> Result<Option<SigningSecret>, WebhookError> {
        let mut callback = self.courier.callback_secrets(project).await?;
        if callback.revealed {
            return Ok(None);
        }
        let secret = self.courier.secrets.open(&project.to_string(), &callback.secrets.current)?;
        callback.revealed = true;
        self.courier.store.save_callback_secrets(callback).await?;
        Ok(Some(secret))
    }

    /// Another secret for callbacks; the present one signs as well for `overlap`.
    pub async fn rotate_callback(
        &self,
        project: ProjectId,
        overlap: Duration,
    ) -> Result<SigningSecret, WebhookError> {
        let mut callback = self.courier.callback_secrets(project).await?;
        let secret = SigningSecret::random(&*self.courier.random);
        let sealed = self.courier.secrets.seal(&project.to_string(), &secret, &*self.courier.random);
        callback.secrets.rotate(sealed, self.courier.clock.now().after(overlap));
        callback.revealed = true;
        self.courier.store.save_callback_secrets(callback).await?;
        Ok(secret)
    }

    /// Sends `endpoint.test` now, once, and answers what came of it.
    pub async fn test(&self, project: ProjectId, id: EndpointId) -> Result<Delivery, WebhookError> {
        self.get(project, id).await?;
        let now = self.courier.clock.now();
        let event = EventId::new(now.0, self.courier.random.id_bytes());
        let mut delivery = self.courier.new_delivery(NewDelivery {
            event,
            kind: message::TEST,
            project,
            video: None,
            to: Receiver::Endpoint(id),
            body: message::of_test(event, id, now),
            trace: None,
        });
        // Not for the dispatcher: it is tried here.
        delivery.next_attempt_at = None;
        self.courier.store.add_deliveries(None, vec![delivery.clone()]).await?;
        self.courier.attempt(&delivery, false).await
    }

    /// Whether a list of the project's deliveries can go on behind this one: it is in it, or so old that it is forgotten.
    pub async fn can_go_on_behind(&self, project: ProjectId, id: DeliveryId) -> Result<bool, WebhookError> {
        let forgotten = self.courier.clock.now().since(UnixMillis(id.unix_millis())) > KEEP;
        Ok(forgotten || self.courier.store.delivery(project, id).await?.is_some())
    }

    /// A page of the project's deliveries.
    pub async fn deliveries(
        &self,
        project: ProjectId,
        query: DeliveryQuery,
    ) -> Result<DeliveryPage, WebhookError> {
        Ok(self.courier.store.deliveries(project, query).await?)
    }

    /// Makes a delivery due now, whatever became of it.
    pub async fn redeliver(&self, project: ProjectId, id: DeliveryId) -> Result<Delivery, WebhookError> {
        let delivery = self.courier.store.redeliver(project, id, self.courier.clock.now()).await?;
        self.wake.notify_one();
        Ok(delivery)
    }
}
