//! How a project stands with its limits, as every answer tells it.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use crate::api::state::Api;
use crate::domain::key::ProjectScope;
use crate::domain::limits::Window;
use crate::jobs::{JobsError, Tenant};
use crate::store::{Owner, Tally};

/// What is left of the limits after a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) requests: Requests,
    pub(crate) jobs: Option<ActiveJobs>,
    /// Of the window with the least left.
    pub(crate) seconds: Option<GpuSeconds>,
}

/// A bucket of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    /// `None` is unlimited, and then nothing is said.
    pub(crate) limit: Option<u32>,
    pub(crate) remaining: u32,
    /// In which the bucket fills.
    pub(crate) period: Duration,
    /// Until the bucket is full.
    pub(crate) reset: Duration,
    /// Set if the request is refused: until there is a token.
    pub(crate) wait: Option<Duration>,
}

/// Jobs that are queued or running, and how many may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ActiveJobs {
    pub(crate) limit: u32,
    pub(crate) active: u32,
}

/// Seconds of a device that may be charged in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GpuSeconds {
    pub(crate) limit: u32,
    /// Neither charged nor promised to a job.
    pub(crate) remaining: u32,
    /// Until they count anew.
    pub(crate) reset: Duration,
}

impl ActiveJobs {
    fn remaining(self) -> u32 {
        self.limit.saturating_sub(self.active)
    }
}

impl Requests {
    /// This one, unless `other` refuses or has less left.
    pub(crate) fn or_stricter(self, other: Self) -> Self {
        let stricter = other.limit.is_some()
            && (self.limit.is_none() || other.wait.is_some() || other.remaining < self.remaining);
        if stricter { other } else { self }
    }
}

/// Whose jobs and seconds count.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) scope: ProjectScope,
    pub(crate) tenant: Arc<Tenant>,
    /// A lower limit of active jobs, the caller's own.
    pub(crate) most_active: Option<u32>,
}

impl Standing {
    /// Adds what the store has counted for the project by now.
    pub(crate) async fn look_up(&mut self, api: &Api, account: &Account) -> Result<(), JobsError> {
        let Account { scope, tenant, most_active } = account;
        let own = &tenant.allowance;
        let now = api.clock.now();
        let windows = [Window::day(now), Window::month(now)].map(|window| window.until.since(now));
        let project = [own.gpu_seconds_per_day, own.gpu_seconds_per_month];
        let organization =
            [tenant.organization.gpu_seconds_per_day, tenant.organization.gpu_seconds_per_month];
        let limit = own.active_jobs.map(|limit| limit.get());
        let limit = limit.into_iter().chain(*most_active).min();
        let mut seconds = Vec::new();
        if limit.is_some() || project.iter().any(Option::is_some) {
            let tally = api.jobs.tally(Owner::Project(scope.project)).await?;
            self.jobs = limit.map(|limit| ActiveJobs { limit, active: tally.active });
            seconds.extend(left(project.map(|limit| limit.map(|limit| limit.get())), windows, tally));
        }
        if organization.iter().any(Option::is_some) {
            let tally = api.jobs.tally(Owner::Organization(scope.organization)).await?;
            seconds.extend(left(organization.map(|limit| limit.map(|limit| limit.get())), windows, tally));
        }
        self.seconds = seconds.into_iter().min_by_key(|seconds| seconds.remaining);
        Ok(())
    }

