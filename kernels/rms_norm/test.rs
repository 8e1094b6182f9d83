//! cuda against cpu over small, odd, ragged and real shapes.

use super::rms_norm;
use crate::cuda::testing::Gpu;

/// Two roundings to bfloat16.
const BOUND: f64 = 4e-3;
const UNROUNDED: f64 = 1e-5;

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("rms_norm") else { return };
    for (rows, width) in [(1, 8), (3, 13), (512, 4096)] {
        let (x, weight) = (gpu.tensor(&[rows, width], 3.0), gpu.tensor(&[width], 1.0));
        let cpu = rms_norm(&x.cpu, &weight.cpu, 1e-6).unwrap();
        let cuda = rms_norm(&x.cuda, &weight.cuda, 1e-6).unwrap();
        gpu.check(&format!("{rows}x{width}"), &cpu, &cuda, BOUND);
        let cuda = rms_norm(&gpu.widened(&x), &weight.cuda, 1e-6).unwrap();
        gpu.check(&format!("{rows}x{width}, float32"), &cpu, &cuda, UNROUNDED);
    }
}
