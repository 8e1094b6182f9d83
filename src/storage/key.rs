//! The names of stored files. Built from ids and numbers only, so no request can name a path, and all that belongs to
//! a project begins with `<organization>/<project>/`.

use std::fmt;

use crate::domain::asset::Variant;
use crate::domain::id::{FileId, OrganizationId, ProjectId, VideoId};

/// A SHA-256 digest; prints as lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256(pub [u8; 32]);

/// Where a file lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// A file made by one attempt at a job. The epoch keeps a late attempt from overwriting a newer one's file.
    Result { organization: OrganizationId, project: ProjectId, video: VideoId, epoch: u32, variant: Variant },
    /// The picture that a job starts from. Each job has its own, so that it can be erased with the job.
    Input { organization: OrganizationId, project: ProjectId, video: VideoId },
    /// An uploaded file.
    File { organization: OrganizationId, project: ProjectId, file: FileId },
}

impl Key {
    /// The path below the root, of ASCII letters, digits, `_`, `.` and `/`.
    pub fn path(&self) -> String {
        match self {
            Self::Result { organization, project, video, epoch, variant } => {
                format!(
                    "{organization}/{project}/{video}/{epoch}/{}.{}",
                    variant.as_str(),
                    variant.extension()
                )
            }
            Self::Input { organization, project, video } => format!("{organization}/{project}/{video}/input"),
            Self::File { organization, project, file } => format!("{organization}/{project}/{file}/content"),
        }
    }

    /// The media type of the bytes.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Result { variant, .. } => variant.content_type(),
            Self::Input { .. } | Self::File { .. } => "application/octet-stream",
        }
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// A text that is not 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 digest is 64 lower-case hex digits")]
pub struct BadSha256;

impl std::str::FromStr for Sha256 {
    type Err = BadSha256;

    fn from_str(text: &str) -> Result<Self, BadSha256> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(BadSha256),
        };
        let mut digest = [0; 32];
        if text.len() != 2 * digest.len() {
            return Err(BadSha256);
        }
        for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::ID_RANDOM_BYTES;

    #[test]
    fn a_path_says_whose_file_it_is_and_of_which_attempt() {
        let random = [5; ID_RANDOM_BYTES];
        let (organization, project, video) =
            (OrganizationId::new(1, random), ProjectId::new(2, random), VideoId::new(3, random));
        let key = Key::Result { organization, project, video, epoch: 7, variant: Variant::Thumbnail };
        assert_eq!(key.path(), format!("{organization}/{project}/{video}/7/thumbnail.webp"));
        let key = Key::Input { organization, project, video };
        assert_eq!(key.path(), format!("{organization}/{project}/{video}/input"));
        let file = FileId::new(4, random);
        let key = Key::File { organization, project, file };
        assert_eq!(key.path(), format!("{organization}/{project}/{file}/content"));
    }

    #[test]
    fn a_digest_survives_its_text_form() {
        let digest = Sha256(std::array::from_fn(|index| index as u8 * 7));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("AB".repeat(32).parse::<Sha256>(), Err(BadSha256));
    }
}
