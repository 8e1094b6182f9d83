//! Sixteen evenly spaced frames in one JPEG. Keeps only its own tiles while the clip streams by.

use image::codecs::jpeg::JpegEncoder;
use image::imageops::replace;
use image::{ImageError, RgbImage};

use super::thumbnail::scaled;
use crate::domain::picture::Picture;
use crate::domain::size::Size;
use crate::domain::video::{FRAMES_PER_SECOND, FrameCount};

/// Tiles in a row.
pub const SHEET_COLUMNS: u32 = 4;
/// Rows of tiles.
pub const SHEET_ROWS: u32 = 4;
/// The widest tile.
const MAX_TILE_WIDTH: u32 = 320;
/// Artefacts cannot be seen at the size of a tile.
const JPEG_QUALITY: u8 = 85;

/// Where the tiles are and how far apart in time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SheetGeometry {
    pub columns: u32,
    pub rows: u32,
    pub tile_width: u32,
    pub tile_height: u32,
    /// Seconds between two tiles.
    pub interval_seconds: f64,
}

/// A sheet being filled.
pub struct Spritesheet {
    geometry: SheetGeometry,
    frames: u32,
    sheet: RgbImage,
}

impl Spritesheet {
    /// An empty sheet for a clip of `frames` frames of `size`.
    pub fn new(size: Size, frames: FrameCount) -> Self {
        let tile_width = size.width().min(MAX_TILE_WIDTH);
        let tile_height = (size.height() * tile_width / size.width()).max(1);
        let spacing = f64::from(frames.get() - 1) / f64::from(SHEET_COLUMNS * SHEET_ROWS - 1);
        let geometry = SheetGeometry {
            columns: SHEET_COLUMNS,
            rows: SHEET_ROWS,
            tile_width,
            tile_height,
            interval_seconds: spacing / f64::from(FRAMES_PER_SECOND),
        };
        let sheet = RgbImage::new(SHEET_COLUMNS * tile_width, SHEET_ROWS * tile_height);
        Self { geometry, frames: frames.get(), sheet }
    }

    /// Whether the frame of that number, from 0, stands in a tile.
    pub fn shows(&self, frame: u32) -> bool {
        self.tiles(frame).next().is_some()
    }

    /// Takes a frame of the clip and its number.
    pub fn push(&mut self, frame: u32, picture: &Picture) {
        let tiles: Vec<u32> = self.tiles(frame).collect();
        if tiles.is_empty() {
            return;
        }
        let (width, height) = (self.geometry.tile_width, self.geometry.tile_height);
        let small = scaled(picture, width, height);
        for tile in tiles {
            let (column, row) = (tile % SHEET_COLUMNS, tile / SHEET_COLUMNS);
            replace(&mut self.sheet, &small, i64::from(column * width), i64::from(row * height));
        }
    }

    /// The JPEG and where its tiles are.
    pub fn finish(self) -> Result<(Vec<u8>, SheetGeometry), ImageError> {
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY).encode_image(&self.sheet)?;
        Ok((jpeg, self.geometry))
    }

    fn tiles(&self, frame: u32) -> impl Iterator<Item = u32> {
        (0..SHEET_COLUMNS * SHEET_ROWS).filter(move |tile| self.source(*tile) == frame)
    }

    /// The frame that stands in a tile: the first in the first, the last in the last.
    fn source(&self, tile: u32) -> u32 {
        let last_tile = SHEET_COLUMNS * SHEET_ROWS - 1;
        (tile * (self.frames - 1) + last_tile / 2) / last_tile
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_evenly_spaced_from_the_first_frame_to_the_last() {
        let size = Size::new(832, 480).unwrap();
        let mut sheet = Spritesheet::new(size, FrameCount::new(33).unwrap());
        assert_eq!((0..33).filter(|frame| sheet.shows(*frame)).count(), 16);
        for frame in 0..33u8 {
            let picture = Picture::new(832, 480, vec![frame * 7; 832 * 480 * 3]).unwrap();
            sheet.push(frame.into(), &picture);
        }
        let (jpeg, geometry) = sheet.finish().unwrap();
        assert_eq!((geometry.tile_width, geometry.tile_height), (320, 184));
        assert!((geometry.interval_seconds - 2.0 / 15.0).abs() < 1e-12);
        let decoded = image::load_from_memory(&jpeg).unwrap().into_rgb8();
        assert_eq!(decoded.dimensions(), (1280, 736));
        let shade = |tile: u32| decoded.get_pixel(tile % 4 * 320 + 160, tile / 4 * 184 + 92).0[0];
        for (tile, frame) in [(0, 0u8), (1, 2), (8, 17), (15, 32)] {
            assert!(shade(tile).abs_diff(frame * 7) <= 2, "tile {tile}: {}", shade(tile));
        }
    }

    #[test]
    fn a_clip_of_few_frames_repeats_them() {
        let mut sheet = Spritesheet::new(Size::new(64, 64).unwrap(), FrameCount::new(1).unwrap());
        sheet.push(0, &Picture::new(64, 64, vec![200; 64 * 64 * 3]).unwrap());
        let (jpeg, geometry) = sheet.finish().unwrap();
        assert_eq!(geometry.interval_seconds, 0.0);
        assert!(image::load_from_memory(&jpeg).unwrap().into_rgb8().pixels().all(|pixel| pixel.0[0] > 190));
    }
}
