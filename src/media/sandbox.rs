//! Decoding in another process: a picture that breaks the decoder, or blows it up, takes nothing else with it.
//! The other process is this program again; what it may use is limited by the kernel (`cli`).

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::upload::{MAX_PICTURE_BYTES, MAX_PIXELS, PictureError, decode_picture};
use crate::domain::picture::Picture;

/// The hidden subcommand of the other process.
pub const DECODE_COMMAND: &str = "decode-picture";

/// With it, only the sides are answered.
const SIDES_ONLY: &str = "--sides-only";

/// Each may take a gigabyte for a moment.
const AT_ONCE: usize = 2;

/// The kernel stops the decoder after a few seconds of work; this is for one that waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longest first line of an answer.
const MAX_HEADER_BYTES: u64 = 4096;

/// Decodes pictures elsewhere; clones share the places.
#[derive(Debug, Clone)]
pub struct PictureDecoder {
    program: PathBuf,
    places: Arc<Semaphore>,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error("the decoder cannot be run: {0}")]
    Process(#[from] io::Error),
}

/// The first line of an answer; pixels follow if they were wanted.
type Header = Result<(u32, u32), PictureError>;

impl PictureDecoder {
    /// `program` is this program's own file.
    pub fn new(program: PathBuf) -> Self {
        Self { program, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Width and height of a picture that can be decoded, upright.
    pub async fn sides(&self, bytes: &[u8]) -> Result<(u32, u32), SandboxError> {
        Ok(self.run(bytes, &[SIDES_ONLY], MAX_HEADER_BYTES).await?.0)
    }

    /// The picture.
    pub async fn decode(&self, bytes: &[u8]) -> Result<Picture, SandboxError> {
        let ((width, height), pixels) = self.run(bytes, &[], MAX_HEADER_BYTES + 3 * MAX_PIXELS).await?;
        Picture::new(width, height, pixels).map_err(|_| stopped().into())
    }

    async fn run(
        &self,
        bytes: &[u8],
        flags: &[&str],
        longest: u64,
    ) -> Result<((u32, u32), Vec<u8>), SandboxError> {
        if bytes.len() > MAX_PICTURE_BYTES {
            return Err(PictureError::TooLarge(bytes.len()).into());
        }
        let _place = self.places.acquire().await.map_err(io::Error::other)?;
        let mut child = Command::new(&self.program)
            .arg(DECODE_COMMAND)
            .args(flags)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(io::Error::other("the decoder has no pipes").into());
        };
        let give = async move {
            // A decoder that has seen enough stops reading; its answer says why.
            stdin.write_all(bytes).await.ok();
        };
        let mut answer = Vec::new();
        let mut limited = stdout.take(longest);
        let talk = async { tokio::join!(give, limited.read_to_end(&mut answer)).1 };
        tokio::time::timeout(PATIENCE, talk).await.map_err(|_| stopped())??;
        split(answer)
    }
}

/// The other process's part: one picture in, one answer out. Call it with limits in place.
pub fn decode_piped(input: impl Read, mut output: impl Write, sides_only: bool) -> io::Result<()> {
    let mut bytes = Vec::new();
    input.take(MAX_PICTURE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    let decoded = decode_picture(&bytes);
    let header: Header = match &decoded {
        Ok(picture) => Ok((picture.width(), picture.height())),
        Err(error) => Err(error.clone()),
    };
    serde_json::to_writer(&mut output, &header)?;
    output.write_all(b"\n")?;
    if let (Ok(picture), false) = (&decoded, sides_only) {
        output.write_all(picture.rgb())?;
    }
    output.flush()
}

fn split(mut answer: Vec<u8>) -> Result<((u32, u32), Vec<u8>), SandboxError> {
    let line = answer.iter().position(|byte| *byte == b'\n').ok_or_else(stopped)?;
    let header: Header = serde_json::from_slice(&answer[..line]).map_err(|_| stopped())?;
    answer.drain(..=line);
    Ok((header?, answer))
}

/// It died without a word: of its limits, or of the picture.
fn stopped() -> PictureError {
    PictureError::Broken("it takes too much memory or time".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_understand_each_other() {
        let mut png = std::io::Cursor::new(Vec::new());
        let image = image::RgbImage::from_pixel(80, 64, image::Rgb([1, 2, 3]));
        image.write_to(&mut png, image::ImageFormat::Png).unwrap();
        let answer = |bytes: &[u8], sides_only| {
            let mut answer = Vec::new();
            decode_piped(bytes, &mut answer, sides_only).unwrap();
            split(answer)
        };
        let (sides, pixels) = answer(png.get_ref(), false).unwrap();
        assert_eq!((sides, pixels.len(), &pixels[..3]), ((80, 64), 80 * 64 * 3, &[1u8, 2, 3][..]));
        assert_eq!(answer(png.get_ref(), true).unwrap(), ((80, 64), Vec::new()));
        let refused = answer(b"GIF89a and more than the thirty-two bytes of a header", false);
        assert!(matches!(refused, Err(SandboxError::Picture(PictureError::UnknownFormat))));
        assert!(matches!(split(Vec::new()), Err(SandboxError::Picture(PictureError::Broken(_)))));
    }
}
