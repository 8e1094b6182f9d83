//! Every route, a file a resource.

pub(crate) mod docs;
pub(crate) mod fallback;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod limits;
pub(crate) mod models;
pub(crate) mod organization;
pub(crate) mod tokens;
pub(crate) mod usage;
pub(crate) mod videos;
pub(crate) mod webhooks;
