//! What the operator's API says and takes, as structs.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::clock::UnixMillis;
use crate::domain::key::{KeyRecord, KeyText};
use crate::domain::lease::Device;
use crate::domain::tenant::Organization;
use crate::domain::token::SigningKey;
use crate::jobs::Minted;
use crate::scheduler::{ModelView, Scheduler, WorkerView};

/// An organization.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Organization)]
pub(super) struct OrganizationObject {
    #[schema(value_type = String, example = "organization")]
    object: &'static str,
    id: String,
    name: String,
    /// `active` or `suspended`.
    #[schema(value_type = String, example = "active")]
    status: &'static str,
    /// Unix seconds.
    created_at: u64,
    limits: OrganizationLimitsObject,
}

/// Limits of all projects of an organization together; null is unlimited.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrganizationLimits)]
struct OrganizationLimitsObject {
    #[schema(required)]
    max_gpu_seconds_per_1_day: Option<u32>,
    #[schema(required)]
    max_gpu_seconds_per_1_month: Option<u32>,
}

/// An organization that was just made, with the first key of its administrators.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NewOrganization)]
pub(super) struct NewOrganizationObject {
    #[serde(flatten)]
    organization: OrganizationObject,
    admin_api_key: FirstAdminKey,
}

#[derive(Debug, Serialize, ToSchema)]
struct FirstAdminKey {
    id: String,
    /// Shown this once.
    value: String,
}

/// What is to be set; what is absent stays, a limit of null is unlimited.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a body that `body` decodes")]
pub(super) struct OrganizationBody {
    /// Required where the organization is made.
    #[schema(min_length = 1, max_length = 128, example = "acme")]
    name: Option<String>,
    /// `active` or `suspended`.
    #[schema(example = "active")]
    status: Option<String>,
    limits: Option<OrganizationLimitsBody>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a body that `body` decodes")]
struct OrganizationLimitsBody {
    #[schema(minimum = 1)]
    max_gpu_seconds_per_1_day: Option<u32>,
    #[schema(minimum = 1)]
    max_gpu_seconds_per_1_month: Option<u32>,
}

/// A page of organizations.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a generic list")]
pub(super) struct OrganizationList {
    object: String,
    data: Vec<OrganizationObject>,
    #[schema(required)]
    first_id: Option<String>,
    #[schema(required)]
    last_id: Option<String>,
    has_more: bool,
}

/// A worker: a process with a device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Worker)]
pub(super) struct WorkerObject {
    #[schema(value_type = String, example = "worker")]
    object: &'static str,
    id: String,
    name: String,
    host: String,
    process_id: u32,
    /// `starting`, `idle`, `busy`, `draining`, `unloading`, `restarting` or `down`.
    #[schema(value_type = String, example = "idle")]
    state: &'static str,
    devices: Vec<DeviceObject>,
    models: Vec<HostedModelObject>,
    #[schema(required)]
    current_video_id: Option<String>,
    /// Unix seconds.
    last_heartbeat_at: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WorkerDevice)]
struct DeviceObject {
    index: u32,
    /// Empty for a CPU.
    uuid: String,
    name: String,
    memory_total_bytes: u64,
    memory_used_bytes: u64,
    /// 0 to 1.
    utilization_ratio: f64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WorkerModel)]
struct HostedModelObject {
    id: String,
    quant_linear: bool,
    /// In memory, ready to run.
    resident: bool,
    /// `load` or `unload`: an order that the worker has not carried out yet.
    #[schema(required, value_type = Option<String>, example = json!(null))]
    ordered: Option<&'static str>,
    /// Why the last order could not be carried out.
    #[schema(required)]
    error: Option<String>,
}

/// A model of a worker.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a body that `body` decodes")]
pub(super) struct ModelBody {
    #[schema(example = "wan-tiny")]
    model: String,
    /// Refused if the worker's variant of the model is the other one.
    #[schema(example = false)]
    quant_linear: Option<bool>,
}

/// The workers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a generic list")]
pub(super) struct WorkerList {
    object: String,
    data: Vec<WorkerObject>,
    #[schema(required)]
    first_id: Option<String>,
    #[schema(required)]
    last_id: Option<String>,
    has_more: bool,
}

/// How to restart.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a body that `body` decodes")]
pub(super) struct RestartBody {
    /// `soft` or `hard`; default `soft`.
    #[schema(example = "soft")]
    mode: Option<String>,
    /// Let the current job end first; default true.
    drain: Option<bool>,
    /// How long the current job may take before it is given back; default 120.
    #[schema(minimum = 0, maximum = 3600)]
    timeout_seconds: Option<u32>,
}

