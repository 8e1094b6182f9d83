//! From a decoded request to an admitted job: the one way for all routes that make videos.

use std::num::NonZeroU32;

use actix_web::http::header::{HeaderName, HeaderValue, LOCATION};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use tracing::Instrument;

use super::answer::{answer, settled};
use super::events::follow;
use crate::api::auth::{Caller, WriteVideos, charge_model};
use crate::api::body::{Faults, Fields, ImageInput};
use crate::api::errors::{ApiError, ErrorCode};
use crate::api::idempotency::{Repeatable, created_then};
use crate::api::picture;
use crate::api::query::Query;
use crate::api::retries::Trial;
use crate::api::state::Api;
use crate::api::wait::Wait;
use crate::domain::job::{Job, JobState};
use crate::domain::request::{Accepted, Checked, Context, SourceImage, VideoRequest, check};
use crate::domain::trace::TraceContext;
use crate::domain::video::Operation;
use crate::jobs::{JobsError, NewInput, NewJob, Submitted};
use crate::store::Gates;

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What a client wants.
pub(super) struct Order {
    pub(super) video: VideoRequest,
    pub(super) picture: Picture,
    pub(super) reply: Reply,
    /// How a repetition of the request would be recognised.
    pub(super) repeatable: Repeatable,
    /// What is wrong with the body by its form.
    pub(super) faults: Faults,
}

/// The picture that comes with a request.
pub(super) enum Picture {
    None,
    /// The field that holds it, and the picture; nothing if it has a fault.
    Given(Option<(String, ImageInput)>),
}

/// How a client wants to hear of its job.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reply {
    /// As an object, at once or once it is over.
    Job(Wait),
    /// As a stream of events.
    Events,
}

impl Reply {
    /// One way or the other; a mere preference for waiting, in the header, gives way to a stream.
    pub(super) fn take(request: &HttpRequest, fields: &mut Fields, faults: &mut Faults) -> Self {
        let queried = |query: Query| query.text("wait").is_some();
        let demanded = fields.has("wait") || Query::of(request).is_ok_and(queried);
        let wait = faults.keep(fields.integer("wait")).flatten();
        let stream = faults.keep(fields.boolean("stream")).flatten().unwrap_or(false);
        let wait = faults.keep(Wait::of(request, wait)).unwrap_or_default();
        if stream && demanded {
            faults.note(ApiError::invalid_value("stream", "give either `wait` or `stream`"));
        }
        if stream { Self::Events } else { Self::Job(wait) }
    }
}

/// Checks, admits, waits if wanted, and answers.
pub(super) async fn submit(
    api: &Api,
    request: &HttpRequest,
    caller: &Caller<WriteVideos>,
    order: Order,
) -> Result<HttpResponse, ApiError> {
    let Order { video, picture, reply, repeatable, mut faults } = order;
    let with_image = matches!(picture, Picture::Given(_));
    let checked = judge(api, &video, with_image, &mut faults).await;
    let picture = match picture {
        // Fetching and decoding are dear: not for a request that is refused anyway before its picture is looked at.
        Picture::Given(Some((param, input))) if faults.matters(&param) => {
            faults.keep(picture::check(api, caller.scope(), &param, input).await)
        }
        Picture::Given(_) | Picture::None => None,
    };
    let accepted = fit(checked, picture.as_ref().map(|picture| picture.sides), faults)?;
    let input = picture.map(|picture| NewInput::Bytes {
        bytes: picture.bytes,
        width: picture.sides.width,
        height: picture.sides.height,
        content_type: picture.content_type.to_owned(),
        file_id: picture.file,
    });
    let job = new_job(request, caller, accepted, input);
    admit(api, request, caller, job, repeatable, reply).await
}

/// A completed job again, except for what the changes say; its stored picture is used again.
pub(super) async fn resubmit(
    api: &Api,
    request: &HttpRequest,
    caller: &Caller<WriteVideos>,
    source: &Job,
    order: Order,
) -> Result<HttpResponse, ApiError> {
    let Order { video, reply, repeatable, mut faults, .. } = order;
    let input = source.request.input.clone();
    let sides = input.as_ref().map(|image| SourceImage { width: image.width, height: image.height });
    let video = VideoRequest::repeating(&source.request.spec).changed_by(video);
    let checked = judge(api, &video, sides.is_some(), &mut faults).await;
    let mut accepted = fit(checked, sides, faults)?;
    if source.status.state != JobState::Completed {
        return Err(ApiError::new(ErrorCode::SourceNotReady, "the source video is not completed"));
    }
    accepted.spec.operation = Operation::Remix;
    let job = new_job(request, caller, accepted, input.map(|image| NewInput::Of(source.id, image)));
    let job = NewJob { remixed_from: Some(source.id), requested_model: None, ..job };
    admit(api, request, caller, job, repeatable, reply).await
}

