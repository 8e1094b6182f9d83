//! How much one project, or one stranger, may ask of the server.

use std::num::NonZeroU32;

/// Limits of a project; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests a minute that make videos.
    pub creates_per_minute: Option<NonZeroU32>,
    /// Other requests a minute, without downloads.
    pub reads_per_minute: Option<NonZeroU32>,
    /// Downloads a minute.
    pub content_per_minute: Option<NonZeroU32>,
    /// Jobs that are queued or running at once.
    pub active_jobs: Option<NonZeroU32>,
    /// Wrong keys a minute from one address.
    pub wrong_keys_per_minute: Option<NonZeroU32>,
}
