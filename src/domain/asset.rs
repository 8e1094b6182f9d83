//! What a finished job leaves behind: files, and where in the key space they belong.

use serde::{Deserialize, Serialize};

/// One of the files that a job can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    Video,
    /// The first frame.
    Thumbnail,
    /// Sixteen evenly spaced frames in one picture.
    Spritesheet,
}

impl Variant {
    /// Every variant, in the order in which they are listed.
    pub const ALL: [Self; 3] = [Self::Video, Self::Thumbnail, Self::Spritesheet];

    /// As written on the wire and in keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Thumbnail => "thumbnail",
            Self::Spritesheet => "spritesheet",
        }
    }

    /// The variant of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variant| variant.as_str() == name)
    }

    /// What the file is, as HTTP says it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Video => "video/mp4",
            Self::Thumbnail => "image/webp",
            Self::Spritesheet => "image/jpeg",
        }
    }

    /// The end of the file's name, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Video => "mp4",
            Self::Thumbnail => "webp",
            Self::Spritesheet => "jpg",
        }
    }
}

/// A file that lies complete in storage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asset {
    pub variant: Variant,
    /// Length of the file.
    pub bytes: u64,
    /// 64 lower-case hex digits.
    pub sha256: String,
    /// Pixels across (of the whole sheet, for a spritesheet).
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Of the video alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_frames: Option<u32>,
    /// Of the spritesheet alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<SheetGeometry>,
}

/// How the tiles of a spritesheet lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SheetGeometry {
    pub columns: u32,
    pub rows: u32,
    /// Pixels across.
    pub tile_width: u32,
    /// Pixels down.
    pub tile_height: u32,
    /// Video time between two tiles.
    pub interval_seconds: f64,
}

/// The picture that a job starts from, stored under its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputImage {
    /// Set if it came from an uploaded file.
    pub file_id: Option<super::id::FileId>,
    /// Of the stored bytes; 64 lower-case hex digits.
    pub sha256: String,
    /// Pixels across, after EXIF rotation.
    pub width: u32,
    /// Pixels down, after EXIF rotation.
    pub height: u32,
    pub content_type: String,
}
