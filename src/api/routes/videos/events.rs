//! `GET /v1/videos/{video_id}/events`: a job as server-sent events, until it is over.
//!
//! The job's row is all that is kept, so an event tells the job as it is now: what was superseded is not sent again.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::{HttpRequest, HttpResponse, get, web};
use bytes::Bytes;
use futures_util::stream::unfold;
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::video_id;
use crate::api::auth::{Caller, ReadVideos};
use crate::api::dto::VideoObject;
use crate::api::errors::ApiError;
use crate::api::query::Query;
use crate::api::state::Api;
use crate::domain::id::VideoId;
use crate::domain::job::JobState;
use crate::domain::key::ProjectScope;
use crate::jobs::{JobView, Jobs, Watch};
use crate::metrics::Metrics;

/// What an `EventSource` waits before it comes back.
const PREAMBLE: &str = "retry: 2000\n\n";

/// Keeps proxies from taking a quiet stream for a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A stream is closed after this long; the client comes back with the last id.
const LONGEST_STREAM: Duration = Duration::from_secs(3600);

/// Five events a second are enough for any eye.
const PROGRESS_GAP: Duration = Duration::from_millis(200);

/// How often the place in the queue is looked at; nobody announces it.
const QUEUE_LOOK: Duration = Duration::from_secs(2);

/// Numbers between two moves of a job, for changes of its place in the queue.
const PLACES_PER_MOVE: u64 = 1000;

/// Follow a video
///
/// Events `video.queued`, `video.in_progress`, `video.progress`, and at the end `video.completed` or `video.failed`.
/// With `Last-Event-ID` (or `starting_after`) only later ones; 204 if there will be none.
#[utoipa::path(
    operation_id = "streamVideoEvents",
    tag = "Videos",
    params(
        ("video_id" = String, Path, example = "video_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d"),
        ("starting_after" = Option<u64>, Query, description = "The number of the last event that was received."),
        ("Last-Event-ID" = Option<u64>, Header, description = "The same, as browsers send it."),
    ),
    responses(
        (status = 200, description = "The events.", content_type = "text/event-stream", body = String, headers(
            ("x-accel-buffering" = String, description = "`no`: proxies pass each event on at once."),
        )),
        (status = 204, description = "The last event was received before."),
    ),
)]
#[get("/v1/videos/{video_id}/events")]
pub(crate) async fn video_events(
    caller: Caller<ReadVideos>,
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let id = video_id(&request, &id)?;
    let after = Query::of(&request)?.parsed("starting_after", "the number of an event")?;
    let header =
        request.headers().get("last-event-id").and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let after: Option<u64> = after.or(header);
    // Subscribed before the first look, so that no change falls between.
    let watch = api.jobs.watch(id);
    let view = api.jobs.get(caller.scope(), id).await?;
    if view.job.status.state.is_terminal() && after.is_some_and(|after| after >= number(&view)) {
        return Ok(HttpResponse::new(StatusCode::NO_CONTENT));
    }
    // A number that was never given, as of another job: whoever shows it would wait for an end that is not told.
    let after = after.filter(|after| *after < number(&view) + PLACES_PER_MOVE);
    Ok(stream(&api, Follower::new(api.jobs.clone(), caller.scope(), id, watch, after)))
}

/// The events of a job that was just made, which was `first`.
pub(super) fn follow(api: &Api, scope: ProjectScope, first: JobView) -> HttpResponse {
    let jobs = api.jobs.clone();
    let (video, watch) = (first.job.id, jobs.watch(first.job.id));
    let follower = Follower::new(jobs, scope, video, watch, None);
    stream(api, Follower { first: Some(Box::new(first)), ..follower })
}

