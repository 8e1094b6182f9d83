//! Submitting: the input is durable first, then one transaction makes the job, then the scheduler hears of it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256 as Hasher};
use tracing::Instrument;

use super::{JobView, Jobs, JobsError};
use crate::domain::asset::InputImage;
use crate::domain::clock::UnixMillis;
use crate::domain::id::{EventId, FileId, KeyId, ProjectId, VideoId};
use crate::domain::job::{Job, JobRequest, JobStatus};
use crate::domain::key::ProjectScope;
use crate::domain::limits::millis_of;
use crate::domain::trace::TraceContext;
use crate::domain::video::VideoSpec;
use crate::domain::warning::Warning;
use crate::storage::{Body, Key, Sha256, StorageError};
use crate::store::{Admission, Admitted, Garbage, Gates, Idempotency, Left, StoreError};

/// How long an idempotency key is remembered.
pub(super) const REMEMBER_KEYS: Duration = Duration::from_secs(24 * 3600);

/// No upload takes longer: bytes that nothing names by then never will be named.
pub(super) const RESERVED_FOR: Duration = Duration::from_secs(3600);

/// What a caller wants made.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The key that asks.
    pub key: KeyId,
    pub spec: VideoSpec,
    /// The model name as sent; `None` if none was.
    pub requested_model: Option<String>,
    pub remixed_from: Option<VideoId>,
    pub input: Option<NewInput>,
    pub metadata: BTreeMap<String, String>,
    pub asset_ttl_seconds: u64,
    pub callback_url: Option<String>,
    pub warnings: Vec<Warning>,
    /// What must have room for it; what is promised to it is added from the estimate.
    pub gates: Gates,
    /// The most jobs of the project that may run at once; more wait. `None` is unlimited.
    pub max_running: Option<u32>,
    /// `(route with path ids, key, fingerprint of the request)`.
    pub idempotency: Option<IdempotencyUse>,
    /// The request, as a parent of what is done for the job.
    pub trace: Option<TraceContext>,
}

/// An idempotency key as sent with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyUse {
    /// Route template and path ids.
    pub route: String,
    pub key: String,
    /// Digest of what was asked for, in a canonical form.
    pub fingerprint: String,
}

/// The picture that a job starts from.
#[derive(Debug, Clone)]
pub enum NewInput {
    /// Checked bytes, to be stored.
    Bytes { bytes: Bytes, width: u32, height: u32, content_type: String, file_id: Option<FileId> },
    /// That of an earlier job of the project.
    Of(VideoId, InputImage),
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    pub view: JobView,
    /// The idempotency key had been used; the job is the one made then.
    pub replayed: bool,
}

impl Jobs {
    /// Makes a job. It exists completely or not at all, also if the caller goes away meanwhile.
    pub async fn submit(&self, scope: ProjectScope, new: NewJob) -> Result<Submitted, JobsError> {
        if self.parts().scheduler.is_draining() {
            return Err(JobsError::Draining);
        }
        self.parts().scheduler.admits(&new.spec.model)?;
        let jobs = self.clone();
        let admission = async move { jobs.admit(scope, new).await };
        let submission = self.inner.submissions.spawn(admission.in_current_span());
        submission.await.unwrap_or(Err(JobsError::Draining))
    }

