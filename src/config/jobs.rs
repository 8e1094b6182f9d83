//! `[jobs]`: how long a job may wait, run and be kept.

use std::time::Duration;

use super::sources::Section;

/// Limits of a job's life.
#[derive(Debug, Clone)]
pub struct Jobs {
    /// Times a job is started when workers die under it. `WANSERVE_JOBS_MAX_ATTEMPTS`,
    /// default 3: one bad card and one restart do not cost the job.
    pub max_attempts: u32,
    /// How long a job may wait for a worker. `WANSERVE_JOBS_QUEUE_TIMEOUT_SECONDS`, default 3600.
    pub queue_timeout: Duration,
    /// How long one attempt may run. `WANSERVE_JOBS_EXECUTION_TIMEOUT_SECONDS`, default 600.
    pub execution_timeout: Duration,
    /// Jobs of all projects that may wait; more are refused for a while. `WANSERVE_JOBS_MAX_QUEUED`,
    /// default 100000: days of work for a large pool.
    pub max_queued: u32,
}

impl Jobs {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            max_attempts: section.field("max_attempts", 3),
            queue_timeout: section.field("queue_timeout_seconds", Duration::from_secs(3600)),
            execution_timeout: section.field("execution_timeout_seconds", Duration::from_secs(600)),
            max_queued: section.field("max_queued", 100_000),
        }
    }
}
