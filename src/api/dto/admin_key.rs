//! The keys of administrators.

use serde::Serialize;
use utoipa::ToSchema;

use super::organization::KeyFacts;
use crate::domain::clock::UnixMillis;
use crate::domain::key::{KeyRecord, KeyText};

/// An admin key; its value comes with its creation only.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AdminApiKey)]
pub(crate) struct AdminKeyObject {
    #[schema(value_type = String, pattern = "^organization.admin_api_key$", example = "organization.admin_api_key")]
    object: &'static str,
    #[serde(flatten)]
    facts: KeyFacts,
    owner: AdminKeyOwner,
    #[schema(required)]
    value: Option<String>,
}

/// Whom an admin key belongs to: the organisation's administrators as one.
#[derive(Debug, Serialize, ToSchema)]
struct AdminKeyOwner {
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "service_account")]
    kind: &'static str,
    #[schema(value_type = String, example = "organization.service_account")]
    object: &'static str,
    id: String,
    name: String,
    created_at: u64,
    #[schema(value_type = String, example = "owner")]
    role: &'static str,
}

/// What an admin key is to be.
#[derive(ToSchema)]
#[schema(as = AdminApiKeyBody)]
#[expect(dead_code, reason = "the documented form of a body that `body` decodes")]
pub(crate) struct AdminKeyBody {
    #[schema(min_length = 1, max_length = 128, example = "terraform")]
    name: String,
    /// `org.read`, `org.write`; default: both.
    #[schema(example = json!(["org.read"]))]
    scopes: Option<Vec<String>>,
    #[schema(minimum = 1)]
    expires_in_seconds: Option<i64>,
}

/// A page of admin keys.
#[derive(ToSchema)]
#[schema(as = AdminApiKeyList)]
#[expect(dead_code, reason = "the documented form of a generic list")]
pub(crate) struct AdminKeyList {
    object: String,
    data: Vec<AdminKeyObject>,
    #[schema(required)]
    first_id: Option<String>,
    #[schema(required)]
    last_id: Option<String>,
    has_more: bool,
}

impl AdminKeyObject {
    pub(crate) fn new(record: &KeyRecord, text: Option<&KeyText>, now: UnixMillis) -> Self {
        Self {
            object: "organization.admin_api_key",
            facts: KeyFacts::new(record, now),
            owner: AdminKeyOwner {
                kind: "service_account",
                object: "organization.service_account",
                id: record.id.to_string(),
                name: record.name.clone(),
                created_at: record.created_at.seconds(),
                role: "owner",
            },
            value: text.map(|text| text.reveal().to_owned()),
        }
    }

    /// As a list names it.
    pub(crate) fn id(&self) -> String {
        self.facts.id.clone()
    }
}
