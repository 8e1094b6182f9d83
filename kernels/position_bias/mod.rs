//! The relative position bias of the text encoder. Computed once per length on the host, for any device.

use crate::{Device, Error, Result, Tensor};

const NAME: &str = "position_bias";

/// Distance beyond which all positions share a bucket.
const FARTHEST: f64 = 128.0;

/// Bias of every distance between a query and a key.
#[derive(Debug, Clone)]
pub struct PositionBias {
    /// `[heads, 2·positions − 1]`, float32; column `key − query + positions − 1`.
    pub by_distance: Tensor,
    pub positions: usize,
}

impl PositionBias {
    /// From the learned `table`, `[buckets, heads]`, row-major, for `positions` positions.
    pub fn new(table: &[f32], heads: usize, positions: usize, device: &Device) -> Result<Self> {
        if heads == 0 || positions == 0 || table.is_empty() || !table.len().is_multiple_of(4 * heads) {
            return Err(Error::argument(NAME, format!("{} numbers for {heads} heads", table.len())));
        }
        let buckets = table.len() / heads;
        let last = positions as i64 - 1;
        let mut bias = Vec::with_capacity(heads * (2 * positions - 1));
        for head in 0..heads {
            bias.extend((-last..=last).map(|distance| table[bucket(distance, buckets) * heads + head]));
        }
        let shape = [heads, 2 * positions - 1];
        let by_distance = Tensor::from_f32(bias, &shape, crate::DType::F32, device)?;
        Ok(Self { by_distance, positions })
    }
}

/// The bucket of `distance = key − query`: half of the buckets look ahead, half of each half are exact, the rest grow
/// with the logarithm.
fn bucket(distance: i64, buckets: usize) -> usize {
    let side = buckets / 2;
    let base = if distance > 0 { side } else { 0 };
    let (size, exact) = (distance.unsigned_abs() as usize, side / 2);
    if size < exact {
        return base + size;
    }
    // float32, as upstream: the rounding decides at bucket borders.
    let share = (size as f32 / exact as f32).ln() / ((FARTHEST / exact as f64).ln() as f32);
    base + (exact + (share * (side - exact) as f32) as usize).min(side - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_the_published_encoder() {
        let near: Vec<_> = (-3..=3).map(|distance| bucket(distance, 32)).collect();
        assert_eq!(near, [3, 2, 1, 0, 17, 18, 19]);
        assert_eq!([bucket(8, 32), bucket(-8, 32)], [24, 8]);
        assert_eq!([bucket(127, 32), bucket(-400, 32)], [31, 15]);
    }
}
