//! The verbs of a caller: submit, get, list, wait, cancel, delete, content. Each touches several stores in the right order.
//! Knows no HTTP; every call names the project it acts for.

mod audit;
mod error;
mod files;
mod first;
mod keys;
mod read;
mod recent;
mod submit;
mod sweep;
#[cfg(test)]
mod sweep_tests;
mod tenants;
#[cfg(test)]
mod tests;
mod tokens;
#[cfg(test)]
mod tokens_tests;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::domain::clock::{Clock, Random};
use crate::domain::job::Job;
use crate::domain::model::ModelId;
use crate::metrics::Metrics;
use crate::scheduler::{Outlook, Scheduler};
use crate::storage::Storage;
use crate::store::Store;

pub use crate::scheduler::{Overload, Watch};
pub use audit::{AuditLog, Deed};
pub use error::JobsError;
pub use files::NewFile;
pub use first::{FirstKey, first_start};
pub use keys::{KeyRefusal, KeyTerms, Keys, Pepper};
pub use read::Content;
pub use submit::{IdempotencyUse, NewInput, NewJob, Submitted};
pub use sweep::Retention;
pub use tenants::{Closed, Tenant, Tenants};
pub use tokens::{Audience, LONGEST_LIFE, Minted, PublicKey, Rights, TokenRefusal, TokenTerms, Tokens};

/// The verbs; clones share everything.
#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

/// What the verbs work with.
#[derive(Clone)]
pub struct JobsParts {
    pub store: Arc<dyn Store>,
    pub storage: Arc<dyn Storage>,
    pub scheduler: Scheduler,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub metrics: Arc<Metrics>,
}

struct Inner {
    parts: JobsParts,
    /// Submissions run to their end even if nobody waits for the answer any more.
    submissions: TaskTracker,
}

/// A job and what is expected of it.
#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    pub job: Job,
    pub outlook: Outlook,
}

impl Jobs {
    pub fn new(parts: JobsParts) -> Self {
        Self { inner: Arc::new(Inner { parts, submissions: TaskTracker::new() }) }
    }

    /// Waits for submissions that were begun.
    pub async fn settle(&self) {
        self.inner.submissions.close();
        self.inner.submissions.wait().await;
        self.inner.submissions.reopen();
    }

    /// Whether jobs of the model can be worked on: a worker takes them, or did a moment ago.
    pub fn serves(&self, model: &ModelId) -> bool {
        self.parts().scheduler.serves(model)
    }

    fn parts(&self) -> &JobsParts {
        &self.inner.parts
    }

    fn view(&self, job: Job) -> JobView {
        let outlook = self.parts().scheduler.outlook(&job);
        JobView { job, outlook }
    }
}
