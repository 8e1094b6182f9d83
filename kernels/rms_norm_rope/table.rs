//! The angles of every token, computed once per video shape on the host.

use crate::{DType, Device, Error, Result, Tensor};

/// Slowest wavelength of the rotation.
const BASE: f32 = 10_000.0;

/// Cosines and sines of every token's angles.
#[derive(Debug, Clone)]
pub struct RopeTable {
    /// `[tokens, head dim / 2]` float32.
    pub cos: Tensor,
    /// `[tokens, head dim / 2]` float32.
    pub sin: Tensor,
}

impl RopeTable {
    /// For tokens over a grid of `[time, height, width]`, width fastest. Height and width turn `head_dim/6` pairs each
    /// (rounded down), time the rest, in the order time, height, width.
    pub fn new(grid: [usize; 3], head_dim: usize, device: &Device) -> Result<Self> {
        if head_dim < 2 || !head_dim.is_multiple_of(2) {
            return Err(Error::argument("rms_norm_rope", format!("a head of {head_dim} channels")));
        }
        let side = head_dim / 6;
        let pairs = [head_dim / 2 - 2 * side, side, side];
        let frequencies = pairs.map(|pairs| -> Vec<f32> {
            (0..pairs).map(|pair| 1.0 / BASE.powf((2 * pair) as f32 / (2 * pairs) as f32)).collect()
        });
        let mut angles = Vec::with_capacity(grid.iter().product::<usize>() * head_dim / 2);
        for t in 0..grid[0] {
            for h in 0..grid[1] {
                for w in 0..grid[2] {
                    for (position, frequencies) in [t, h, w].into_iter().zip(&frequencies) {
                        angles.extend(frequencies.iter().map(|frequency| position as f32 * frequency));
                    }
                }
            }
        }
        let shape = [grid.iter().product(), head_dim / 2];
        let table = |function: fn(f32) -> f32| {
            Tensor::from_f32(angles.iter().copied().map(function).collect(), &shape, DType::F32, device)
        };
        Ok(Self { cos: table(f32::cos)?, sin: table(f32::sin)? })
    }
}
