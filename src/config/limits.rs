//! `[limits]`: how much one project, or one stranger, may ask of the server.

use std::num::NonZeroU32;

use super::sources::Section;
use crate::domain::limits;

/// Limits of every project; 0 is unlimited.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests a minute that make videos. `WANSERVE_LIMITS_CREATES_PER_MINUTE`,
    /// default 60: a clip takes seconds, so more would only fill the queue.
    pub creates_per_minute: u32,
    /// Other requests a minute, without downloads. `WANSERVE_LIMITS_READS_PER_MINUTE`,
    /// default 600: forty clients that poll as often as they are told.
    pub reads_per_minute: u32,
    /// Downloads a minute. `WANSERVE_LIMITS_CONTENT_PER_MINUTE`, default 120: each video twice.
    pub content_per_minute: u32,
    /// Jobs queued or running at once. `WANSERVE_LIMITS_ACTIVE_JOBS`, default 20: minutes of work, not hours.
    pub active_jobs: u32,
    /// Wrong keys a minute from one address. `WANSERVE_LIMITS_WRONG_KEYS_PER_MINUTE`,
    /// default 20: a misconfigured program is told why, a guesser gets nowhere.
    pub wrong_keys_per_minute: u32,
}

impl Limits {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            creates_per_minute: section.field("creates_per_minute", 60),
            reads_per_minute: section.field("reads_per_minute", 600),
            content_per_minute: section.field("content_per_minute", 120),
            active_jobs: section.field("active_jobs", 20),
            wrong_keys_per_minute: section.field("wrong_keys_per_minute", 20),
        }
    }

    /// As the API keeps to them.
    pub fn limits(&self) -> limits::Limits {
        limits::Limits {
            creates_per_minute: NonZeroU32::new(self.creates_per_minute),
            reads_per_minute: NonZeroU32::new(self.reads_per_minute),
            content_per_minute: NonZeroU32::new(self.content_per_minute),
            active_jobs: NonZeroU32::new(self.active_jobs),
            wrong_keys_per_minute: NonZeroU32::new(self.wrong_keys_per_minute),
        }
    }
}
