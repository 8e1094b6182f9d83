//! The definition.

use crate::{Result, Tensor};

pub(super) fn rgb8(x: &Tensor) -> Result<Vec<u8>> {
    // The cast truncates and takes what is not a number to 0.
    let byte = |value: &f32| (255.0 * (1.0 + value.clamp(-1.0, 1.0)) / 2.0 + 0.5) as u8;
    Ok(x.cpu(super::NAME)?.iter().map(byte).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_and_the_middle_are_exact() {
        let x = Tensor::from_cpu(vec![-2.0, -1.0, 0.0, 1.0, 7.0, f32::NAN], &[1, 1, 2, 3]).unwrap();
        assert_eq!(rgb8(&x).unwrap(), [0, 0, 128, 255, 255, 0]);
    }
}
