//! cuda against cpu over small, odd, ragged and real shapes.

use super::frame_attention;
use crate::cuda::testing::{Gpu, Work};

/// Weights rounded to bfloat16 before they meet the values.
const BOUND: f64 = 6e-3;

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("frame_attention") else { return };
    for (frames, positions, channels) in [(1, 1, 8), (3, 35, 32), (2, 390, 384)] {
        let qkv = gpu.tensor(&[frames, positions, 3 * channels], 1.0);
        let (cpu, cuda) = (frame_attention(&qkv.cpu).unwrap(), frame_attention(&qkv.cuda).unwrap());
        gpu.check(&format!("{frames} frames, {positions} positions of {channels}"), &cpu, &cuda, BOUND);
    }
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("frame_attention") else { return };
    let qkv = gpu.filled(&[4, 6240, 1152], 1.0);
    let work = Work { operations: 4.0 * 4.0 * 6240.0 * 6240.0 * 384.0, bytes: 8.0 * 4.0 * 6240.0 * 6240.0 };
    gpu.rate("4 frames of 60x104", work, || frame_attention(&qkv));
}
