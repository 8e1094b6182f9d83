//! What goes over the wire: the objects of the contract as structs, nothing else.

mod admin_key;
mod audit;
mod file;
mod limits;
mod list;
mod model;
mod organization;
mod request;
mod token;
mod usage;
mod video;
mod webhook;

pub(crate) use admin_key::{AdminKeyBody, AdminKeyList, AdminKeyObject};
pub(crate) use audit::{AuditLogList, AuditObject};
pub(crate) use file::{Binary, DeletedFile, FileList, FileObject};
pub(crate) use limits::{LimitUsage, LimitsObject, RateLimitBody, RateLimitList, RateLimitObject};
pub(crate) use list::ListObject;
pub(crate) use model::{Measured, ModelList, ModelObject};
pub(crate) use organization::{
    AccountObject, ApiKeyBody, ApiKeyList, DeletedObject, KeyObject, NewKeyObject, ProjectBody, ProjectList,
    ProjectObject, RotateKeyBody, ServiceAccountBody, ServiceAccountList,
};
pub(crate) use request::{
    CreateFileBody, CreateVideoBody, FromImageBody, GenerateVideoBody, RemixVideoBody, RotateSecretBody,
    WebhookEndpointBody,
};
pub(crate) use token::{JsonWebKeys, TokenBody, TokenObject};
pub(crate) use usage::{UsageBucket, UsagePage, UsageParameters, UsageResult};
pub(crate) use video::{DeletedVideo, DownloadUrlObject, VideoList, VideoObject};
pub(crate) use webhook::{
    CallbackSecretObject, DeletedWebhookEndpoint, WebhookDeliveryList, WebhookDeliveryObject,
    WebhookEndpointList, WebhookEndpointObject,
};
