//! The definition.

use rayon::prelude::*;

use super::NAME;
use crate::cpu::{HIGHEST_E4M3, round_e4m3};
use crate::{Result, Tensor};

/// Keeps the factor of an empty row finite.
const LEAST: f32 = 1e-12;

pub(super) fn quantize_fp8(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let [rows, columns] = x.axes(NAME, "x")?;
    let x = x.cpu(NAME)?;
    let x: &[f32] = &x;
    let mut values = vec![0.0; rows * columns];
    let mut scales = vec![0.0; rows];
    values.par_chunks_mut(columns.max(1)).zip(&mut scales).zip(x.par_chunks(columns.max(1))).for_each(
        |((to, scale), from)| {
            let top = from.iter().fold(LEAST, |top, value| value.abs().max(top));
            *scale = top / HIGHEST_E4M3;
            let factor = HIGHEST_E4M3 / top;
            to.iter_mut().zip(from).for_each(|(to, from)| *to = round_e4m3(from * factor));
        },
    );
    Ok((Tensor::from_cpu(values, &[rows, columns])?, Tensor::from_cpu(scales, &[rows])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rows_largest_value_is_the_formats_largest() {
        let x = Tensor::from_cpu(vec![0.5, -2.0, 0.013, 0.0, 0.0, 0.0], &[2, 3]).unwrap();
        let (values, scales) = quantize_fp8(&x).unwrap();
        assert_eq!(values.to_f32().unwrap(), [112.0, -448.0, 3.0, 0.0, 0.0, 0.0]);
        assert_eq!(scales.to_f32().unwrap(), [2.0 / 448.0, 1e-12 / 448.0]);
    }

    #[test]
    fn the_error_of_a_value_is_at_most_a_sixteenth() {
        let x: Vec<f32> = (0..4096).map(|i| ((i * 7919) % 4093) as f32 / 4093.0 - 0.5).collect();
        let (values, scales) = quantize_fp8(&Tensor::from_cpu(x.clone(), &[4, 1024]).unwrap()).unwrap();
        let (values, scales) = (values.to_f32().unwrap(), scales.to_f32().unwrap());
        for (index, (x, q)) in x.iter().zip(values).enumerate() {
            let scale = scales[index / 1024];
            // Below the smallest normal number of the format the step is constant.
            assert!((x - q * scale).abs() <= x.abs() / 16.0 + scale / 1024.0, "{x} {q}");
        }
    }
}
