//! Projects, service accounts and keys, in the shapes of the SDK's `admin.organization`.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::clock::UnixMillis;
use crate::domain::key::{KeyRecord, KeyText};
use crate::domain::tenant::{Project, ServiceAccount};

/// The role of every service account.
const MEMBER: &str = "member";

/// A project.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Project)]
pub(crate) struct ProjectObject {
    id: String,
    #[schema(value_type = String, example = "organization.project")]
    object: &'static str,
    name: String,
    /// `active` or `archived`.
    #[schema(value_type = String, example = "active")]
    status: &'static str,
    /// Unix seconds.
    created_at: u64,
    #[schema(required)]
    archived_at: Option<u64>,
}

/// A service account; its first key comes with its creation only.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServiceAccount)]
pub(crate) struct AccountObject {
    id: String,
    #[schema(value_type = String, example = "organization.project.service_account")]
    object: &'static str,
    name: String,
    #[schema(value_type = String, example = "member")]
    role: &'static str,
    created_at: u64,
    #[schema(required)]
    api_key: Option<NewKeyObject>,
}

/// A new key: the only time that its value is shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NewApiKey)]
pub(crate) struct NewKeyObject {
    id: String,
    #[schema(value_type = String, example = "organization.project.service_account.api_key")]
    object: &'static str,
    name: String,
    created_at: u64,
    #[schema(required)]
    expires_at: Option<u64>,
    value: String,
}

/// What is shown of every key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyFacts {
    pub(crate) id: String,
    name: String,
    redacted_value: String,
    created_at: u64,
    #[schema(required)]
    last_used_at: Option<u64>,
    /// Of a rotated key the end of the overlap, unless its own comes first.
    #[schema(required)]
    expires_at: Option<u64>,
    #[schema(value_type = Vec<String>)]
    scopes: Vec<&'static str>,
    /// `active`, `expired` or `revoked`.
    #[schema(value_type = String, example = "active")]
    status: &'static str,
}

/// A key without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct KeyObject {
    #[schema(value_type = String, example = "organization.project.api_key")]
    object: &'static str,
    #[serde(flatten)]
    facts: KeyFacts,
    #[schema(required)]
    owner: Option<KeyOwnerObject>,
    #[schema(value_type = String, example = "active")]
    owner_project_access: &'static str,
}

/// Whom a key belongs to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKeyOwner)]
pub(crate) struct KeyOwnerObject {
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "service_account")]
    kind: &'static str,
    service_account: AccountObject,
}

/// The answer to a delete.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deleted)]
pub(crate) struct DeletedObject {
    pub(crate) id: String,
    #[schema(value_type = String, example = "organization.project.api_key.deleted")]
    pub(crate) object: &'static str,
    pub(crate) deleted: bool,
}

/// A project's name.
#[derive(ToSchema)]
#[schema(as = ProjectBody)]
#[expect(dead_code, reason = "the documented form of a body that `body` decodes")]
pub(crate) struct ProjectBody {
    #[schema(min_length = 1, max_length = 128, example = "demo")]
    name: String,
}

/// A service account's name.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a body that `body` decodes")]
pub(crate) struct ServiceAccountBody {
    #[schema(min_length = 1, max_length = 128, example = "backend")]
    name: String,
    /// Make no key with it.
    create_service_account_only: Option<bool>,
}

/// What a key is to be.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a body that `body` decodes")]
pub(crate) struct ApiKeyBody {
    #[schema(max_length = 128)]
    name: Option<String>,
    /// Default: everything.
    #[schema(example = json!(["videos.read"]))]
    scopes: Option<Vec<String>>,
    #[schema(minimum = 1)]
    expires_in_seconds: Option<i64>,
}

/// How long the old key works beside the new one.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a body that `body` decodes")]
pub(crate) struct RotateKeyBody {
    #[schema(minimum = 0, maximum = 604800, default = 0)]
    overlap_seconds: Option<i64>,
}

/// A page of projects.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a generic list")]
pub(crate) struct ProjectList {
    object: String,
    data: Vec<ProjectObject>,
    #[schema(required)]
    first_id: Option<String>,
    #[schema(required)]
    last_id: Option<String>,
    has_more: bool,
}

/// A page of service accounts.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a generic list")]
pub(crate) struct ServiceAccountList {
    object: String,
    data: Vec<AccountObject>,
    #[schema(required)]
    first_id: Option<String>,
    #[schema(required)]
    last_id: Option<String>,
    has_more: bool,
}

/// A page of keys.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a generic list")]
pub(crate) struct ApiKeyList {
    object: String,
    data: Vec<KeyObject>,
    #[schema(required)]
    first_id: Option<String>,
    #[schema(required)]
    last_id: Option<String>,
    has_more: bool,
}

impl ProjectObject {
    pub(crate) fn new(project: &Project) -> Self {
        Self {
            id: project.id.to_string(),
            object: "organization.project",
            name: project.name.clone(),
            status: if project.archived_at.is_some() { "archived" } else { "active" },
            created_at: project.created_at.seconds(),
            archived_at: project.archived_at.map(|at| at.seconds()),
        }
    }

    /// As a list names it.
    pub(crate) fn id(&self) -> String {
        self.id.clone()
    }
}

impl AccountObject {
    pub(crate) fn new(account: &ServiceAccount, api_key: Option<NewKeyObject>) -> Self {
        Self {
            id: account.id.to_string(),
            object: "organization.project.service_account",
            name: account.name.clone(),
            role: MEMBER,
            created_at: account.created_at.seconds(),
            api_key,
        }
    }

    /// As a list names it.
    pub(crate) fn id(&self) -> String {
        self.id.clone()
    }
}

impl NewKeyObject {
    pub(crate) fn new(record: &KeyRecord, text: &KeyText) -> Self {
        Self {
            id: record.id.to_string(),
            object: "organization.project.service_account.api_key",
            name: record.name.clone(),
            created_at: record.created_at.seconds(),
            expires_at: record.expires_at.map(|at| at.seconds()),
            value: text.reveal().to_owned(),
        }
    }
}

impl KeyFacts {
    pub(crate) fn new(record: &KeyRecord, now: UnixMillis) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name.clone(),
            redacted_value: record.redacted.clone(),
            created_at: record.created_at.seconds(),
            last_used_at: record.last_used_at.map(|at| at.seconds()),
            expires_at: record.ends_at().map(|at| at.seconds()),
            scopes: record.scopes.iter().map(|scope| scope.as_str()).collect(),
            status: match record.revoked_at {
                Some(_) => "revoked",
                None if record.has_expired(now) => "expired",
                None => "active",
            },
        }
    }
}

impl KeyObject {
    /// `account` is the owner.
    pub(crate) fn new(record: &KeyRecord, account: Option<&ServiceAccount>, now: UnixMillis) -> Self {
        let owner = account.map(|account| KeyOwnerObject {
            kind: "service_account",
            service_account: AccountObject::new(account, None),
        });
        let (object, facts) = ("organization.project.api_key", KeyFacts::new(record, now));
        Self { object, facts, owner, owner_project_access: "active" }
    }

    /// As a list names it.
    pub(crate) fn id(&self) -> String {
        self.facts.id.clone()
    }
}
