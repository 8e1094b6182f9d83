//! RGB to I420: BT.709, limited range, chroma averaged over 2×2 pixels. Integers only, so that equal frames give equal bytes.

use openh264::formats::YUVSource;

use crate::domain::picture::Picture;

/// Planes of one frame; sides are even.
pub(super) struct I420 {
    width: usize,
    height: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

/// Binary places of the coefficients.
const SHIFT: u32 = 16;
const HALF: i32 = 1 << (SHIFT - 1);
/// 16 + 219·(0.2126 R + 0.7152 G + 0.0722 B)/255.
const TO_Y: [i32; 3] = [11_966, 40_254, 4_064];
/// 128 + 224·(B − luma)/(1.8556·255); the three sum to zero so that grey has no colour.
const TO_U: [i32; 3] = [-6_596, -22_188, 28_784];
/// 128 + 224·(R − luma)/(1.5748·255).
const TO_V: [i32; 3] = [28_784, -26_145, -2_639];

impl I420 {
    /// Planes for frames of `width` × `height`, both even.
    pub(super) fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        let quarter = width / 2 * (height / 2);
        Self { width, height, y: vec![0; width * height], u: vec![0; quarter], v: vec![0; quarter] }
    }

    /// Fills the planes from a picture of their size.
    pub(super) fn fill(&mut self, picture: &Picture) {
        let row_bytes = self.width * 3;
        let half = self.width / 2;
        for (pair, rows) in picture.rgb().chunks_exact(2 * row_bytes).enumerate() {
            let (upper, lower) = rows.split_at(row_bytes);
            let (y_upper, y_lower) =
                self.y[pair * 2 * self.width..][..2 * self.width].split_at_mut(self.width);
            luma_row(upper, y_upper);
            luma_row(lower, y_lower);
            let (u, v) = (&mut self.u[pair * half..][..half], &mut self.v[pair * half..][..half]);
            let columns = upper.chunks_exact(6).zip(lower.chunks_exact(6));
            for ((u, v), (upper, lower)) in u.iter_mut().zip(v).zip(columns) {
                let sum = |at: usize| {
                    [upper[at], upper[at + 3], lower[at], lower[at + 3]].map(i32::from).iter().sum()
                };
                let sums: [i32; 3] = [sum(0), sum(1), sum(2)];
                (*u, *v) = (chroma(sums, TO_U), chroma(sums, TO_V));
            }
        }
    }
}

fn luma_row(rgb: &[u8], luma: &mut [u8]) {
    for (luma, pixel) in luma.iter_mut().zip(rgb.chunks_exact(3)) {
        let weighted = weigh([pixel[0], pixel[1], pixel[2]].map(i32::from), TO_Y);
        *luma = (16 + ((weighted + HALF) >> SHIFT)) as u8;
    }
}

/// Of the sums of four pixels: two more binary places.
fn chroma(sums: [i32; 3], coefficients: [i32; 3]) -> u8 {
    (128 + ((weigh(sums, coefficients) + 4 * HALF) >> (SHIFT + 2))) as u8
}

fn weigh(colour: [i32; 3], coefficients: [i32; 3]) -> i32 {
    colour.iter().zip(coefficients).map(|(value, coefficient)| value * coefficient).sum()
}

impl YUVSource for I420 {
    fn dimensions(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn strides(&self) -> (usize, usize, usize) {
        (self.width, self.width / 2, self.width / 2)
    }

    fn y(&self) -> &[u8] {
        &self.y
    }

    fn u(&self) -> &[u8] {
        &self.u
    }

    fn v(&self) -> &[u8] {
        &self.v
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let picture = Picture::new(2, 2, rgb.repeat(4)).unwrap();
            let mut planes = I420::new(2, 2);
            planes.fill(&picture);
            assert_eq!([planes.y[3], planes.u[0], planes.v[0]], expected, "{rgb:?}");
        }
    }
}