/// What waits and what runs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Queue)]
pub(super) struct QueueObject {
    #[schema(value_type = String, example = "list")]
    object: &'static str,
    data: Vec<QueueLine>,
    running: usize,
    /// The server is stopping and hands out no more jobs.
    draining: bool,
}

/// Jobs of one project for one model.
#[derive(Debug, Serialize, ToSchema)]
struct QueueLine {
    model: String,
    project_id: String,
    depth: usize,
    oldest_age_seconds: f64,
}

/// How long a token is to live.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a body that `body` decodes")]
pub(super) struct OperatorTokenBody {
    #[schema(minimum = 60, maximum = 900)]
    expires_in_seconds: Option<u32>,
}

/// A token that opens what an operator key does, for minutes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperatorToken)]
pub(super) struct OperatorTokenObject {
    #[schema(value_type = String, example = "token")]
    object: &'static str,
    /// Shown this once.
    token: String,
    /// Unix seconds.
    expires_at: u64,
}

/// A key that signs tokens.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SigningKey)]
pub(super) struct SigningKeyObject {
    #[schema(value_type = String, example = "signing_key")]
    object: &'static str,
    id: String,
    /// Unix seconds.
    created_at: u64,
}

impl OrganizationObject {
    pub(super) fn new(organization: &Organization) -> Self {
        Self {
            object: "organization",
            id: organization.id.to_string(),
            name: organization.name.clone(),
            status: if organization.suspended_at.is_some() { "suspended" } else { "active" },
            created_at: organization.created_at.seconds(),
            limits: OrganizationLimitsObject {
                max_gpu_seconds_per_1_day: organization.limits.gpu_seconds_per_day.map(Into::into),
                max_gpu_seconds_per_1_month: organization.limits.gpu_seconds_per_month.map(Into::into),
            },
        }
    }

    /// As a list names it.
    pub(super) fn id(&self) -> String {
        self.id.clone()
    }
}

impl NewOrganizationObject {
    pub(super) fn new(organization: &Organization, record: &KeyRecord, text: &KeyText) -> Self {
        let admin_api_key = FirstAdminKey { id: record.id.to_string(), value: text.reveal().to_owned() };
        Self { organization: OrganizationObject::new(organization), admin_api_key }
    }
}

impl WorkerObject {
    pub(super) fn new(worker: &WorkerView) -> Self {
        Self {
            object: "worker",
            id: worker.id.to_string(),
            name: worker.name.clone(),
            host: worker.host.clone(),
            process_id: worker.process,
            state: worker.state.as_str(),
            devices: worker.devices.iter().map(DeviceObject::new).collect(),
            models: worker.models.iter().map(HostedModelObject::new).collect(),
            current_video_id: worker.current_video.map(|video| video.to_string()),
            last_heartbeat_at: worker.last_heartbeat_at.seconds(),
        }
    }

    /// As a list names it.
    pub(super) fn id(&self) -> String {
        self.id.clone()
    }
}

impl DeviceObject {
    fn new(device: &Device) -> Self {
        Self {
            index: device.index,
            uuid: device.uuid.clone(),
            name: device.name.clone(),
            memory_total_bytes: device.stats.memory_total_bytes,
            memory_used_bytes: device.stats.memory_used_bytes,
            utilization_ratio: device.stats.utilization_ratio,
        }
    }
}

impl HostedModelObject {
    fn new(model: &ModelView) -> Self {
        let ModelView { hosted, ordered, error } = model;
        Self {
            id: hosted.id.to_string(),
            quant_linear: hosted.quant_linear,
            resident: hosted.resident,
            ordered: ordered.map(|resident| if resident { "load" } else { "unload" }),
            error: error.clone(),
        }
    }
}

impl QueueObject {
    pub(super) fn new(scheduler: &Scheduler, now: UnixMillis) -> Self {
        let line = |line: &crate::scheduler::Backlog| QueueLine {
            model: line.model.to_string(),
            project_id: line.project.to_string(),
            depth: line.depth,
            oldest_age_seconds: now.since(line.oldest).as_secs_f64(),
        };
        Self {
            object: "list",
            data: scheduler.backlog().iter().map(line).collect(),
            running: scheduler.running(),
            draining: scheduler.is_draining(),
        }
    }
}

impl OperatorTokenObject {
    pub(super) fn new(minted: Minted) -> Self {
        Self { object: "token", token: minted.text, expires_at: minted.expires_at.seconds() }
    }
}

impl SigningKeyObject {
    pub(super) fn new(key: &SigningKey) -> Self {
        Self { object: "signing_key", id: key.id.to_string(), created_at: key.created_at.seconds() }
    }
}
