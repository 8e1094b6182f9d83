//! What the routes of a job answer: the job object, now or once it is over, and when to look again.

use actix_web::http::header::HeaderName;
use actix_web::{HttpRequest, HttpResponse};

use crate::api::dto::VideoObject;
use crate::api::errors::ApiError;
use crate::api::state::Api;
use crate::api::wait::Wait;
use crate::domain::key::ProjectScope;
use crate::jobs::JobView;

const POLL_AFTER_MS: HeaderName = HeaderName::from_static("openai-poll-after-ms");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A client looks about three times before a job is over, at least this often and at most that often.
const LOOKS_PER_JOB: f64 = 3.0;
const POLL_MS: std::ops::RangeInclusive<f64> = 250.0..=5000.0;

/// What a client is told that nothing is known about: the SDKs' own default.
const UNKNOWN_POLL_MS: u64 = 1000;

/// Waits as long as the client wants to, or until the job is over; answers the job as it then is.
pub(super) async fn settled(
    api: &Api,
    request: &HttpRequest,
    scope: ProjectScope,
    view: JobView,
    wait: Wait,
) -> Result<JobView, ApiError> {
    let Some(limit) = wait.duration().filter(|_| !view.job.status.state.is_terminal()) else {
        return Ok(view);
    };
    let started = api.clock.monotonic();
    let view = api.jobs.wait(scope, view.job.id, limit).await?;
    Wait::note(request, api.clock.monotonic().since(started));
    Ok(view)
}

/// The answer with the job as its body.
pub(super) fn answer(view: &JobView, wait: Wait) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if !view.job.status.state.is_terminal() {
        response.insert_header((POLL_AFTER_MS, poll_after(view.outlook.eta_seconds).to_string()));
    }
    if let Some(applied) = wait.applied() {
        response.insert_header((PREFERENCE_APPLIED, applied));
    }
    response.json(VideoObject::new(view))
}

fn poll_after(eta_seconds: Option<f64>) -> u64 {
    let millis = eta_seconds.map(|eta| (1000.0 * eta / LOOKS_PER_JOB).round());
    millis.map_or(UNKNOWN_POLL_MS, |millis| millis.clamp(*POLL_MS.start(), *POLL_MS.end()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polling_follows_the_estimate_within_bounds() {
        let times = [Some(3.0), Some(0.1), Some(600.0), None].map(poll_after);
        assert_eq!(times, [1000, 250, 5000, 1000]);
    }
}
