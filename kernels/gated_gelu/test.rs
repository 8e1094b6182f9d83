//! cuda against cpu over small, odd, ragged and real shapes.

use super::gated_gelu;
use crate::cuda::testing::Gpu;

/// The activation is rounded before it meets the other half.
const BOUND: f64 = 4e-3;
const UNROUNDED: f64 = 1e-5;

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("gated_gelu") else { return };
    for shape in [[1, 1], [7, 33], [512, 10240]] {
        let (gate, up) = (gpu.tensor(&shape, 4.0), gpu.tensor(&shape, 2.0));
        let cpu = gated_gelu(&gate.cpu, &up.cpu).unwrap();
        let cuda = gated_gelu(&gate.cuda, &up.cuda).unwrap();
        gpu.check(&format!("{shape:?}"), &cpu, &cuda, BOUND);
        let cuda = gated_gelu(&gpu.widened(&gate), &gpu.widened(&up)).unwrap();
        gpu.check(&format!("{shape:?}, float32"), &cpu, &cuda, UNROUNDED);
    }
}
