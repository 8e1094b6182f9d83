//! cuda against cpu over small, odd, ragged and real shapes.

use super::channel_norm;
use crate::cuda::testing::{Gpu, Work};

/// One rounding to bfloat16.
const BOUND: f64 = 3e-3;

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("channel_norm") else { return };
    for (positions, channels) in [(1, 3), (9, 8), (5, 24), (33, 48), (1000, 96), (35, 192), (77, 384)] {
        let (x, gamma) = (gpu.tensor(&[positions, channels], 3.0), gpu.float(&[channels], 1.0));
        let cpu = channel_norm(&x.cpu, &gamma.cpu).unwrap();
        let cuda = channel_norm(&x.cuda, &gamma.cuda).unwrap();
        gpu.check(&format!("{positions}x{channels}"), &cpu, &cuda, BOUND);
    }
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("channel_norm") else { return };
    for (positions, channels) in [(4 * 480 * 832, 96), (4 * 240 * 416, 192), (4 * 120 * 208, 384)] {
        let (x, gamma) = (gpu.filled(&[positions, channels], 1.0), gpu.filled(&[channels], 1.0));
        let work = Work { operations: 0.0, bytes: 4.0 * x.count() as f64 };
        gpu.rate(&format!("{positions}x{channels}"), work, || channel_norm(&x, &gamma));
    }
}
