//! The relative position bias of the text encoder. Computed once per length on the host, for any device.

use crate::{Device, Error, Result, Tensor};

const NAME: &str = "position_bias";

/// Distance beyond which all positions share a bucket.
const FARTHEST: f64 = 128.0;

/// Each side needs an exact bucket and one for what is farther.
const FEWEST: usize = 4;

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
        if heads == 0 || positions == 0 || !table.len().is_multiple_of(heads) {
            return Err(Error::argument(NAME, format!("{} numbers for {heads} heads", table.len())));
        }
        let buckets = table.len() / heads;
        if buckets < FEWEST {
            return Err(Error::argument(NAME, format!("{buckets} buckets, not {FEWEST} or more")));
        }
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

    #[test]
    fn any_number_of_buckets_from_four_has_its_rows() {
        let of = |buckets: usize| {
            let table: Vec<f32> = (0..2 * buckets).map(|at| at as f32).collect();
            PositionBias::new(&table, 2, 3, &Device::Cpu).map(|bias| bias.by_distance.to_f32().unwrap())
        };
        // Seven buckets: three a side, one of them exact; the seventh is nobody's.
        assert_eq!(of(7).unwrap(), [2.0, 2.0, 0.0, 8.0, 8.0, 3.0, 3.0, 1.0, 9.0, 9.0]);
        assert!(of(4).is_ok() && of(10).is_ok());
        assert!(of(3).is_err() && PositionBias::new(&[0.0; 9], 2, 3, &Device::Cpu).is_err());
    }
}