fn stream(api: &Api, follower: Follower) -> HttpResponse {
    let open = OpenStream::new(api.metrics.clone());
    let events = unfold((follower, open), |(mut follower, open)| async move {
        let chunk = follower.next().await?;
        Some((Ok::<_, actix_web::Error>(chunk), (follower, open)))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .streaming(events)
}

/// The number of the first event after the job's latest move.
fn number(view: &JobView) -> u64 {
    view.job.status.revision * PLACES_PER_MOVE + 1
}

/// Counts a stream until it ends or its client is gone.
struct OpenStream(Arc<Metrics>);

impl OpenStream {
    fn new(metrics: Arc<Metrics>) -> Self {
        metrics.sse_streams.add([], 1.0);
        Self(metrics)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.sse_streams.add([], -1.0);
    }
}

/// One open stream.
struct Follower {
    jobs: Jobs,
    scope: ProjectScope,
    video: VideoId,
    watch: Watch,
    closes: Instant,
    began: bool,
    /// What to tell before anything is read.
    first: Option<Box<JobView>>,
    /// The number of the last event, of this stream or of the one before.
    last: Option<u64>,
    /// The last event of this stream.
    told: Option<Told>,
    told_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    state: JobState,
    place: Option<u64>,
}

#[derive(Serialize)]
struct Event<'a> {
    r#type: &'a str,
    sequence_number: u64,
    video: VideoObject,
}

impl Follower {
    fn new(jobs: Jobs, scope: ProjectScope, video: VideoId, watch: Watch, last: Option<u64>) -> Self {
        let now = Instant::now();
        let closes = now + LONGEST_STREAM;
        Self { jobs, scope, video, watch, closes, began: false, first: None, last, told: None, told_at: now }
    }

    /// The next bytes; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.began {
            self.began = true;
            return Some(Bytes::from_static(PREAMBLE.as_bytes()));
        }
        if let Some(first) = self.first.take() {
            return Some(self.tell(&first, number(&first)));
        }
        let alive_until = Instant::now() + KEEP_ALIVE;
        while !self.is_over() && Instant::now() < self.closes {
            // Deleted, or the store is down: the client comes back and learns which.
            let view = self.jobs.get(self.scope, self.video).await.ok()?;
            let state = view.job.status.state;
            let number = self.due(&view);
            let hurried = state.is_terminal() || self.told.is_none_or(|told| told.state != state);
            let soonest = self.told_at + PROGRESS_GAP;
            match number {
                Some(number) if hurried || Instant::now() >= soonest => {
                    return Some(self.tell(&view, number));
                }
                Some(_) => sleep_until(soonest).await,
                None if self.rest(state, alive_until).await => {}
                None => return Some(Bytes::from_static(b": keep-alive\n\n")),
            }
        }
        None
    }

    /// Waits until there may be something to tell, or until a sign of life is due (`false`). A waiting job's place is
    /// looked up without reading the job: thousands of streams look, and nothing has happened.
    async fn rest(&mut self, state: JobState, alive_until: Instant) -> bool {
        loop {
            let look = match state {
                JobState::Queued => alive_until.min(Instant::now() + QUEUE_LOOK),
                JobState::InProgress | JobState::Completed | JobState::Failed => alive_until,
            };
            let woken = timeout_at(look, self.watch.changed()).await.is_ok();
            let place = self.told.and_then(|told| told.place);
            if woken || state == JobState::Queued && self.jobs.place(self.video) != place {
                return true;
            }
            if Instant::now() >= alive_until {
                return false;
            }
        }
    }

    /// The number of the event that tells the job as it is, unless it was told before.
    fn due(&self, view: &JobView) -> Option<u64> {
        let number = number(view);
        let Some(last) = self.last else { return Some(number) };
        if last < number {
            return Some(number);
        }
        let moved = self.told.is_some_and(|told| told.place != place(view));
        (moved && last + 1 < number + PLACES_PER_MOVE).then_some(last + 1)
    }

    fn tell(&mut self, view: &JobView, number: u64) -> Bytes {
        let state = view.job.status.state;
        // A stream that goes on was told of the start before, if any move had been made.
        let started = match self.told {
            Some(told) => told.state == JobState::InProgress,
            None => self.last.is_some_and(|last| last > PLACES_PER_MOVE),
        };
        let kind = match state {
            JobState::Queued => "video.queued",
            JobState::InProgress if started => "video.progress",
            JobState::InProgress => "video.in_progress",
            JobState::Completed => "video.completed",
            JobState::Failed => "video.failed",
        };
        self.last = Some(number);
        self.told = Some(Told { state, place: place(view) });
        self.told_at = Instant::now();
        let event = Event { r#type: kind, sequence_number: number, video: VideoObject::new(view) };
        let data = serde_json::to_string(&event).expect("a job becomes JSON");
        Bytes::from(format!("id: {number}\nevent: {kind}\ndata: {data}\n\n"))
    }

    fn is_over(&self) -> bool {
        self.told.is_some_and(|told| told.state.is_terminal())
    }
}

fn place(view: &JobView) -> Option<u64> {
    view.outlook.queue_position
}
