//! `/v1/usage`: what the project's jobs cost, in buckets of time and by group.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, get, web};
use time::OffsetDateTime;

use crate::api::auth::{Caller, ReadUsage};
use crate::api::dto::{UsageBucket, UsagePage, UsageResult};
use crate::api::errors::{ApiError, ErrorCode};
use crate::api::query::Query;
use crate::api::state::Api;
use crate::domain::clock::UnixMillis;
use crate::domain::key::ProjectScope;
use crate::domain::usage::UsageRecord;
use crate::store::UsageQuery;

/// The width of a bucket.
#[derive(Debug, Clone, Copy)]
struct Width {
    name: &'static str,
    seconds: u64,
    default_limit: u64,
    max_limit: u64,
}

/// As OpenAI offers them.
const WIDTHS: [Width; 3] = [
    Width { name: "1d", seconds: 86_400, default_limit: 7, max_limit: 31 },
    Width { name: "1h", seconds: 3_600, default_limit: 24, max_limit: 168 },
    Width { name: "1m", seconds: 60, default_limit: 60, max_limit: 1_440 },
];

/// What results can be grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Project,
    Key,
    Model,
    Size,
    Operation,
}

/// A wanted page.
struct Wanted {
    /// Unix seconds, inclusive.
    from: u64,
    /// Unix seconds, exclusive.
    to: u64,
    width: Width,
    limit: u64,
    groups: Vec<Group>,
    models: Vec<String>,
    keys: Vec<String>,
}

/// Read the project's usage
#[utoipa::path(
    operation_id = "getUsage",
    tag = "Usage",
    params(
        ("start_time" = u64, Query, description = "Unix seconds, inclusive."),
        ("end_time" = Option<u64>, Query, description = "Unix seconds, exclusive; default: now."),
        ("bucket_width" = Option<String>, Query, description = "`1d` (default), `1h` or `1m`."),
        ("limit" = Option<u32>, Query, description = "Buckets on a page."),
        ("page" = Option<String>, Query, description = "`next_page` of the page before."),
        ("group_by" = Option<Vec<String>>, Query, description = "`project_id`, `api_key_id`, `model`, `size`, `operation`."),
        ("models" = Option<Vec<String>>, Query),
        ("api_key_ids" = Option<Vec<String>>, Query),
    ),
    responses((status = 200, description = "A page of buckets.", body = UsagePage)),
)]
#[get("/v1/usage")]
pub(crate) async fn get_usage(
    caller: Caller<ReadUsage>,
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let wanted = wanted(&Query::of(&request)?, api.clock.now())?;
    let records = booked(&api, caller.scope(), wanted.from, wanted.to).await?;
    Ok(HttpResponse::Ok().json(page(&wanted, &records)))
}

/// Starts of the day and of the month of a moment, in Unix seconds (UTC).
pub(super) fn day_and_month(now: UnixMillis) -> (u64, u64) {
    let day = now.seconds() - now.seconds() % 86_400;
    let date = OffsetDateTime::from_unix_timestamp(day as i64).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    (day, day - u64::from(date.day() - 1) * 86_400)
}

/// Seconds charged to the project since a moment, in Unix seconds.
pub(super) async fn charged_since(api: &Api, scope: ProjectScope, from: u64) -> Result<f64, ApiError> {
    let records = booked(api, scope, from, api.clock.now().seconds() + 1).await?;
    Ok(records.iter().map(|record| record.usage.gpu_seconds).sum())
}

async fn booked(api: &Api, scope: ProjectScope, from: u64, to: u64) -> Result<Vec<UsageRecord>, ApiError> {
    let millis = |seconds: u64| UnixMillis(seconds.saturating_mul(1000));
    let query = UsageQuery {
        organization: scope.organization,
        project: Some(scope.project),
        from: millis(from),
        to: millis(to),
    };
    Ok(api.store.usage(query).await?)
}