async fn admit(
    api: &Api,
    request: &HttpRequest,
    caller: &Caller<WriteVideos>,
    job: NewJob,
    repeatable: Repeatable,
    reply: Reply,
) -> Result<HttpResponse, ApiError> {
    let scope = caller.scope();
    let now = api.clock.monotonic();
    let trial = repeatable.without_key();
    let mut trial = trial.and_then(|print| api.retries.begin(request, caller.key(), print, now));
    let earlier = match &trial {
        Some(trial) => trial.earlier().await,
        None => None,
    };
    let earlier = match earlier {
        // It may have been deleted meanwhile; then this is a new request.
        Some(video) => api.jobs.get(scope, video).await.ok(),
        None => None,
    };
    let submitted = match earlier {
        Some(view) => {
            api.metrics.idempotent_replays_total.increment(["retry_guard"]);
            if let Some(trial) = &mut trial {
                trial.teller().send_replace(Some(view.job.id));
            }
            Submitted { view, replayed: true }
        }
        None => submit_new(api, request, caller, job, repeatable, trial.as_mut()).await?,
    };
    let id = submitted.view.job.id;
    let mut response = match reply {
        Reply::Events => follow(api, scope, submitted.view),
        Reply::Job(wait) if submitted.replayed && wait.duration().is_none() => {
            answer(&created_then(submitted.view), wait)
        }
        Reply::Job(wait) => {
            // The job exists from here on: whatever happens to the waiting, an error would make the client ask for another.
            let settled = settled(api, request, scope, submitted.view.clone(), wait).await;
            answer(&settled.unwrap_or(submitted.view), wait)
        }
    };
    let location = HeaderValue::from_str(&format!("/v1/videos/{id}"));
    response.headers_mut().insert(LOCATION, location.map_err(|error| ApiError::internal(&error))?);
    if submitted.replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    if let Some(trial) = trial {
        trial.answered();
    }
    Ok(response)
}

/// Makes the job, unless its idempotency key made one before.
async fn submit_new(
    api: &Api,
    request: &HttpRequest,
    caller: &Caller<WriteVideos>,
    job: NewJob,
    repeatable: Repeatable,
    trial: Option<&mut Trial>,
) -> Result<Submitted, ApiError> {
    let scope = caller.scope();
    let (idempotency, in_flight) = repeatable.claim(api, scope)?;
    let model = &job.spec.model;
    charge_model(api, request, caller, model)?;
    let gates = caller.tenant().gates(scope, model, caller.max_active_jobs(), api.clock.now());
    let max_running = caller.tenant().allowance.running_jobs.map(NonZeroU32::get);
    let job = NewJob { idempotency, gates, max_running, ..job };
    let teller = trial.map(Trial::teller);
    let jobs = api.jobs.clone();
    // Goes on if the client goes: a retry is told of the job that it makes, and the key stays in use until then.
    let submission = async move {
        let submitted = jobs.submit(scope, job).await;
        if let (Some(teller), Ok(submitted)) = (teller, &submitted) {
            teller.send_replace(Some(submitted.view.job.id));
        }
        drop(in_flight);
        submitted
    };
    let submission = actix_web::rt::spawn(submission.in_current_span());
    let submitted = submission.await.map_err(|error| ApiError::internal(&error))?;
    let refused_by = match &submitted {
        Err(JobsError::TooManyActive { .. }) => Some("jobs"),
        Err(JobsError::QuotaSpent { .. } | JobsError::NeverFits { .. }) => Some("gpu_seconds"),
        Ok(_) | Err(_) => None,
    };
    if let Some(gate) = refused_by {
        api.metrics.rate_limited_total.increment([api.metrics.project(&scope.project.to_string()), gate]);
    }
    let submitted = submitted?;
    if submitted.replayed {
        api.metrics.idempotent_replays_total.increment(["key"]);
    }
    Ok(submitted)
}

/// Checks what can be checked before the picture has been seen, and whether events may be sent to where they should go.
async fn judge<'a>(
    api: &'a Api,
    video: &VideoRequest,
    with_image: bool,
    faults: &mut Faults,
) -> Option<Checked<'a>> {
    let mut seed = [0; 4];
    api.random.fill(&mut seed);
    let fresh_seed = u32::from_le_bytes(seed);
    let context = Context { catalog: &api.catalog, with_image, fresh_seed, callbacks: true };
    let checked = faults.keep(check(video, &context));
    if let Some(url) = video.callback_url.as_deref().filter(|_| faults.matters("callback_url")) {
        let allowed = api.webhooks.check_callback(url).await.map_err(|_| {
            ApiError::new(ErrorCode::CallbackUrlNotAllowed, "the URL is not allowed").about("callback_url")
        });
        faults.keep(allowed);
    }
    checked
}

/// The whole request with its picture, or the first of all its faults.
fn fit(
    checked: Option<Checked<'_>>,
    sides: Option<SourceImage>,
    mut faults: Faults,
) -> Result<Accepted, ApiError> {
    let accepted = checked.and_then(|checked| faults.keep(checked.with(sides)));
    faults.finish()?;
    accepted.ok_or_else(|| ApiError::internal(&"a request was refused without a reason"))
}

fn new_job(
    request: &HttpRequest,
    caller: &Caller<WriteVideos>,
    accepted: Accepted,
    input: Option<NewInput>,
) -> NewJob {
    NewJob {
        trace: request.extensions().get::<TraceContext>().cloned(),
        key: caller.key(),
        spec: accepted.spec,
        requested_model: accepted.requested_model,
        remixed_from: None,
        input,
        metadata: accepted.metadata,
        asset_ttl_seconds: u64::from(accepted.asset_ttl_seconds),
        callback_url: accepted.callback_url,
        warnings: accepted.warnings,
        gates: Gates::default(),
        max_running: None,
        idempotency: None,
    }
}