    async fn admit(&self, scope: ProjectScope, new: NewJob) -> Result<Submitted, JobsError> {
        let now = self.parts().clock.now();
        let id = VideoId::new(now.0, self.parts().random.id_bytes());
        let input = match new.input {
            None => None,
            Some(input) => Some(self.store_input(scope, id, input).await?),
        };
        let job = Job {
            id,
            organization: scope.organization,
            project: scope.project,
            key: new.key,
            created_at: now,
            request: JobRequest {
                spec: new.spec,
                requested_model: new.requested_model,
                remixed_from: new.remixed_from,
                input,
                metadata: new.metadata,
                asset_ttl_seconds: new.asset_ttl_seconds,
                callback_url: new.callback_url,
                warnings: new.warnings,
                trace: new.trace,
            },
            status: JobStatus::new(now),
        };
        let forget_before = UnixMillis(now.0.saturating_sub(REMEMBER_KEYS.as_millis() as u64));
        let idempotency = new.idempotency.map(|used| Idempotency {
            route: used.route,
            key: used.key,
            fingerprint: used.fingerprint,
            forget_before,
        });
        let gates = Gates { reserve_ms: self.promised_ms(&job), ..new.gates };
        let entry = EventId::new(now.0, self.parts().random.id_bytes());
        let admission = Admission { job: job.clone(), gates, idempotency, entry };
        let admitted = self.parts().store.admit(admission).await;
        match admitted.map_err(|refusal| self.refused(refusal, &job))? {
            Admitted::Replayed(first) => {
                if job.request.input.is_some() {
                    self.erase(&[reserved(scope, id, now)]).await;
                }
                Ok(Submitted { view: self.view(*first), replayed: true })
            }
            Admitted::New => {
                self.limit_running(job.project, new.max_running);
                self.parts().scheduler.submitted(&job);
                self.count(&job);
                Ok(Submitted { view: self.view(job), replayed: false })
            }
        }
    }

    /// No more jobs of the project run at once, from now on.
    pub fn limit_running(&self, project: ProjectId, most: Option<u32>) {
        self.parts().scheduler.limit_running(project, most);
    }

    /// What is promised to a job when it is admitted.
    fn promised_ms(&self, job: &Job) -> u64 {
        millis_of(self.parts().scheduler.expected(&job.request.spec).gpu_seconds)
    }

    /// Why there is no room, and when there may be.
    fn refused(&self, refusal: StoreError, job: &Job) -> JobsError {
        match refusal {
            StoreError::TooManyActive { limit } => {
                JobsError::TooManyActive { limit, wait: self.parts().scheduler.next_end(job) }
            }
            StoreError::QuotaSpent { most_ms, until, .. } => match self.promised_ms(job) {
                need_ms if need_ms > most_ms => JobsError::NeverFits { need_ms, most_ms },
                _ => JobsError::QuotaSpent { most_ms, wait: until.since(job.created_at) },
            },
            StoreError::NotFound
            | StoreError::Exists
            | StoreError::Move(_)
            | StoreError::NotEnded
            | StoreError::KeyReused
            | StoreError::Unavailable(_)
            | StoreError::Locked
            | StoreError::Corrupt(_) => refusal.into(),
        }
    }

    /// Stores the picture of a job that is about to be made. Should that fail, it is garbage.
    async fn store_input(
        &self,
        scope: ProjectScope,
        video: VideoId,
        input: NewInput,
    ) -> Result<InputImage, JobsError> {
        let ProjectScope { organization, project } = scope;
        let storage = &self.parts().storage;
        let (image, body) = match input {
            NewInput::Bytes { bytes, width, height, content_type, file_id } => {
                let sha256 = Sha256(Hasher::digest(&bytes).into()).to_string();
                (InputImage { file_id, sha256, width, height, content_type }, Body::from(bytes))
            }
            NewInput::Of(source, image) => {
                let key = Key::Input { organization, project, video: source };
                let gone = |error| {
                    let gone = matches!(error, StorageError::NotFound { .. });
                    if gone { JobsError::SourceGone } else { JobsError::Storage(error) }
                };
                let bytes = storage.head(&key).await?.ok_or(JobsError::SourceGone)?;
                (image, Body::stream(bytes, storage.get(&key, None).await.map_err(gone)?))
            }
        };
        self.parts().store.reserve(reserved(scope, video, self.parts().clock.now())).await?;
        storage.put(&Key::Input { organization, project, video }, body).await?;
        Ok(image)
    }

    fn count(&self, job: &Job) {
        let metrics = &self.parts().metrics;
        let project = job.project.to_string();
        let spec = &job.request.spec;
        let labels = [metrics.project(&project), spec.model.as_str(), spec.operation.as_str()];
        metrics.jobs_submitted_total.increment(labels);
    }
}

/// The input of a job that does not exist yet.
fn reserved(scope: ProjectScope, video: VideoId, now: UnixMillis) -> Garbage {
    Garbage { due: now.after(RESERVED_FOR), scope, left: Left::Input { video } }
}
