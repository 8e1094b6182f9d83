//! An uploaded file: what is known of it. Its bytes lie in storage; nothing here reads them.

use serde::{Deserialize, Serialize};

use super::clock::UnixMillis;
use super::id::FileId;
use super::key::ProjectScope;

/// A file that a project keeps for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    pub id: FileId,
    pub scope: ProjectScope,
    /// As the caller named it; shown again and used for nothing else.
    pub filename: String,
    pub purpose: FilePurpose,
    pub bytes: u64,
    /// 64 lower-case hex digits.
    pub sha256: String,
    /// By its first bytes.
    pub content_type: String,
    pub created_at: UnixMillis,
    /// It is gone from then on.
    pub expires_at: UnixMillis,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilePurpose {
    /// A picture.
    Vision,
    /// Anything.
    UserData,
}

impl FilePurpose {
    /// Every purpose.
    pub const ALL: [Self; 2] = [Self::Vision, Self::UserData];

    /// As written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vision => "vision",
            Self::UserData => "user_data",
        }
    }

    /// The purpose of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == name)
    }
}
