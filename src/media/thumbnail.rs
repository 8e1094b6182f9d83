//! The first frame as a small lossless WebP.

use image::codecs::webp::WebPEncoder;
use image::imageops::{FilterType, resize};
use image::{ExtendedColorType, ImageBuffer, ImageEncoder, ImageError, Rgb};

use crate::domain::picture::Picture;

/// The longest side of a thumbnail.
const MAX_SIDE: u32 = 512;

/// A thumbnail and its size.
pub struct Thumbnail {
    pub webp: Vec<u8>,
    pub width: u32,
    pub height: u32,
}

/// `frame` with its longest side brought to 512 or less.
pub fn thumbnail(frame: &Picture) -> Result<Thumbnail, ImageError> {
    let longest = frame.width().max(frame.height());
    let shrunk = |side: u32| (side * MAX_SIDE.min(longest) / longest).max(1);
    let (width, height) = (shrunk(frame.width()), shrunk(frame.height()));
    let small = scaled(frame, width, height);
    let mut webp = Vec::new();
    WebPEncoder::new_lossless(&mut webp).write_image(&small, width, height, ExtendedColorType::Rgb8)?;
    Ok(Thumbnail { webp, width, height })
}

/// The picture at another size; as it is when the size is its own.
pub(super) fn scaled(picture: &Picture, width: u32, height: u32) -> ImageBuffer<Rgb<u8>, Vec<u8>> {
    let view = ImageBuffer::<Rgb<u8>, &[u8]>::from_raw(picture.width(), picture.height(), picture.rgb())
        .expect("a picture has exactly the bytes of its sides");
    if (picture.width(), picture.height()) == (width, height) {
        return ImageBuffer::from_raw(width, height, picture.rgb().to_vec()).expect("the same sides");
    }
    resize(&view, width, height, FilterType::Triangle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_frame_is_kept_bit_for_bit_and_a_large_one_shrunk() {
        let pixels: Vec<u8> = (0..96 * 64 * 3).map(|at| (at % 251) as u8).collect();
        let small = thumbnail(&Picture::new(96, 64, pixels.clone()).unwrap()).unwrap();
        assert!(small.webp.starts_with(b"RIFF") && &small.webp[8..12] == b"WEBP");
        assert_eq!(image::load_from_memory(&small.webp).unwrap().into_rgb8().into_raw(), pixels);

        let large = thumbnail(&Picture::new(832, 480, vec![9; 832 * 480 * 3]).unwrap()).unwrap();
        assert_eq!((large.width, large.height), (512, 295));
        assert_eq!(image::load_from_memory(&large.webp).unwrap().width(), 512);
    }
}
