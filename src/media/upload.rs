//! An uploaded picture, decoded under limits: what it is is decided by its first bytes, never by its name or type.
//! Comes out upright, without metadata, 8-bit RGB, transparency on white.

use std::io::Cursor;

use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, ImageDecoder, ImageError, Limits};
use serde::{Deserialize, Serialize};

use crate::domain::picture::Picture;

/// The most bytes of an uploaded picture.
pub const MAX_PICTURE_BYTES: usize = 10 << 20;
const MIN_SIDE: u32 = 64;
const MAX_SIDE: u32 = 8192;
pub(super) const MAX_PIXELS: u64 = 40_000_000;
/// The long side is at most this many times the short one.
const MAX_ASPECT: u32 = 3;
/// Room for the largest picture with 16-bit alpha, and once more for the decoder's own tables.
const MAX_DECODE_BYTES: u64 = 2 * 8 * MAX_PIXELS;

/// Why an uploaded picture is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum PictureError {
    #[error("the image must be a JPEG, PNG or WebP")]
    UnknownFormat,
    #[error("the image must not be animated")]
    Animated,
    #[error("the image has {0} bytes; at most {MAX_PICTURE_BYTES} are accepted")]
    TooLarge(usize),
    #[error(
        "the image is {width}x{height}; sides of {MIN_SIDE} to {MAX_SIDE} and {MAX_PIXELS} pixels are accepted"
    )]
    Dimensions { width: u32, height: u32 },
    #[error("the image is {width}x{height}; aspect ratios of 1:{MAX_ASPECT} to {MAX_ASPECT}:1 are accepted")]
    Aspect { width: u32, height: u32 },
    #[error("the image cannot be decoded: {0}")]
    Broken(String),
}

/// Decodes a JPEG, PNG or WebP; the header is judged before any pixel is decoded.
pub fn decode_picture(bytes: &[u8]) -> Result<Picture, PictureError> {
    if bytes.len() > MAX_PICTURE_BYTES {
        return Err(PictureError::TooLarge(bytes.len()));
    }
    let data = Cursor::new(bytes);
    match Format::of(bytes) {
        Some(Format::Jpeg) => decode(JpegDecoder::new(data)?),
        Some(Format::Png) => {
            let decoder = PngDecoder::new(data)?;
            if decoder.is_apng()? { Err(PictureError::Animated) } else { decode(decoder) }
        }
        Some(Format::WebP) => {
            let decoder = WebPDecoder::new(data)?;
            if decoder.has_animation() { Err(PictureError::Animated) } else { decode(decoder) }
        }
        // However little of it there is, a foreign format says so with its first bytes.
        None if bytes.len() < SHORTEST_PICTURE && image::guess_format(bytes).is_err() => {
            Err(PictureError::Broken("too short".to_owned()))
        }
        None => Err(PictureError::UnknownFormat),
    }
}

/// Fewer bytes than the headers of any picture: broken rather than foreign.
const SHORTEST_PICTURE: usize = 32;

enum Format {
    Jpeg,
    Png,
    WebP,
}

impl Format {
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            _ => None,
        }
    }
}

impl From<ImageError> for PictureError {
    fn from(error: ImageError) -> Self {
        Self::Broken(error.to_string())
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODE_BYTES);
    limits
}

fn decode(mut decoder: impl ImageDecoder) -> Result<Picture, PictureError> {
    let (width, height) = decoder.dimensions();
    check(width, height)?;
    decoder.set_limits(limits())?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    let rgb = if image.color().has_alpha() { on_white(&image) } else { image.into_rgb8().into_raw() };
    Picture::new(width, height, rgb).map_err(|error| PictureError::Broken(error.to_string()))
}

fn check(width: u32, height: u32) -> Result<(), PictureError> {
    let (short, long) = (width.min(height), width.max(height));
    if short < MIN_SIDE || long > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(PictureError::Dimensions { width, height });
    }
    if long > short * MAX_ASPECT {
        return Err(PictureError::Aspect { width, height });
    }
    Ok(())
}

