//! cuda against cpu over small, odd, ragged and real shapes.

use super::{RopeTable, rms_norm_rope};
use crate::Device;
use crate::cuda::testing::{Gpu, Work};

/// Two roundings to bfloat16.
const BOUND: f64 = 4e-3;
/// None.
const UNROUNDED: f64 = 1e-5;

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("rms_norm_rope") else { return };
    for (grid, heads, head) in
        [([1, 1, 1], 1, 6), ([2, 3, 5], 2, 16), ([3, 4, 5], 12, 128), ([2, 2, 2], 40, 128)]
    {
        let tokens = grid.iter().product();
        let (x, weight) = (gpu.tensor(&[tokens, heads * head], 3.0), gpu.float(&[heads * head], 1.0));
        let here = RopeTable::new(grid, head, gpu.device()).unwrap();
        let there = RopeTable::new(grid, head, &Device::Cpu).unwrap();
        for turned in [false, true] {
            let cpu = rms_norm_rope(&x.cpu, &weight.cpu, 1e-6, turned.then_some(&there)).unwrap();
            let cuda = rms_norm_rope(&x.cuda, &weight.cuda, 1e-6, turned.then_some(&here)).unwrap();
            let case = format!("{grid:?}, {heads} heads of {head}, turned {turned}");
            gpu.check(&case, &cpu, &cuda, BOUND);
            let cuda = rms_norm_rope(&gpu.widened(&x), &weight.cuda, 1e-6, turned.then_some(&here)).unwrap();
            gpu.check(&format!("{case}, float32"), &cpu, &cuda, UNROUNDED);
        }
    }
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("rms_norm_rope") else { return };
    for width in [1536, 5120] {
        let (x, weight) = (gpu.filled(&[32760, width], 1.0), gpu.filled(&[width], 1.0));
        let rope = RopeTable::new([21, 30, 52], 128, &gpu.timed()).unwrap();
        let work = Work { operations: 0.0, bytes: 4.0 * x.count() as f64 };
        gpu.rate(&format!("32760x{width}"), work, || rms_norm_rope(&x, &weight, 1e-6, Some(&rope)));
    }
}