fn wanted(query: &Query, now: UnixMillis) -> Result<Wanted, ApiError> {
    let start = query.time("start_time")?.ok_or_else(|| {
        ApiError::new(ErrorCode::MissingRequiredParameter, "`start_time` is required").about("start_time")
    })?;
    let name = query.text("bucket_width").unwrap_or(WIDTHS[0].name);
    let width = WIDTHS.into_iter().find(|width| width.name == name);
    let width = width
        .ok_or_else(|| ApiError::invalid_value("bucket_width", "`bucket_width` must be 1m, 1h or 1d"))?;
    let limit = query.integer("limit", 1..=width.max_limit)?.unwrap_or(width.default_limit);
    let page = query.parsed::<u64>("page", "the `next_page` of the page before")?;
    // The bucket that runs now belongs to what was asked for.
    let end = query.time("end_time")?.map_or(now.seconds() + 1, UnixMillis::seconds);
    let groups = query.list("group_by").iter().map(|name| group(name)).collect::<Result<_, _>>()?;
    Ok(Wanted {
        from: page.unwrap_or(start.seconds()).max(start.seconds()),
        to: end,
        width,
        limit,
        groups,
        models: query.list("models"),
        keys: query.list("api_key_ids"),
    })
}

fn group(name: &str) -> Result<Group, ApiError> {
    match name {
        "project_id" => Ok(Group::Project),
        "api_key_id" => Ok(Group::Key),
        "model" => Ok(Group::Model),
        "size" => Ok(Group::Size),
        "operation" => Ok(Group::Operation),
        _ => {
            let message = "`group_by` takes project_id, api_key_id, model, size and operation";
            Err(ApiError::invalid_value("group_by", message))
        }
    }
}

fn page(wanted: &Wanted, records: &[UsageRecord]) -> UsagePage {
    let step = wanted.width.seconds;
    let first = wanted.from - wanted.from % step;
    let starts = (0..wanted.limit).map(|index| first.saturating_add(index * step));
    let starts: Vec<u64> = starts.take_while(|start| *start < wanted.to).collect();
    let next = first.saturating_add(wanted.limit * step);
    let has_more = next < wanted.to;
    let data = starts.into_iter().map(|start| bucket(wanted, start, records)).collect();
    UsagePage { object: "page", data, has_more, next_page: has_more.then(|| next.to_string()) }
}

fn bucket(wanted: &Wanted, start: u64, records: &[UsageRecord]) -> UsageBucket {
    let end = start + wanted.width.seconds;
    let mut groups: BTreeMap<Vec<String>, UsageResult> = BTreeMap::new();
    let inside = records.iter().filter(|record| (start..end).contains(&record.at.seconds()));
    for record in inside.filter(|record| wanted.takes(record)) {
        let key = wanted.groups.iter().map(|group| group.value(record)).collect();
        let result = groups.entry(key).or_insert_with(|| named(&wanted.groups, record));
        result.add(record);
    }
    UsageBucket {
        object: "bucket",
        start_time: start,
        end_time: end,
        results: groups.into_values().collect(),
    }
}

fn named(groups: &[Group], record: &UsageRecord) -> UsageResult {
    let name = |group: Group| groups.contains(&group).then(|| group.value(record));
    UsageResult {
        object: "organization.usage.videos.result",
        project_id: name(Group::Project),
        api_key_id: name(Group::Key),
        model: name(Group::Model),
        size: name(Group::Size),
        operation: name(Group::Operation),
        ..UsageResult::default()
    }
}

impl Wanted {
    fn takes(&self, record: &UsageRecord) -> bool {
        let listed = |list: &[String], value: String| list.is_empty() || list.contains(&value);
        listed(&self.models, record.model.to_string()) && listed(&self.keys, record.key.to_string())
    }
}

impl Group {
    fn value(self, record: &UsageRecord) -> String {
        match self {
            Self::Project => record.project.to_string(),
            Self::Key => record.key.to_string(),
            Self::Model => record.model.to_string(),
            Self::Size => record.size.to_string(),
            Self::Operation => record.operation.as_str().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_months_begin_at_midnight() {
        // 2026-11-23T09:40:00Z
        let (day, month) = day_and_month(UnixMillis(1_795_426_800_000));
        assert_eq!((day, month), (1_795_392_000, 1_793_491_200));
    }
}
