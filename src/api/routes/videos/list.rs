//! `GET /v1/videos`: the project's jobs, page by page.

use actix_web::{HttpRequest, HttpResponse, get, web};

use crate::api::auth::{Caller, ReadVideos};
use crate::api::dto::{ListObject, VideoList, VideoObject};
use crate::api::errors::ApiError;
use crate::api::paging::Page;
use crate::api::query::Query;
use crate::api::state::Api;
use crate::domain::job::JobState;
use crate::domain::model::ModelId;
use crate::domain::video::Operation;
use crate::store::{JobFilter, JobQuery};

/// List videos
#[utoipa::path(
    operation_id = "ListVideos",
    tag = "Videos",
    params(
        ("after" = Option<String>, Query, description = "The page begins behind this video."),
        ("limit" = Option<u32>, Query, minimum = 0, maximum = 100),
        ("order" = Option<String>, Query, description = "`desc` (default) or `asc` by creation."),
        ("status" = Option<String>, Query, description = "`queued`, `in_progress`, `completed` or `failed`."),
        ("model" = Option<String>, Query),
        ("operation" = Option<String>, Query, description = "`text_to_video`, `image_to_video` or `remix`."),
        ("created_after" = Option<u64>, Query, description = "Unix seconds, exclusive."),
        ("created_before" = Option<u64>, Query, description = "Unix seconds, exclusive."),
        ("seed" = Option<u32>, Query),
    ),
    responses((status = 200, description = "A page.", body = VideoList)),
)]
#[get("/v1/videos")]
pub(crate) async fn list_videos(
    caller: Caller<ReadVideos>,
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request)?;
    let page = Page::of(&query)?;
    let filter = JobFilter { ids: caller.videos().cloned(), ..filter(&query)? };
    let query = JobQuery { order: page.order, after: page.after, limit: page.limit, filter };
    let (jobs, has_more) = api.jobs.list(caller.scope(), query).await?;
    let data = jobs.iter().map(VideoObject::new).collect();
    Ok(HttpResponse::Ok().json(ListObject::new(data, has_more, VideoObject::id)))
}

fn filter(query: &Query) -> Result<JobFilter, ApiError> {
    let state = query.text("status").map(|name| {
        let message = "`status` must be queued, in_progress, completed or failed";
        JobState::parse(name).ok_or_else(|| ApiError::invalid_value("status", message))
    });
    let operation = query.text("operation").map(|name| match name {
        "text_to_video" => Ok(Operation::TextToVideo),
        "image_to_video" => Ok(Operation::ImageToVideo),
        "remix" => Ok(Operation::Remix),
        _ => {
            let message = "`operation` must be text_to_video, image_to_video or remix";
            Err(ApiError::invalid_value("operation", message))
        }
    });
    Ok(JobFilter {
        state: state.transpose()?,
        model: query.text("model").map(ModelId::new),
        operation: operation.transpose()?,
        created_after: query.time("created_after")?,
        created_before: query.time("created_before")?,
        seed: query.parsed("seed", "an integer from 0 to 4294967295")?,
        metadata: query.members("metadata"),
        ids: None,
    })
}
