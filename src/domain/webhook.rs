//! Webhooks: whom to tell, what was told to whom, and how often it was tried. Secrets are here only in sealed form.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::clock::UnixMillis;
use super::event::EventKind;
use super::id::{DeliveryId, EndpointId, EventId, ProjectId, VideoId};
use super::trace::TraceContext;

/// Endpoints of one project at most.
pub const MAX_ENDPOINTS: usize = 10;

/// Deliveries to one receiver at the same time at most.
pub const MAX_IN_FLIGHT: u32 = 4;

/// Deliveries of one project on their way at once: all its receivers may be slow together, and delay no other project's.
pub const MAX_OF_PROJECT: u32 = 32;

/// So many failures in a row open the circuit: from then on the receiver gets one delivery at a time until one succeeds.
pub const CIRCUIT_FAILURES: u32 = 5;

/// An endpoint that only failed for so long, and for so many events, is switched off.
const GIVE_UP_AFTER_MILLIS: u64 = 3 * 24 * 3600 * 1000;
const GIVE_UP_AFTER_EVENTS: u32 = 20;

/// A secret that only the holder of the installation's key can read: base64 text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedSecret(pub String);

/// The signing secrets of one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningSecrets {
    pub current: SealedSecret,
    /// The one before, which signs as well until that moment.
    pub previous: Option<(SealedSecret, UnixMillis)>,
}

/// A receiver that a project registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub id: EndpointId,
    pub project: ProjectId,
    pub created_at: UnixMillis,
    pub target: EndpointTarget,
    pub secrets: SigningSecrets,
    pub health: Health,
}

/// What the owner of an endpoint decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointTarget {
    pub url: String,
    pub events: BTreeSet<EventKind>,
    pub description: Option<String>,
    pub enabled: bool,
}

/// What deliveries taught about an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Failures since the last success.
    pub failures: u32,
    /// Events whose first attempt failed since the last success.
    pub failed_events: u32,
    pub failing_since: Option<UnixMillis>,
    /// Why it was switched off, if not by its owner.
    pub disabled: Option<DisabledReason>,
}

/// Why an endpoint was switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisabledReason {
    /// It answered 410.
    Gone,
    /// Nothing but failures for three days.
    Failing,
}

/// A change of an endpoint by its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointChange {
    /// Replaces what the owner decides; switching it on again forgives all failures.
    Edit(EndpointTarget),
    /// Another secret; the present one signs as well until `overlap_until`.
    Rotate { secret: SealedSecret, overlap_until: UnixMillis },
}

/// The secrets that sign what goes to a project's `callback_url`s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackSecrets {
    pub project: ProjectId,
    pub secrets: SigningSecrets,
    /// Whether the owner has seen the current one; it is shown once.
    pub revealed: bool,
}

/// One event on its way to one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: DeliveryId,
    pub event: EventId,
    /// As the event's `type` says it.
    pub kind: String,
    pub project: ProjectId,
    pub video: Option<VideoId>,
    pub to: Receiver,
    /// The exact bytes that are signed and sent.
    pub body: String,
    pub created_at: UnixMillis,
    pub state: DeliveryState,
    pub attempts: Vec<Attempt>,
    /// Set while another attempt is due.
    pub next_attempt_at: Option<UnixMillis>,
    /// The request that led to it; a test of an endpoint belongs to none.
    #[serde(default)]
    pub trace: Option<TraceContext>,
}

/// Where a delivery goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receiver {
    /// Wherever the endpoint points to by then.
    Endpoint(EndpointId),
    /// The URL that the request named.
    Callback(String),
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Not tried yet.
    Pending,
    Delivered,
    /// Tried in vain, to be tried again.
    Failed,
    /// Tried in vain for the last time.
    Exhausted,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub at: UnixMillis,
    /// Absent without an answer.
    pub status: Option<u16>,
    pub millis: u64,
    /// What went wrong, in words that reveal nothing of the network.
    pub error: Option<String>,
}

/// What an attempt means for its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    /// To be tried again at that moment.
    Again(UnixMillis),
    /// Never again.
    Exhausted,
    /// Never again, nor anything else to this receiver.
    Gone,
}

impl Endpoint {
    /// Whether events go there.
    pub fn is_active(&self) -> bool {
        self.target.enabled && self.health.disabled.is_none()
    }

    /// How many deliveries may be on their way to it at once; while it is switched off they wait.
    pub fn room(&self) -> u32 {
        if self.is_active() { self.health.room() } else { 0 }
    }

    /// Makes the change.
    pub fn apply(&mut self, change: EndpointChange) {
        match change {
            EndpointChange::Edit(target) => {
                if target.enabled {
                    self.health = Health::default();
                }
                self.target = target;
            }
            EndpointChange::Rotate { secret, overlap_until } => self.secrets.rotate(secret, overlap_until),
        }
    }
}

impl SigningSecrets {
    pub fn new(current: SealedSecret) -> Self {
        Self { current, previous: None }
    }

    /// Puts a new secret in front.
    pub fn rotate(&mut self, secret: SealedSecret, overlap_until: UnixMillis) {
        let before = std::mem::replace(&mut self.current, secret);
        self.previous = Some((before, overlap_until));
    }

    /// Those that sign at that moment, the newest first.
    pub fn active(&self, now: UnixMillis) -> impl Iterator<Item = &SealedSecret> {
        let previous = self.previous.as_ref().filter(|(_, until)| now < *until).map(|(secret, _)| secret);
        std::iter::once(&self.current).chain(previous)
    }
}

