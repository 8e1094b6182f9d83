//! The 8-bit float of 4 exponent and 3 mantissa bits, as a rounding of float32.

/// Largest finite value.
pub(crate) const HIGHEST_E4M3: f32 = 448.0;

/// Exponent of the smallest normal value.
const SMALLEST_EXPONENT: i32 = -6;

/// The nearest e4m3 value, ties to even, saturating at ±448.
pub(crate) fn round_e4m3(value: f32) -> f32 {
    let size = value.abs().min(HIGHEST_E4M3);
    let exponent = ((size.to_bits() >> 23) as i32 - 127).max(SMALLEST_EXPONENT);
    let step = (exponent - 3) as f32;
    let quantum = step.exp2();
    ((size / quantum).round_ties_even() * quantum).copysign(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_round_as_the_format_says() {
        let cases = [
            (1.0, 1.0),
            (1.06, 1.0),
            (1.0625, 1.0),
            (1.1875, 1.25),
            (-447.0, -448.0),
            (1e9, 448.0),
            (0.0009, 0.0),
            (0.002, 0.001_953_125),
        ];
        for (value, expected) in cases {
            assert_eq!(round_e4m3(value), expected, "{value}");
        }
    }
}
