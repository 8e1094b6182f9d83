//! One attempt of one delivery: whom to, signed with what, and what came of it. Never decides which delivery is next.

use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use tracing::debug;

use super::error::WebhookError;
use super::schedule::{Outcome, verdict};
use super::secret::{SecretBox, SigningSecret};
use super::signature::signature;
use crate::domain::clock::{Clock, Random, UnixMillis};
use crate::domain::id::ProjectId;
use crate::domain::trace::TraceContext;
use crate::domain::webhook::{Attempt, CallbackSecrets, Delivery, Receiver, SigningSecrets, Verdict};
use crate::metrics::Metrics;
use crate::net::{Outgoing, Post, PostError, Purpose};
use crate::store::Store;

/// What all parts of this module work with.
#[derive(Clone)]
pub struct Courier {
    pub store: Arc<dyn Store>,
    pub outgoing: Outgoing,
    pub secrets: SecretBox,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub metrics: Arc<Metrics>,
}

/// Where a delivery goes now, and what signs it.
struct Destination {
    url: String,
    secrets: Vec<SigningSecret>,
}

impl Courier {
    /// Tries once and records it. With `retries`, a failure is tried again by the schedule, else it is the last.
    /// Fails if the delivery was removed or its secret cannot be read.
    pub async fn attempt(&self, delivery: &Delivery, retries: bool) -> Result<Delivery, WebhookError> {
        let at = self.clock.now();
        let start = self.clock.monotonic();
        let destination = self.destination(delivery, at).await?;
        let answer = self.outgoing.post(&destination.url, self.message(delivery, &destination, at)).await;
        let took = self.clock.monotonic().since(start);
        self.metrics.webhook_delivery_duration_seconds.observe([], took.as_secs_f64());

        let (outcome, error) = match &answer {
            Ok(answer) => (Outcome::Answer { status: answer.status, retry_after: answer.retry_after }, None),
            Err(error) => {
                debug!(delivery.id = %delivery.id, %error, "no answer to delivery {}", delivery.id);
                (Outcome::None, Some(self.explain(error)))
            }
        };
        let scheduled =
            verdict(outcome, delivery.attempts.len() + 1, self.clock.now(), self.random.fraction());
        let verdict = match scheduled {
            Verdict::Again(_) if !retries => Verdict::Exhausted,
            Verdict::Delivered | Verdict::Again(_) | Verdict::Exhausted | Verdict::Gone => scheduled,
        };
        let status = answer.ok().map(|answer| answer.status);
        let error = error.or_else(|| match (verdict, status) {
            (Verdict::Delivered, _) | (_, None) => None,
            (Verdict::Again(_) | Verdict::Exhausted | Verdict::Gone, Some(status)) => {
                Some(format!("answered {status}"))
            }
        });
        let attempt = Attempt { at, status, millis: took.as_millis() as u64, error };
        let after = self.store.record_attempt(delivery.id, attempt, verdict).await?;
        self.metrics.webhook_deliveries_total.add([&delivery.kind, after.state.as_str()], 1.0);
        Ok(after)
    }

    /// The callback secrets of a project, made now if it has none.
    pub(super) async fn callback_secrets(&self, project: ProjectId) -> Result<CallbackSecrets, WebhookError> {
        let secret = SigningSecret::random(&*self.random);
        let sealed = self.secrets.seal(&project.to_string(), &secret, &*self.random);
        let fresh = CallbackSecrets { project, secrets: SigningSecrets::new(sealed), revealed: false };
        Ok(self.store.callback_secrets(fresh).await?)
    }

    async fn destination(&self, delivery: &Delivery, now: UnixMillis) -> Result<Destination, WebhookError> {
        let (url, secrets, owner) = match &delivery.to {
            Receiver::Endpoint(id) => {
                let endpoint = self.store.endpoint(delivery.project, *id).await?;
                let endpoint = endpoint.ok_or(crate::store::StoreError::NotFound)?;
                (endpoint.target.url, endpoint.secrets, id.to_string())
            }
            Receiver::Callback(url) => {
                let secrets = self.callback_secrets(delivery.project).await?.secrets;
                (url.clone(), secrets, delivery.project.to_string())
            }
        };
        let secrets = secrets.active(now).map(|sealed| self.secrets.open(&owner, sealed));
        Ok(Destination { url, secrets: secrets.collect::<Result<_, _>>()? })
    }

    fn message(&self, delivery: &Delivery, destination: &Destination, at: UnixMillis) -> Post {
        let id = delivery.event.to_string();
        let signature = signature(&destination.secrets, &id, at.seconds(), &delivery.body);
        let text =
            |text: String| HeaderValue::try_from(text).expect("ids, numbers and base64 are header text");
        let trace = match &delivery.trace {
            Some(trace) => trace.child(&*self.random),
            None => TraceContext::start(&*self.random),
        };
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (USER_AGENT, HeaderValue::from_static("wanserve-webhooks/1")),
            (HeaderName::from_static("webhook-id"), text(id)),
            (HeaderName::from_static("webhook-timestamp"), text(at.seconds().to_string())),
            (HeaderName::from_static("webhook-signature"), text(signature)),
            (HeaderName::from_static("traceparent"), text(trace.traceparent())),
        ]);
        if let Some(state) = trace.tracestate() {
            headers.insert(HeaderName::from_static("tracestate"), text(state.to_owned()));
        }
        Post { headers, body: delivery.body.clone().into() }
    }

    /// For the owner of the receiver: nothing about addresses, certificates or what answered.
    fn explain(&self, error: &PostError) -> String {
        match error {
            PostError::Refused(_) => {
                self.metrics.outbound_blocked_total.add([Purpose::Webhook.as_str()], 1.0);
                "url not allowed".to_owned()
            }
            PostError::Timeout => "timeout".to_owned(),
            PostError::Failed(_) => "connection failed".to_owned(),
        }
    }
}
