//! `/v1/usage`: what the project's jobs cost, in buckets of time and by group, as JSON or as a table.

use std::collections::BTreeMap;

use actix_web::http::header::{CONTENT_DISPOSITION, HeaderName};
use actix_web::{HttpRequest, HttpResponse, get, web};

use crate::api::auth::{Caller, ReadUsage};
use crate::api::dto::{UsageBucket, UsagePage, UsageParameters, UsageResult};
use crate::api::errors::{ApiError, ErrorCode};
use crate::api::query::Query;
use crate::api::state::Api;
use crate::domain::clock::UnixMillis;
use crate::domain::id::{OrganizationId, ProjectId};
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
    projects: Vec<String>,
    /// As comma-separated values.
    table: bool,
}

/// What stands in place of `next_page` where there is no JSON.
const NEXT_PAGE: HeaderName = HeaderName::from_static("x-next-page");

/// Read the project's usage
#[utoipa::path(
    operation_id = "getUsage",
    tag = "Usage",
    params(UsageParameters),
    responses((status = 200, description = "A page of buckets.", content((UsagePage = "application/json"), (String = "text/csv")), headers(
        ("content-disposition" = Option<String>, description = "A name to save the table under."),
        ("x-next-page" = Option<String>, description = "`page` of the table's next page."),
    ))),
)]
#[get("/v1/usage")]
pub(crate) async fn get_usage(
    caller: Caller<ReadUsage>,
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let scope = caller.scope();
    answer(&api, &request, scope.organization, Some(scope.project)).await
}

/// The usage of a project, or of a whole organisation.
pub(super) async fn answer(
    api: &Api,
    request: &HttpRequest,
    organization: OrganizationId,
    project: Option<ProjectId>,
) -> Result<HttpResponse, ApiError> {
    let wanted = wanted(&Query::of(request)?, api.clock.now())?;
    let (from, to) = wanted.period();
    let records = api.store.usage(UsageQuery { organization, project, from, to }).await?;
    let page = page(&wanted, &records);
    if !wanted.table {
        return Ok(HttpResponse::Ok().json(page));
    }
    let mut response = HttpResponse::Ok();
    response.content_type("text/csv; charset=utf-8");
    response.insert_header((CONTENT_DISPOSITION, "attachment; filename=\"usage.csv\""));
    if let Some(next) = &page.next_page {
        response.insert_header((NEXT_PAGE, next.as_str()));
    }
    Ok(response.body(page.table()))
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
    let page = query.time_as("page", "the `next_page` of the page before")?;
    // The bucket that runs now belongs to what was asked for.
    let end = query.time("end_time")?.map_or(now.seconds() + 1, UnixMillis::seconds);
    let table = match query.text("format") {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(ApiError::invalid_value("format", "`format` must be json or csv")),
    };
    let groups = query.list("group_by").iter().map(|name| group(name)).collect::<Result<_, _>>()?;
    Ok(Wanted {
        from: page.unwrap_or(start).max(start).seconds(),
        to: end,
        width,
        limit,
        groups,
        models: query.list("models"),
        keys: query.list("api_key_ids"),
        projects: query.list("project_ids"),
        table,
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
    let next = wanted.end_of_page();
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
        listed(&self.models, record.model.to_string())
            && listed(&self.keys, record.key.to_string())
            && listed(&self.projects, record.project.to_string())
    }

    /// What the page shows; nothing if it begins behind its end.
    fn period(&self) -> (UnixMillis, UnixMillis) {
        let to = self.to.min(self.end_of_page());
        (UnixMillis::of_seconds(self.from), UnixMillis::of_seconds(to))
    }

    /// The end of the last bucket that fits on the page.
    fn end_of_page(&self) -> u64 {
        let step = self.width.seconds;
        (self.from - self.from % step).saturating_add(self.limit * step)
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
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn no_time_of_a_query_is_later_than_a_database_can_count() {
        let (now, latest) = (UnixMillis(1000), u64::MAX);
        for query in [
            format!("start_time={latest}"),
            format!("start_time=0&page={latest}"),
            format!("start_time={latest}&end_time={latest}"),
        ] {
            let request = TestRequest::with_uri(&format!("/v1/usage?{query}")).to_http_request();
            let wanted = wanted(&Query::of(&request).unwrap(), now).unwrap();
            let (from, to) = wanted.period();
            assert!(from.max(to) <= UnixMillis::LATEST && from >= to, "{query}");
            assert!(page(&wanted, &[]).next_page.is_none(), "{query}");
        }
    }
}
