//! cuda against cpu over small, odd, ragged and real shapes.

use super::{layer_norm_affine, layer_norm_modulate};
use crate::cuda::testing::{Gpu, Work};

/// Two roundings to bfloat16.
const BOUND: f64 = 4e-3;

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("layer_norm_modulate") else { return };
    for (rows, width) in [(1, 8), (3, 13), (70, 256), (33, 1536), (5, 5120)] {
        let x = gpu.tensor(&[rows, width], 3.0);
        let (shift, scale) = (gpu.float(&[width], 1.0), gpu.float(&[width], 1.0));
        let cpu = layer_norm_modulate(&x.cpu, &shift.cpu, &scale.cpu, 1e-6).unwrap();
        let cuda = layer_norm_modulate(&x.cuda, &shift.cuda, &scale.cuda, 1e-6).unwrap();
        gpu.check(&format!("{rows}x{width} modulate"), &cpu, &cuda, BOUND);
        let cpu = layer_norm_affine(&x.cpu, &scale.cpu, &shift.cpu, 1e-6).unwrap();
        let cuda = layer_norm_affine(&x.cuda, &scale.cuda, &shift.cuda, 1e-6).unwrap();
        gpu.check(&format!("{rows}x{width} affine"), &cpu, &cuda, BOUND);
    }
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("layer_norm_modulate") else { return };
    let (x, row) = (gpu.filled(&[32760, 1536], 1.0), gpu.filled(&[1536], 1.0));
    let work = Work { operations: 0.0, bytes: 4.0 * x.count() as f64 };
    gpu.rate("32760x1536", work, || layer_norm_modulate(&x, &row, &row, 1e-6));
}
