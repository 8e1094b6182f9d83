//! The numbers that scheduling keeps to.

use std::time::Duration;

/// Limits and times; the defaults are the contract's.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Executions of a job, the first included.
    pub max_attempts: u32,
    /// The most jobs of one project that run at once; `None` lets an idle pool be used in full.
    pub max_running_per_project: Option<u32>,
    /// How long a job may wait for a worker.
    pub queue_timeout: Duration,
    /// How long one execution may take.
    pub execution_timeout: Duration,
    /// How long a worker stays with its resident model while jobs of another wait.
    pub residency: Duration,
    /// The most jobs of all projects that may wait.
    pub max_queued: usize,
    /// How long jobs of a model are taken although no worker takes them: a restart is no outage.
    pub worker_absence: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            max_running_per_project: None,
            queue_timeout: Duration::from_secs(3600),
            execution_timeout: Duration::from_secs(600),
            residency: Duration::from_secs(120),
            max_queued: 100_000,
            worker_absence: Duration::from_secs(60),
        }
    }
}

/// How long the files of a job that is done may wait for a storage that takes none. A day: somebody mends it by then,
/// and what the job took is worth waiting for.
pub(super) const PUBLISH_PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Between two heartbeats: five fit into the time to live, so that two lost ones cost nothing.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(3);

/// A heartbeat waits for the store to take its progress for this long: less than [`HEARTBEAT`], so that a store in trouble
/// does not slow the beats down, and than the 4 s after which a worker gives a call up.
pub(super) const PROGRESS_PATIENCE: Duration = Duration::from_secs(2);

/// A lease whose heartbeat has not risen for this long is over.
pub(super) const LEASE_TTL: Duration = Duration::from_secs(15);

/// A worker that could not beat for this long stops by itself, before its job can run elsewhere.
pub(super) const SELF_FENCE: Duration = Duration::from_secs(10);

/// A hand-out without a first heartbeat in this time got lost on the way and costs no attempt.
pub(super) const FIRST_HEARTBEAT: Duration = Duration::from_secs(5);

/// A worker asks at least this often, so that one that asks no more is noticed.
pub(super) const LONGEST_POLL: Duration = Duration::from_secs(10);

/// A worker that has not called for this long is down: three long polls.
pub(super) const SILENCE: Duration = Duration::from_secs(30);

/// A worker that is down is shown for this long.
pub(super) const KEEP_DOWN: Duration = Duration::from_secs(600);

/// Workers of different names that a job may take down without a word before it is poison.
pub(super) const POISON_WORKERS: usize = 2;

/// Executions of a job that runs out of memory: one more, on a restarted worker.
pub(super) const MEMORY_ATTEMPTS: u32 = 2;

/// Wait before the second execution; each further one waits four times as long.
pub(super) const FIRST_RETRY_DELAY: Duration = Duration::from_secs(1);
