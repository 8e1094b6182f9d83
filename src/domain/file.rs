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
    /// As [`shown_name`] leaves it; shown again and used for nothing else.
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

/// The most characters of a name that are kept: as many as file systems take.
const MAX_NAME_CHARACTERS: usize = 255;

/// A name as a form gives it, fit to be shown and saved under: no folders, no control characters, not too long.
pub fn shown_name(declared: &str) -> String {
    // What stands in quotes in a form cannot hold these three, so browsers and SDKs write them like this.
    let spelled = declared.replace("%22", "\"").replace("%0D", "").replace("%0A", "");
    let last = spelled.rsplit(['/', '\\']).next().unwrap_or_default();
    last.chars().filter(|letter| !letter.is_control()).take(MAX_NAME_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_and_breaks_nothing() {
        for (declared, shown) in [
            ("cat.png", "cat.png"),
            ("../../etc/passwd", "passwd"),
            (r"C:\pictures\cat.png", "cat.png"),
            ("日本 %22q%22.png", "日本 \"q\".png"),
            ("a%0D%0AX-Evil: 1.png", "aX-Evil: 1.png"),
            ("a\r\n\0\u{7f}b", "ab"),
            ("..", ".."),
            ("folder/", ""),
        ] {
            assert_eq!(shown_name(declared), shown);
        }
        assert_eq!(shown_name(&"ä".repeat(3000)).chars().count(), MAX_NAME_CHARACTERS);
    }
}
