//! What goes over the wire: the objects of the contract as structs, nothing else.

mod file;
mod list;
mod model;
mod organization;
mod request;
mod usage;
mod video;
mod webhook;

pub(crate) use file::{DeletedFile, FileList, FileObject};
pub(crate) use list::ListObject;
pub(crate) use model::{Measured, ModelList, ModelObject};
pub(crate) use organization::{
    AccountObject, ApiKeyBody, ApiKeyList, DeletedKeyObject, KeyObject, NewKeyObject, ProjectBody,
    ProjectList, ProjectObject, RotateKeyBody, ServiceAccountBody, ServiceAccountList,
};
pub(crate) use request::{
    CreateFileBody, CreateVideoBody, FromImageBody, GenerateVideoBody, RemixVideoBody, RotateSecretBody,
    WebhookEndpointBody,
};
pub(crate) use usage::{UsageBucket, UsagePage, UsageResult};
pub(crate) use video::{DeletedVideo, DownloadUrlObject, VideoList, VideoObject};
pub(crate) use webhook::{
    CallbackSecretObject, DeletedWebhookEndpoint, WebhookDeliveryList, WebhookDeliveryObject,
    WebhookEndpointList, WebhookEndpointObject,
};
