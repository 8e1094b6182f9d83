//! Booked usage, in the shape of OpenAI's usage pages.

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::domain::usage::UsageRecord;

/// What is to be read of the usage.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the documented form of a query that `usage` reads")]
pub(crate) struct UsageParameters {
    /// Unix seconds, inclusive.
    start_time: u64,
    /// Unix seconds, exclusive; default: now.
    end_time: Option<u64>,
    /// `1d` (default), `1h` or `1m`.
    bucket_width: Option<String>,
    /// Buckets on a page.
    limit: Option<u32>,
    /// `next_page` of the page before.
    page: Option<String>,
    /// `project_id`, `api_key_id`, `model`, `size`, `operation`.
    group_by: Option<Vec<String>>,
    project_ids: Option<Vec<String>>,
    models: Option<Vec<String>>,
    api_key_ids: Option<Vec<String>>,
    /// `json` (default) or `csv`; then `x-next-page` says where to go on.
    format: Option<String>,
}

/// A page of buckets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsagePage {
    #[schema(value_type = String, pattern = "^page$", example = "page")]
    pub(crate) object: &'static str,
    pub(crate) data: Vec<UsageBucket>,
    pub(crate) has_more: bool,
    /// Goes into `page` for the next page.
    #[schema(required)]
    pub(crate) next_page: Option<String>,
}

/// A span of time, in Unix seconds; the end is exclusive.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageBucket {
    #[schema(value_type = String, pattern = "^bucket$", example = "bucket")]
    pub(crate) object: &'static str,
    pub(crate) start_time: u64,
    pub(crate) end_time: u64,
    /// One a group; empty if nothing was booked.
    pub(crate) results: Vec<UsageResult>,
}

/// Sums of one group; a name that is not grouped by is null.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct UsageResult {
    #[schema(value_type = String, example = "organization.usage.videos.result")]
    pub(crate) object: &'static str,
    /// Jobs that ended.
    pub(crate) num_model_requests: u64,
    /// Jobs that completed.
    pub(crate) videos: u64,
    pub(crate) failed_videos: u64,
    pub(crate) frames: u64,
    pub(crate) video_seconds: f64,
    pub(crate) gpu_seconds: f64,
    pub(crate) output_bytes: u64,
    #[schema(required)]
    pub(crate) project_id: Option<String>,
    #[schema(required)]
    pub(crate) api_key_id: Option<String>,
    #[schema(required)]
    pub(crate) model: Option<String>,
    #[schema(required)]
    pub(crate) size: Option<String>,
    #[schema(required)]
    pub(crate) operation: Option<String>,
}

impl UsagePage {
    /// A line a result, under a line of names.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "start_time,end_time,project_id,api_key_id,model,size,operation,num_model_requests,videos,\
             failed_videos,frames,video_seconds,gpu_seconds,output_bytes\r\n",
        );
        for bucket in &self.data {
            for result in &bucket.results {
                let names =
                    [&result.project_id, &result.api_key_id, &result.model, &result.size, &result.operation];
                let mut cells = vec![bucket.start_time.to_string(), bucket.end_time.to_string()];
                cells.extend(names.map(|name| name.as_deref().map(cell).unwrap_or_default()));
                cells.extend([
                    result.num_model_requests.to_string(),
                    result.videos.to_string(),
                    result.failed_videos.to_string(),
                    result.frames.to_string(),
                    result.video_seconds.to_string(),
                    result.gpu_seconds.to_string(),
                    result.output_bytes.to_string(),
                ]);
                table.push_str(&cells.join(","));
                table.push_str("\r\n");
            }
        }
        table
    }
}

/// As RFC 4180 writes a text.
fn cell(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

impl UsageResult {
    /// Adds a booking.
    pub(crate) fn add(&mut self, record: &UsageRecord) {
        self.num_model_requests += 1;
        self.videos += u64::from(record.completed);
        self.failed_videos += u64::from(!record.completed);
        self.frames += u64::from(record.usage.frames);
        self.video_seconds += record.usage.video_seconds;
        self.gpu_seconds += record.usage.gpu_seconds;
        self.output_bytes += record.output_bytes;
    }
}
