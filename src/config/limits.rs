//! `[limits]`: how much one project, or one stranger, may ask of the server.

use std::num::NonZeroU32;

use super::setting::Setting;
use super::sources::Section;
use crate::domain::limits;

/// Limits of every project; 0 is unlimited.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests a minute of an organisation's administrators. `WANSERVE_LIMITS_ADMIN_PER_MINUTE`,
    /// default 600: a program that sets up many projects is not held up.
    pub admin_per_minute: Limit,
    /// Requests a minute that make videos. `WANSERVE_LIMITS_CREATES_PER_MINUTE`,
    /// default 60: a clip takes seconds, so more would only fill the queue.
    pub creates_per_minute: Limit,
    /// Other requests a minute, without downloads. `WANSERVE_LIMITS_READS_PER_MINUTE`,
    /// default 600: forty clients that poll as often as they are told.
    pub reads_per_minute: Limit,
    /// Downloads a minute. `WANSERVE_LIMITS_CONTENT_PER_MINUTE`, default 120: each video twice.
    pub content_per_minute: Limit,
    /// Jobs queued or running at once. `WANSERVE_LIMITS_ACTIVE_JOBS`, default 20: minutes of work, not hours.
    pub active_jobs: Limit,
    /// Jobs running at once. `WANSERVE_LIMITS_RUNNING_JOBS`, default 2: nobody holds the whole pool. More wait.
    pub running_jobs: Limit,
    /// Charged seconds of a device per UTC day. `WANSERVE_LIMITS_GPU_SECONDS_PER_DAY`,
    /// default 36000: ten hours, more than a person looks at.
    pub gpu_seconds_per_day: Limit,
    /// The same per UTC month. `WANSERVE_LIMITS_GPU_SECONDS_PER_MONTH`, default 0: the day's limit is enough.
    pub gpu_seconds_per_month: Limit,
    /// Wrong keys a minute from one address. `WANSERVE_LIMITS_WRONG_KEYS_PER_MINUTE`,
    /// default 20: a misconfigured program is told why, a guesser gets nowhere.
    pub wrong_keys_per_minute: Limit,
}

/// A number that something must not exceed; 0 is written for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(Option<NonZeroU32>);

impl Limit {
    fn of(number: u32) -> Self {
        Self(NonZeroU32::new(number))
    }
}

impl Setting for Limit {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map(Self::of).map_err(|_| format!("{text:?} is not a whole number"))
    }

    fn show(&self) -> String {
        format!("`{}`", self.0.map_or(0, NonZeroU32::get))
    }
}

impl Limits {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            admin_per_minute: section.field("admin_per_minute", Limit::of(600)),
            creates_per_minute: section.field("creates_per_minute", Limit::of(60)),
            reads_per_minute: section.field("reads_per_minute", Limit::of(600)),
            content_per_minute: section.field("content_per_minute", Limit::of(120)),
            active_jobs: section.field("active_jobs", Limit::of(20)),
            running_jobs: section.field("running_jobs", Limit::of(2)),
            gpu_seconds_per_day: section.field("gpu_seconds_per_day", Limit::of(36_000)),
            gpu_seconds_per_month: section.field("gpu_seconds_per_month", Limit::of(0)),
            wrong_keys_per_minute: section.field("wrong_keys_per_minute", Limit::of(20)),
        }
    }

    /// As the API keeps to them.
    pub fn limits(&self) -> limits::Limits {
        limits::Limits {
            project: limits::Allowance {
                creates_per_minute: self.creates_per_minute.0,
                creates_per_day: None,
                reads_per_minute: self.reads_per_minute.0,
                content_per_minute: self.content_per_minute.0,
                active_jobs: self.active_jobs.0,
                running_jobs: self.running_jobs.0,
                gpu_seconds_per_day: self.gpu_seconds_per_day.0,
                gpu_seconds_per_month: self.gpu_seconds_per_month.0,
            },
            admin_per_minute: self.admin_per_minute.0,
            wrong_keys_per_minute: self.wrong_keys_per_minute.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_lifts_a_limit() {
        assert_eq!(Limit::parse("0"), Ok(Limit(None)));
        assert_eq!(Limit::parse("7").map(|limit| limit.show()), Ok("`7`".to_owned()));
        assert!(Limit::parse("-1").is_err());
    }
}
