//! Frames on their way to files: every frame goes to the encoder as soon as it is decoded.

use sha2::{Digest, Sha256};

use super::engine_thread::MadeFile;
use super::failure::Failure;
use crate::domain::asset::{Asset, SheetGeometry, Variant};
use crate::domain::failure::{FailureClass, FailureCode};
use crate::domain::picture::{Frame, Picture};
use crate::domain::video::VideoSpec;
use crate::media::{EncodeError, Mp4Encoder, Spritesheet, thumbnail};

/// The files of one job while its frames arrive.
pub(super) struct Publisher {
    spec: VideoSpec,
    wanted: Vec<Variant>,
    video: Mp4Encoder,
    first: Option<Picture>,
    sheet: Option<Spritesheet>,
    frames: u32,
}

impl Publisher {
    /// Files without a frame yet.
    pub(super) fn new(spec: &VideoSpec, wanted: &[Variant]) -> Self {
        let sheet = wanted.contains(&Variant::Spritesheet).then(|| Spritesheet::new(spec.size, spec.frames));
        Self {
            video: Mp4Encoder::new(spec.size, spec.frames),
            spec: spec.clone(),
            wanted: wanted.to_vec(),
            first: None,
            sheet,
            frames: 0,
        }
    }

    /// Whether a file shows the frame of that number.
    pub(super) fn wants_picture(&self, frame: u32) -> bool {
        let thumbnail = frame == 0 && self.wanted.contains(&Variant::Thumbnail);
        thumbnail || self.sheet.as_ref().is_some_and(|sheet| sheet.shows(frame))
    }

    /// Takes the next frames of the clip; waits while the encoder is behind.
    pub(super) fn push(&mut self, frames: Vec<Frame>) -> Result<(), EncodeError> {
        for Frame { planes, picture } in frames {
            if let Some(picture) = picture {
                if let Some(sheet) = &mut self.sheet {
                    sheet.push(self.frames, &picture);
                }
                self.first.get_or_insert(picture);
            }
            self.video.push(planes)?;
            self.frames += 1;
        }
        Ok(())
    }

    /// Frames taken so far.
    pub(super) fn frames(&self) -> u32 {
        self.frames
    }

    /// Waits for the encoder; every wanted file.
    pub(super) fn finish(self) -> Result<Vec<MadeFile>, Failure> {
        let Self { spec, wanted, video, first, sheet, frames } = self;
        let mut pictures = Vec::new(); // made while the encoder is busy with the last frames
        if let Some(first) = first.filter(|_| wanted.contains(&Variant::Thumbnail)) {
            let picture = thumbnail(&first).map_err(encoding)?;
            pictures.push(file(
                Variant::Thumbnail,
                picture.webp,
                (picture.width, picture.height),
                None,
                None,
            ));
        }
        if let Some(sheet) = sheet {
            let (jpeg, geometry) = sheet.finish().map_err(encoding)?;
            let sides = (geometry.columns * geometry.tile_width, geometry.rows * geometry.tile_height);
            let geometry = SheetGeometry {
                columns: geometry.columns,
                rows: geometry.rows,
                tile_width: geometry.tile_width,
                tile_height: geometry.tile_height,
                interval_seconds: geometry.interval_seconds,
            };
            pictures.push(file(Variant::Spritesheet, jpeg, sides, None, Some(geometry)));
        }
        let mp4 = video.finish().map_err(encoding)?;
        let dimensions = (spec.size.width(), spec.size.height());
        let mut files = vec![file(Variant::Video, mp4, dimensions, Some(frames), None)];
        files.extend(pictures);
        Ok(files)
    }
}

fn file(
    variant: Variant,
    bytes: Vec<u8>,
    (width, height): (u32, u32),
    num_frames: Option<u32>,
    sheet: Option<SheetGeometry>,
) -> MadeFile {
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let asset = Asset { variant, bytes: bytes.len() as u64, sha256, width, height, num_frames, sheet };
    MadeFile { asset, bytes: bytes.into() }
}

fn encoding(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureCode::EncodingFailed, FailureClass::Deterministic, error.to_string())
}