impl Health {
    /// How many deliveries may be on their way at once.
    pub fn room(&self) -> u32 {
        if self.failures >= CIRCUIT_FAILURES { 1 } else { MAX_IN_FLIGHT }
    }

    /// Learns from an attempt, the first of its event or a later one.
    pub fn learn(&mut self, verdict: Verdict, first: bool, now: UnixMillis) {
        if verdict == Verdict::Delivered {
            *self = Self { disabled: self.disabled, ..Self::default() };
            return;
        }
        let since = *self.failing_since.get_or_insert(now);
        self.failures = self.failures.saturating_add(1);
        self.failed_events = self.failed_events.saturating_add(u32::from(first));
        if verdict == Verdict::Gone {
            self.disabled = Some(DisabledReason::Gone);
        } else if now.0.saturating_sub(since.0) >= GIVE_UP_AFTER_MILLIS
            && self.failed_events >= GIVE_UP_AFTER_EVENTS
        {
            self.disabled.get_or_insert(DisabledReason::Failing);
        }
    }
}

impl DisabledReason {
    /// As written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Failed, Self::Exhausted];

    /// As written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Exhausted => "exhausted",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl Delivery {
    /// Notes an attempt and what it means.
    pub fn record(&mut self, attempt: Attempt, verdict: Verdict) {
        self.attempts.push(attempt);
        (self.state, self.next_attempt_at) = match verdict {
            Verdict::Delivered => (DeliveryState::Delivered, None),
            Verdict::Again(at) => (DeliveryState::Failed, Some(at)),
            Verdict::Exhausted | Verdict::Gone => (DeliveryState::Exhausted, None),
        };
    }

    /// Makes it due at that moment, whatever became of it.
    pub fn redeliver(&mut self, at: UnixMillis) {
        self.state = DeliveryState::Pending;
        self.next_attempt_at = Some(at);
    }

    /// The endpoint it goes to; `None` for a callback.
    pub fn endpoint(&self) -> Option<EndpointId> {
        match self.to {
            Receiver::Endpoint(endpoint) => Some(endpoint),
            Receiver::Callback(_) => None,
        }
    }

    /// What may be slow together: deliveries of one lane share the limit on those in flight.
    pub fn lane(&self) -> String {
        match &self.to {
            Receiver::Endpoint(endpoint) => endpoint.to_string(),
            Receiver::Callback(url) => format!("{} {}", self.project, origin(url)),
        }
    }
}

/// Scheme, host and port of a URL, as written.
fn origin(url: &str) -> &str {
    let rest = url.find("://").map_or(0, |at| at + 3);
    let end = url[rest..].find(['/', '?', '#']).map_or(url.len(), |at| rest + at);
    &url[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::ID_RANDOM_BYTES;

    const DAY: u64 = 24 * 3600 * 1000;

    #[test]
    fn an_endpoint_is_given_up_after_three_days_and_twenty_events_of_failure() {
        let mut health = Health::default();
        for day in 0..=3 {
            for _ in 0..5 {
                assert_eq!(health.disabled, None);
                health.learn(Verdict::Exhausted, true, UnixMillis(day * DAY));
            }
        }
        assert_eq!(health.disabled, Some(DisabledReason::Failing));

        let mut recovered = Health::default();
        for event in 0..40 {
            recovered.learn(Verdict::Again(UnixMillis(0)), true, UnixMillis(event * DAY));
            recovered.learn(Verdict::Delivered, false, UnixMillis(event * DAY));
        }
        assert_eq!(recovered, Health::default());

        let mut gone = Health::default();
        gone.learn(Verdict::Gone, true, UnixMillis(0));
        assert_eq!(gone.disabled, Some(DisabledReason::Gone));
    }

    #[test]
    fn a_failing_receiver_gets_one_delivery_at_a_time() {
        let mut health = Health::default();
        for _ in 0..CIRCUIT_FAILURES {
            assert_eq!(health.room(), MAX_IN_FLIGHT);
            health.learn(Verdict::Again(UnixMillis(0)), true, UnixMillis(0));
        }
        assert_eq!(health.room(), 1);
        health.learn(Verdict::Delivered, false, UnixMillis(0));
        assert_eq!(health.room(), MAX_IN_FLIGHT);
    }

    #[test]
    fn both_secrets_sign_until_the_overlap_ends() {
        let mut secrets = SigningSecrets::new(SealedSecret("a".to_owned()));
        secrets.rotate(SealedSecret("b".to_owned()), UnixMillis(10));
        let active = |now| secrets.active(UnixMillis(now)).map(|one| one.0.as_str()).collect::<Vec<_>>();
        assert_eq!(active(9), ["b", "a"]);
        assert_eq!(active(10), ["b"]);
    }

    #[test]
    fn callbacks_share_a_lane_by_origin() {
        let delivery = |url: &str| Delivery {
            id: DeliveryId::new(1, [0; ID_RANDOM_BYTES]),
            event: EventId::new(1, [0; ID_RANDOM_BYTES]),
            kind: "video.completed".to_owned(),
            project: ProjectId::new(1, [0; ID_RANDOM_BYTES]),
            video: None,
            to: Receiver::Callback(url.to_owned()),
            body: String::new(),
            created_at: UnixMillis(0),
            state: DeliveryState::Pending,
            attempts: Vec::new(),
            next_attempt_at: None,
            trace: None,
        };
        let lane = |url: &str| delivery(url).lane();
        assert_eq!(lane("https://a.example/x"), lane("https://a.example?y"));
        assert_ne!(lane("https://a.example/x"), lane("https://b.example/x"));
    }
}
