//! The body of an event: OpenAI's shape, thin, with its receiver fetching the rest.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::clock::UnixMillis;
use crate::domain::event::{Event, EventKind, JobFacts};
use crate::domain::id::{EndpointId, EventId, ProjectId, VideoId};

/// `type` of the event that only a test call sends.
pub(super) const TEST: &str = "endpoint.test";

/// In the order of the wire; `data.id` is always first.
#[derive(Serialize)]
struct Body<'a, Data> {
    id: EventId,
    object: &'static str,
    created_at: u64,
    r#type: &'a str,
    data: Data,
}

#[derive(Serialize)]
struct VideoData<'a> {
    id: VideoId,
    project_id: ProjectId,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
}

#[derive(Serialize)]
struct EndpointData {
    id: EndpointId,
}

/// Of a job's event; there are no facts if an older build wrote it and the job was deleted since.
pub(super) fn of_job(event: &Event, facts: Option<&JobFacts>) -> String {
    let status = match event.kind {
        EventKind::InProgress => "in_progress",
        EventKind::Completed => "completed",
        EventKind::Failed => "failed",
    };
    body(&Body {
        id: event.id,
        object: "event",
        created_at: event.at.seconds(),
        r#type: event.kind.as_str(),
        data: VideoData {
            id: event.video,
            project_id: event.project,
            status: Some(status),
            metadata: facts.map(|facts| &facts.metadata),
            error_code: facts.and_then(|facts| facts.error_code).map(|code| code.as_str()),
        },
    })
}

/// Of a test call.
pub(super) fn of_test(event: EventId, endpoint: EndpointId, at: UnixMillis) -> String {
    body(&Body {
        id: event,
        object: "event",
        created_at: at.seconds(),
        r#type: TEST,
        data: EndpointData { id: endpoint },
    })
}

fn body<Data: Serialize>(body: &Body<'_, Data>) -> String {
    serde_json::to_string(body).expect("texts and numbers become JSON")
}