fn on_white(image: &DynamicImage) -> Vec<u8> {
    let rgba = image.to_rgba8();
    let blend = |colour: u8, alpha: u8| {
        let (colour, alpha) = (u32::from(colour), u32::from(alpha));
        ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let pixels = rgba.pixels().map(|pixel| pixel.0);
    pixels
        .flat_map(|[red, green, blue, alpha]| [red, green, blue].map(|colour| blend(colour, alpha)))
        .collect()
}

#[cfg(test)]
mod tests {
    use image::{ImageEncoder, ImageFormat};

    use super::*;

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn gradient(width: u32, height: u32) -> DynamicImage {
        image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 128])).into()
    }

    #[test]
    fn every_accepted_format_is_decoded() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            let picture = decode_picture(&encoded(&gradient(96, 64), format)).unwrap();
            assert_eq!((picture.width(), picture.height()), (96, 64));
            let middle = &picture.rgb()[(32 * 96 + 48) * 3..][..3];
            assert!(
                middle.iter().zip([48u8, 32, 128]).all(|(got, want)| got.abs_diff(want) < 6),
                "{middle:?}"
            );
        }
    }

    #[test]
    fn transparency_lies_on_white_and_deep_colour_becomes_eight_bit() {
        let glass = image::RgbaImage::from_pixel(64, 64, image::Rgba([255, 0, 0, 128]));
        let picture = decode_picture(&encoded(&glass.into(), ImageFormat::Png)).unwrap();
        assert_eq!(picture.rgb()[..3], [255, 127, 127]);
        let deep = image::ImageBuffer::from_pixel(64, 64, image::Rgb([65535u16, 32768, 0]));
        let picture = decode_picture(&encoded(&DynamicImage::ImageRgb16(deep), ImageFormat::Png)).unwrap();
        assert_eq!(picture.rgb()[..3], [255, 128, 0]);
        let grey = image::GrayImage::from_pixel(64, 64, image::Luma([7]));
        assert_eq!(decode_picture(&encoded(&grey.into(), ImageFormat::Png)).unwrap().rgb()[..3], [7, 7, 7]);
    }

    #[test]
    fn a_turned_photograph_comes_out_upright() {
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
        let quarter_turn =
            [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0".as_slice(), &[0; 4]].concat();
        encoder.set_exif_metadata(quarter_turn).unwrap();
        encoder.encode_image(&gradient(96, 64)).unwrap();
        let picture = decode_picture(&bytes).unwrap();
        assert_eq!((picture.width(), picture.height()), (64, 96));
    }

    #[test]
    fn limits_are_those_of_the_contract() {
        let refused = |bytes: &[u8]| decode_picture(bytes).unwrap_err();
        let png = |width, height| encoded(&gradient(width, height), ImageFormat::Png);
        assert!(matches!(refused(&png(63, 64)), PictureError::Dimensions { .. }));
        assert!(matches!(refused(&png(400, 100)), PictureError::Aspect { .. }));
        assert!(decode_picture(&png(192, 64)).is_ok());
        assert!(matches!(refused(&vec![0xff; MAX_PICTURE_BYTES + 1]), PictureError::TooLarge(_)));
        assert_eq!(refused(&[b"GIF89a".as_slice(), &[0; 64]].concat()), PictureError::UnknownFormat);
        assert_eq!(refused(b"GIF89a\x01\0"), PictureError::UnknownFormat, "also cut short");
        assert!(matches!(refused(b"20 bytes of nothing."), PictureError::Broken(_)));
        let whole = png(96, 96);
        assert!(matches!(refused(&whole[..whole.len() / 2]), PictureError::Broken(_)));
    }

    #[test]
    fn a_header_that_promises_too_much_is_refused_before_decoding() {
        let mut bomb = encoded(&gradient(64, 64), ImageFormat::Png);
        for (width, height) in [(8192u32, 8192u32), (8193, 4000)] {
            bomb[16..24].copy_from_slice(&[width.to_be_bytes(), height.to_be_bytes()].concat());
            let checksum = crc32fast::hash(&bomb[12..29]);
            bomb[29..33].copy_from_slice(&checksum.to_be_bytes());
            let refused = decode_picture(&bomb).unwrap_err();
            assert!(matches!(refused, PictureError::Dimensions { .. }), "{refused}");
        }
    }
}
