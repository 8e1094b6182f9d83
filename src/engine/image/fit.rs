//! The ways a picture is brought to the size of a clip. With an adaptive size the shapes already agree, and `Stretch`
//! is the whole of it.

use super::resample::{Window, resample};
use crate::domain::picture::Picture;
use crate::domain::size::Size;
use crate::domain::video::ImageFit;

/// The picture at exactly `size`, 8-bit RGB, with an antialiased bilinear filter.
pub fn fit(picture: &Picture, size: Size, how: ImageFit) -> Picture {
    match how {
        ImageFit::Stretch => resample(picture, &Window::whole(picture), size.width(), size.height()),
        ImageFit::Crop => resample(picture, &centre(picture, size), size.width(), size.height()),
        ImageFit::Pad => pad(picture, size),
    }
}

/// The largest window of the wanted shape, in the middle.
fn centre(picture: &Picture, size: Size) -> Window {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    let scale = (width / f64::from(size.width())).min(height / f64::from(size.height()));
    let (across, down) = (f64::from(size.width()) * scale, f64::from(size.height()) * scale);
    let (left, top) = ((width - across) / 2.0, (height - down) / 2.0);
    Window { left, top, right: left + across, bottom: top + down }
}

/// The whole picture as large as it fits, on black.
fn pad(picture: &Picture, size: Size) -> Picture {
    let scale = (f64::from(size.width()) / f64::from(picture.width()))
        .min(f64::from(size.height()) / f64::from(picture.height()));
    let side = |length: u32, most: u32| ((f64::from(length) * scale).round() as u32).clamp(1, most);
    let (width, height) = (side(picture.width(), size.width()), side(picture.height(), size.height()));
    let inner = resample(picture, &Window::whole(picture), width, height);
    let (left, top) = ((size.width() - width) / 2, (size.height() - height) / 2);
    let mut rgb = vec![0; size.width() as usize * size.height() as usize * 3];
    let row_bytes = width as usize * 3;
    for (row, pixels) in inner.rgb().chunks_exact(row_bytes).enumerate() {
        let start = ((top as usize + row) * size.width() as usize + left as usize) * 3;
        rgb[start..start + row_bytes].copy_from_slice(pixels);
    }
    Picture::new(size.width(), size.height(), rgb).expect("the bytes were counted from the sides")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Left third red, middle green, right blue.
    fn stripes() -> Picture {
        let row = [[255, 0, 0], [0, 255, 0], [0, 0, 255]].map(|colour: [u8; 3]| colour.repeat(64)).concat();
        Picture::new(192, 64, row.repeat(64)).unwrap()
    }

    fn pixel(picture: &Picture, x: u32, y: u32) -> [u8; 3] {
        let at = (y * picture.width() + x) as usize * 3;
        picture.rgb()[at..at + 3].try_into().unwrap()
    }

    #[test]
    fn a_crop_keeps_the_middle() {
        let cropped = fit(&stripes(), Size::new(64, 64).unwrap(), ImageFit::Crop);
        assert!(cropped.rgb().chunks_exact(3).all(|pixel| pixel == [0, 255, 0]));
    }

    #[test]
    fn padding_keeps_everything_on_black() {
        let padded = fit(&stripes(), Size::new(96, 96).unwrap(), ImageFit::Pad);
        assert_eq!((pixel(&padded, 48, 31), pixel(&padded, 48, 64)), ([0; 3], [0; 3]));
        assert_eq!(pixel(&padded, 5, 48), [255, 0, 0]);
        assert_eq!(pixel(&padded, 90, 32), [0, 0, 255]);
    }

    #[test]
    fn stretching_keeps_proportions_of_width() {
        let stretched = fit(&stripes(), Size::new(96, 96).unwrap(), ImageFit::Stretch);
        assert_eq!((pixel(&stretched, 4, 0), pixel(&stretched, 95, 95)), ([255, 0, 0], [0, 0, 255]));
        assert_eq!(pixel(&stretched, 48, 48), [0, 255, 0]);
    }
}
