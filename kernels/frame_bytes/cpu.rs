//! The definition.

use rayon::prelude::*;

use super::{NAME, Size};
use crate::{Result, Tensor};

/// Binary places of the coefficients.
const SHIFT: u32 = 16;
const HALF: i32 = 1 << (SHIFT - 1);
const TO_Y: [i32; 3] = [11_966, 40_254, 4_064];
const TO_U: [i32; 3] = [-6_596, -22_188, 28_784];
const TO_V: [i32; 3] = [28_784, -26_145, -2_639];

pub(super) fn frame_bytes(x: &Tensor, size: Size, pictures: &[usize]) -> Result<Vec<u8>> {
    // The cast truncates and takes what is not a number to 0.
    let byte = |value: &f32| (255.0 * (1.0 + value.clamp(-1.0, 1.0)) / 2.0 + 0.5) as u8;
    let x = x.cpu(NAME)?;
    let rgb: Vec<u8> = x.par_iter().map(byte).collect();
    let mut bytes = vec![0; size.frames * size.planes() + pictures.len() * size.picture()];
    let (planes, rest) = bytes.split_at_mut(size.frames * size.planes());
    let frames = rgb.par_chunks_exact(size.picture());
    planes.par_chunks_exact_mut(size.planes()).zip(frames).for_each(|(planes, rgb)| i420(rgb, size, planes));
    for (picture, out) in pictures.iter().zip(rest.chunks_exact_mut(size.picture())) {
        out.copy_from_slice(&rgb[picture * size.picture()..][..size.picture()]);
    }
    Ok(bytes)
}

fn i420(rgb: &[u8], Size { width, height, .. }: Size, planes: &mut [u8]) {
    let (y, chroma) = planes.split_at_mut(height * width);
    let (u, v) = chroma.split_at_mut(height * width / 4);
    for (luma, pixel) in y.iter_mut().zip(rgb.chunks_exact(3)) {
        let weighted = weigh([pixel[0], pixel[1], pixel[2]].map(i32::from), TO_Y);
        *luma = (16 + ((weighted + HALF) >> SHIFT)) as u8;
    }
    let half = width / 2;
    for (pair, rows) in rgb.chunks_exact(6 * width).enumerate() {
        let (upper, lower) = rows.split_at(3 * width);
        let (u, v) = (&mut u[pair * half..][..half], &mut v[pair * half..][..half]);
        let columns = upper.chunks_exact(6).zip(lower.chunks_exact(6));
        for ((u, v), (upper, lower)) in u.iter_mut().zip(v).zip(columns) {
            let sum =
                |at: usize| [upper[at], upper[at + 3], lower[at], lower[at + 3]].map(i32::from).iter().sum();
            let sums = [sum(0), sum(1), sum(2)];
            (*u, *v) = (chroma_of(sums, TO_U), chroma_of(sums, TO_V));
        }
    }
}

/// Of the sums of four pixels: two more binary places.
fn chroma_of(sums: [i32; 3], coefficients: [i32; 3]) -> u8 {
    (128 + ((weigh(sums, coefficients) + 4 * HALF) >> (SHIFT + 2))) as u8
}

fn weigh(colour: [i32; 3], coefficients: [i32; 3]) -> i32 {
    colour.iter().zip(coefficients).map(|(value, coefficient)| value * coefficient).sum()
}

#[cfg(test)]
mod tests {
    use super::super::frame_bytes;
    use super::*;

    #[test]
    fn the_ends_and_the_middle_are_exact() {
        let numbers = [-2.0, -1.0, 0.0, 1.0, 7.0, f32::NAN].repeat(2);
        let x = Tensor::from_cpu(numbers, &[1, 2, 2, 3]).unwrap();
        let bytes = frame_bytes(&x, &[0]).unwrap();
        let (_, mut pictures) = bytes.wait().unwrap();
        assert_eq!(pictures.next().unwrap(), [0, 0, 128, 255, 255, 0].repeat(2));
    }

    #[test]
    fn colours_are_those_of_the_standard() {
        let cases = [
            ([0, 0, 0], [16, 128, 128]),
            ([255, 255, 255], [235, 128, 128]),
            ([128, 128, 128], [126, 128, 128]),
            ([255, 0, 0], [63, 102, 240]),
            ([0, 255, 0], [173, 42, 26]),
            ([0, 0, 255], [32, 240, 118]),
        ];
        for (rgb, expected) in cases {
            let pixel = rgb.map(|byte: u8| f32::from(byte) / 127.5 - 1.0);
            let x = Tensor::from_cpu(pixel.repeat(4), &[1, 2, 2, 3]).unwrap();
            let bytes = frame_bytes(&x, &[0]).unwrap();
            let (mut planes, mut pictures) = bytes.wait().unwrap();
            let planes = planes.next().unwrap();
            assert_eq!([planes[3], planes[4], planes[5]], expected, "{rgb:?}");
            assert_eq!(pictures.next().unwrap(), rgb.repeat(4));
        }
    }

    #[test]
    fn chroma_is_the_mean_of_its_four_pixels_and_stands_in_its_place() {
        // A frame of 4×2 pixels whose right half is red, among black ones.
        let mut numbers = vec![-1.0; 3 * 2 * 4 * 3];
        for pixel in [2, 3, 6, 7] {
            numbers[24 + 3 * pixel] = 1.0;
        }
        let x = Tensor::from_cpu(numbers, &[3, 2, 4, 3]).unwrap();
        let bytes = frame_bytes(&x, &[2, 1]).unwrap();
        let (planes, pictures) = bytes.wait().unwrap();
        let planes: Vec<&[u8]> = planes.collect();
        assert_eq!(planes[0], [[16; 8].as_slice(), &[128; 4]].concat());
        assert_eq!(planes[1], [16, 16, 63, 63, 16, 16, 63, 63, 128, 102, 128, 240]);
        assert_eq!(planes[2], planes[0]);
        let reds: Vec<usize> =
            pictures.map(|picture| picture.iter().filter(|byte| **byte == 255).count()).collect();
        assert_eq!(reds, [0, 4]);
    }

    #[test]
    fn odd_sides_and_frames_that_are_not_there_are_refused() {
        let x = |shape: [usize; 4]| Tensor::from_cpu(vec![0.0; shape.iter().product()], &shape).unwrap();
        for shape in [[1, 3, 2, 3], [1, 2, 5, 3], [1, 2, 2, 4], [1, 0, 2, 3]] {
            assert!(frame_bytes(&x(shape), &[]).is_err(), "{shape:?}");
        }
        assert!(frame_bytes(&x([2, 2, 2, 3]), &[2]).is_err());
    }
}
