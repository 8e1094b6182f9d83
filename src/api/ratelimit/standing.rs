//! How a project stands with its limits, as every answer tells it.

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// What is left of the limits after a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Requests a minute; `None` is unlimited, and then nothing is said.
    pub(crate) limit: Option<u32>,
    pub(crate) remaining: u32,
    /// Until the bucket is full.
    pub(crate) reset: Duration,
    /// Set if the request is refused: until there is a token.
    pub(crate) wait: Option<Duration>,
    pub(crate) jobs: Option<ActiveJobs>,
}

/// Jobs that are queued or running, and how many may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ActiveJobs {
    pub(crate) limit: u32,
    pub(crate) active: u32,
}

impl ActiveJobs {
    fn remaining(self) -> u32 {
        self.limit.saturating_sub(self.active)
    }
}

impl Standing {
    /// Writes the headers of OpenAI and those of the draft standard.
    pub(crate) fn describe(&self, headers: &mut HeaderMap) {
        let mut policy = Vec::new();
        let mut state = Vec::new();
        if let Some(limit) = self.limit {
            let until = self.wait.unwrap_or(self.reset).as_millis().div_ceil(1000);
            policy.push(format!("\"requests\";q={limit};w=60"));
            state.push(format!("\"requests\";r={};t={until}", self.remaining));
            put(headers, "x-ratelimit-limit-requests", &limit.to_string());
            put(headers, "x-ratelimit-remaining-requests", &self.remaining.to_string());
            put(headers, "x-ratelimit-reset-requests", &go_duration(self.reset));
        }
        if let Some(jobs) = self.jobs {
            policy.push(format!("\"jobs\";q={};qu=\"concurrent-requests\"", jobs.limit));
            state.push(format!("\"jobs\";r={}", jobs.remaining()));
            put(headers, "x-ratelimit-limit-jobs", &jobs.limit.to_string());
            put(headers, "x-ratelimit-remaining-jobs", &jobs.remaining().to_string());
        }
        if !policy.is_empty() {
            put(headers, "ratelimit-policy", &policy.join(", "));
            put(headers, "ratelimit", &state.join(", "));
        }
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).expect("numbers and names are printable");
    headers.insert(HeaderName::from_static(name), value);
}

/// As Go prints a duration: `12ms`, `1s`, `1.5s`, `6m0s`.
fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let minutes = millis / 60_000;
    let seconds = (millis % 60_000) as f64 / 1000.0;
    if minutes == 0 { format!("{seconds}s") } else { format!("{minutes}m{seconds}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_does() {
        let written =
            [0, 12, 1000, 1500, 60_000, 360_000, 61_250].map(Duration::from_millis).map(go_duration);
        assert_eq!(written, ["0s", "12ms", "1s", "1.5s", "1m0s", "6m0s", "1m1.25s"]);
    }

    #[test]
    fn both_families_of_headers_agree() {
        let mut headers = HeaderMap::new();
        let reset = Duration::from_secs(3);
        let jobs = Some(ActiveJobs { limit: 20, active: 2 });
        Standing { limit: Some(60), remaining: 57, reset, wait: None, jobs }.describe(&mut headers);
        let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(
            header("ratelimit-policy"),
            "\"requests\";q=60;w=60, \"jobs\";q=20;qu=\"concurrent-requests\""
        );
        assert_eq!(header("ratelimit"), "\"requests\";r=57;t=3, \"jobs\";r=18");
        assert_eq!(header("x-ratelimit-reset-requests"), "3s");
        assert_eq!(header("x-ratelimit-remaining-jobs"), "18");
    }
}
