//! The definition.

use super::{BLOCK, NAME};
use crate::{Device, Result, Tensor};

/// Keeps an all-zero block from dividing by zero.
const SMALLEST: f32 = 1e-8;

pub(super) fn quantize_int8(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let [rows, columns] = x.axes(NAME, "x")?;
    let x = x.cpu(NAME)?;
    let mut values = vec![0i8; rows * columns];
    let mut scales = Vec::with_capacity(rows.div_ceil(BLOCK) * columns.div_ceil(BLOCK));
    for top in (0..rows).step_by(BLOCK) {
        for left in (0..columns).step_by(BLOCK) {
            let right = columns.min(left + BLOCK);
            let block =
                || (top..rows.min(top + BLOCK)).map(|row| row * columns + left..row * columns + right);
            let largest = block().flat_map(|row| &x[row]).fold(SMALLEST, |max, value| max.max(value.abs()));
            let factor = 128.0 / largest;
            for row in block() {
                for (value, x) in values[row.clone()].iter_mut().zip(&x[row]) {
                    // The cast saturates.
                    *value = (x * factor).round_ties_even() as i8;
                }
            }
            scales.push(largest / 128.0);
        }
    }
    let blocks = [rows.div_ceil(BLOCK), columns.div_ceil(BLOCK)];
    Ok((Tensor::from_i8(values, &[rows, columns], &Device::Cpu)?, Tensor::from_cpu(scales, &blocks)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_blocks_are_those_of_the_definition() {
        let constant = |value: f32| {
            let x = Tensor::from_cpu(vec![value; 128 * 130], &[128, 130]).unwrap();
            let (values, scales) = quantize_int8(&x).unwrap();
            (values.to_i8().unwrap()[0], scales.to_f32().unwrap())
        };
        assert_eq!(constant(2.0), (127, vec![2.0 / 128.0; 2]));
        assert_eq!(constant(-2.0), (-128, vec![2.0 / 128.0; 2]));
        assert_eq!(constant(0.0).0, 0);
    }
}
