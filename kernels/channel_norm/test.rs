//! cuda against cpu over small, odd, ragged and real shapes.

use super::channel_norm;
use crate::cuda::testing::Gpu;

/// One rounding to bfloat16.
const BOUND: f64 = 3e-3;

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("channel_norm") else { return };
    for (positions, channels) in [(1, 3), (9, 8), (1000, 96), (77, 384)] {
        let (x, gamma) = (gpu.tensor(&[positions, channels], 3.0), gpu.float(&[channels], 1.0));
        let cpu = channel_norm(&x.cpu, &gamma.cpu).unwrap();
        let cuda = channel_norm(&x.cuda, &gamma.cuda).unwrap();
        gpu.check(&format!("{positions}x{channels}"), &cpu, &cuda, BOUND);
    }
}
