//! What happened to a job, as the outbox keeps it and webhooks tell it.

use serde::{Deserialize, Serialize};

use super::clock::UnixMillis;
use super::id::{EventId, ProjectId, VideoId};

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventKind {
    #[serde(rename = "video.in_progress")]
    InProgress,
    #[serde(rename = "video.completed")]
    Completed,
    /// Cancellations too.
    #[serde(rename = "video.failed")]
    Failed,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::InProgress, Self::Completed, Self::Failed];

    /// As written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "video.in_progress",
            Self::Completed => "video.completed",
            Self::Failed => "video.failed",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// One row of the outbox, written in the transaction that made it true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub id: EventId,
    pub kind: EventKind,
    pub project: ProjectId,
    pub video: VideoId,
    pub at: UnixMillis,
}
