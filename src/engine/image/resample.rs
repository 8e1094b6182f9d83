//! Bilinear resampling of 8-bit pictures as the reference implementation does it: a triangle filter as wide as the
//! reduction, first along rows, then along columns, each pass rounded to 8 bits.

use std::ops::Range;

use rayon::prelude::*;

use crate::domain::picture::Picture;

/// The part of a picture to sample, in pixels; edges may lie between pixels.
pub(super) struct Window {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Window {
    pub(super) fn whole(picture: &Picture) -> Self {
        Self { left: 0.0, top: 0.0, right: f64::from(picture.width()), bottom: f64::from(picture.height()) }
    }
}

/// Binary places of a filter weight: 8 bits of colour, 2 of headroom and the weight fill an i32.
const WEIGHT_BITS: u32 = 22;
const HALF: i32 = 1 << (WEIGHT_BITS - 1);
/// Red, green, blue.
const CHANNELS: usize = 3;

/// The window of `picture` at `width` × `height`.
pub(super) fn resample(picture: &Picture, window: &Window, width: u32, height: u32) -> Picture {
    let columns = taps(window.left, window.right, picture.width(), width);
    let rows = taps(window.top, window.bottom, picture.height(), height);
    let source_row = picture.width() as usize * CHANNELS;
    let row_bytes = width as usize * CHANNELS;

    let first = rows.iter().map(|row| row.source.start).min().unwrap_or(0);
    let last = rows.iter().map(|row| row.source.end).max().unwrap_or(0);
    let needed = &picture.rgb()[first * source_row..last * source_row];
    let mut narrow = vec![0; (last - first) * row_bytes];
    narrow
        .par_chunks_exact_mut(row_bytes)
        .zip(needed.par_chunks_exact(source_row))
        .for_each(|(out, row)| along_row(out, row, &columns));

    let mut rgb = vec![0; height as usize * row_bytes];
    rgb.par_chunks_exact_mut(row_bytes).zip(&rows).for_each(|(out, taps)| {
        let from = (taps.source.start - first) * row_bytes;
        along_columns(out, &narrow[from..], taps);
    });
    Picture::new(width, height, rgb).expect("the bytes were counted from the sides")
}

/// Which source pixels make an output pixel, and their weights, which sum to one.
struct Taps {
    source: Range<usize>,
    weights: Vec<i32>,
}

fn taps(from: f64, to: f64, source: u32, outputs: u32) -> Vec<Taps> {
    let scale = (to - from) / f64::from(outputs);
    let reach = scale.max(1.0); // enlarging interpolates between two neighbours
    let (lowest, highest) = (from.floor().max(0.0), to.ceil().min(f64::from(source)));
    (0..outputs)
        .map(|output| {
            let centre = from + (f64::from(output) + 0.5) * scale;
            let start = (centre - reach + 0.5).floor().max(lowest) as usize;
            let end = (centre + reach + 0.5).floor().min(highest) as usize;
            let triangle = |pixel: usize| (1.0 - ((pixel as f64 + 0.5 - centre) / reach).abs()).max(0.0);
            let raw: Vec<f64> = (start..end).map(triangle).collect();
            let sum: f64 = raw.iter().sum();
            let fixed = |weight: &f64| (weight / sum * f64::from(1 << WEIGHT_BITS)).round() as i32;
            Taps { source: start..end, weights: raw.iter().map(fixed).collect() }
        })
        .collect()
}

fn along_row(out: &mut [u8], row: &[u8], columns: &[Taps]) {
    for (pixel, taps) in out.chunks_exact_mut(CHANNELS).zip(columns) {
        let mut sums = [HALF; CHANNELS];
        let sources = row[taps.source.start * CHANNELS..].chunks_exact(CHANNELS);
        for (source, weight) in sources.zip(&taps.weights) {
            for (sum, colour) in sums.iter_mut().zip(source) {
                *sum += i32::from(*colour) * weight;
            }
        }
        for (colour, sum) in pixel.iter_mut().zip(sums) {
            *colour = eight_bits(sum);
        }
    }
}

fn along_columns(out: &mut [u8], rows: &[u8], taps: &Taps) {
    let mut sums = vec![HALF; out.len()];
    for (row, weight) in rows.chunks_exact(out.len()).zip(&taps.weights) {
        for (sum, colour) in sums.iter_mut().zip(row) {
            *sum += i32::from(*colour) * weight;
        }
    }
    for (colour, sum) in out.iter_mut().zip(sums) {
        *colour = eight_bits(sum);
    }
}

fn eight_bits(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, values: &[u8]) -> Picture {
        let rgb = values.iter().flat_map(|value| [*value; 3]).collect();
        Picture::new(width, values.len() as u32 / width, rgb).unwrap()
    }

    fn resized(picture: &Picture, width: u32, height: u32) -> Vec<u8> {
        let out = resample(picture, &Window::whole(picture), width, height);
        out.rgb().iter().step_by(3).copied().collect()
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let picture = grey(4, &[0, 50, 100, 255, 9, 8, 7, 6]);
        assert_eq!(resample(&picture, &Window::whole(&picture), 4, 2), picture);
    }

    #[test]
    fn enlarging_interpolates_and_reducing_averages() {
        assert_eq!(resized(&grey(2, &[0, 100]), 4, 1), [0, 25, 75, 100]);
        // A triangle over four pixels weighs 1 3 3 1; at the edge 3 3 1.
        assert_eq!(resized(&grey(4, &[0, 80, 160, 240]), 2, 1), [57, 183]);
        // To one pixel the triangle is wider than the picture: 5 7 7 5 of 24.
        assert_eq!(resized(&grey(1, &[10, 10, 10, 250]), 1, 1), [60]);
    }
}