    /// Writes the headers of OpenAI and those of the draft standard. An answer that names a time of its own to come back
    /// does not say besides when the bucket is full: the one must not lie before the other.
    pub(crate) fn describe(&self, headers: &mut HeaderMap) {
        let mut policy = Vec::new();
        let mut state = Vec::new();
        let Requests { limit, remaining, period, reset, wait } = self.requests;
        if let Some(limit) = limit {
            let until = wait.unwrap_or(reset).as_millis().div_ceil(1000);
            policy.push(format!("\"requests\";q={limit};w={}", period.as_secs()));
            let waits_for_another_gate = wait.is_none() && headers.contains_key(RETRY_AFTER);
            state.push(match waits_for_another_gate {
                true => format!("\"requests\";r={remaining}"),
                false => format!("\"requests\";r={remaining};t={until}"),
            });
            put(headers, "x-ratelimit-limit-requests", &limit.to_string());
            put(headers, "x-ratelimit-remaining-requests", &remaining.to_string());
            put(headers, "x-ratelimit-reset-requests", &go_duration(reset));
        }
        if let Some(jobs) = self.jobs {
            policy.push(format!("\"jobs\";q={};qu=\"concurrent-requests\"", jobs.limit));
            state.push(format!("\"jobs\";r={}", jobs.remaining()));
            put(headers, "x-ratelimit-limit-jobs", &jobs.limit.to_string());
            put(headers, "x-ratelimit-remaining-jobs", &jobs.remaining().to_string());
        }
        if let Some(seconds) = self.seconds {
            put(headers, "x-ratelimit-limit-gpu-seconds", &seconds.limit.to_string());
            put(headers, "x-ratelimit-remaining-gpu-seconds", &seconds.remaining.to_string());
            put(headers, "x-ratelimit-reset-gpu-seconds", &go_duration(seconds.reset));
        }
        if !policy.is_empty() {
            put(headers, "ratelimit-policy", &policy.join(", "));
            put(headers, "ratelimit", &state.join(", "));
        }
    }
}

/// What is left of the limits of a day and of a month.
fn left(limits: [Option<u32>; 2], resets: [Duration; 2], tally: Tally) -> impl Iterator<Item = GpuSeconds> {
    let used = [tally.day_ms, tally.month_ms].map(|charged| charged + tally.reserved_ms);
    limits.into_iter().zip(used).zip(resets).filter_map(|((limit, used), reset)| {
        let limit = limit?;
        let remaining = (u64::from(limit) * 1000).saturating_sub(used) / 1000;
        Some(GpuSeconds { limit, remaining: remaining as u32, reset })
    })
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).expect("numbers and names are printable");
    headers.insert(HeaderName::from_static(name), value);
}

/// As Go prints a duration: `12ms`, `1s`, `1.5s`, `6m0s`, `5h0m1s`.
fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let seconds = (millis % 60_000) as f64 / 1000.0;
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        (_, _) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_does() {
        let written = [0, 12, 1000, 1500, 60_000, 360_000, 61_250, 18_001_000]
            .map(Duration::from_millis)
            .map(go_duration);
        assert_eq!(written, ["0s", "12ms", "1s", "1.5s", "1m0s", "6m0s", "1m1.25s", "5h0m1s"]);
    }

    #[test]
    fn both_families_of_headers_agree() {
        let mut headers = HeaderMap::new();
        let (reset, period) = (Duration::from_secs(3), Duration::from_secs(60));
        let requests = Requests { limit: Some(60), remaining: 57, period, reset, wait: None };
        let tally = Tally { day_ms: 5000, month_ms: 96_000, reserved_ms: 2500, ..Tally::default() };
        let seconds = left([Some(10), Some(100)], [reset, period], tally);
        let seconds = seconds.min_by_key(|seconds| seconds.remaining);
        Standing { requests, jobs: Some(ActiveJobs { limit: 20, active: 2 }), seconds }
            .describe(&mut headers);
        let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(
            header("ratelimit-policy"),
            "\"requests\";q=60;w=60, \"jobs\";q=20;qu=\"concurrent-requests\""
        );
        assert_eq!(header("ratelimit"), "\"requests\";r=57;t=3, \"jobs\";r=18");
        assert_eq!(header("x-ratelimit-reset-requests"), "3s");
        assert_eq!(header("x-ratelimit-remaining-jobs"), "18");
        assert_eq!(header("x-ratelimit-limit-gpu-seconds"), "100", "the month has the least left");
        assert_eq!(header("x-ratelimit-remaining-gpu-seconds"), "1");
        assert_eq!(header("x-ratelimit-reset-gpu-seconds"), "1m0s");
    }
}
