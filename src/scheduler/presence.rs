//! When each model last had a worker that takes jobs. Seen by looking, so somebody has to look now and then.

use std::collections::HashMap;
use std::time::Duration;

use super::workers::Workers;
use crate::domain::clock::Moment;
use crate::domain::model::ModelId;

/// The last sight of every model's workers.
#[derive(Debug)]
pub(super) struct Presence {
    /// A model that never had a worker has been without one since then.
    since: Moment,
    seen: HashMap<ModelId, Moment>,
}

impl Presence {
    /// Begins to look.
    pub(super) fn since(since: Moment) -> Self {
        Self { since, seen: HashMap::new() }
    }

    /// Notes who is there now.
    pub(super) fn look(&mut self, workers: &Workers, now: Moment) {
        self.seen.extend(workers.served(now).map(|model| (model.clone(), now)));
    }

    /// Whether a worker of the model was seen within that time.
    pub(super) fn seen_within(&self, model: &ModelId, time: Duration, now: Moment) -> bool {
        self.seen.get(model).is_some_and(|seen| now.since(*seen) < time)
    }

    /// How long the model has been without a worker.
    pub(super) fn absence(&self, model: &ModelId, now: Moment) -> Duration {
        now.since(self.seen.get(model).copied().unwrap_or(self.since))
    }
}
