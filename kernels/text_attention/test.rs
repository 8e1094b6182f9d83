//! cuda against cpu over small, odd, ragged and real shapes.

use super::text_attention;
use crate::Device;
use crate::cuda::testing::Gpu;
use crate::position_bias::PositionBias;

/// Weights rounded to bfloat16 before they meet the values.
const BOUND: f64 = 6e-3;
const UNROUNDED: f64 = 1e-5;

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("text_attention") else { return };
    for (positions, heads, head, words) in
        [(1, 1, 8, 1), (33, 4, 16, 20), (70, 2, 64, 70), (512, 8, 64, 100), (512, 3, 64, 512)]
    {
        let [q, k, v] = [0.6, 0.6, 1.0].map(|reach| gpu.tensor(&[positions, heads * head], reach));
        let table = gpu.numbers(32 * heads, 1.0);
        let here = gpu.device().clone();
        let bias = |device: &Device| PositionBias::new(&table, heads, positions, device).unwrap();
        for gap in [false, true] {
            let is_text: Vec<bool> = (0..positions).map(|at| at < words && !(gap && at % 5 == 3)).collect();
            let cpu = text_attention(&q.cpu, &k.cpu, &v.cpu, &bias(&Device::Cpu), &is_text).unwrap();
            let cuda = text_attention(&q.cuda, &k.cuda, &v.cuda, &bias(&here), &is_text).unwrap();
            let case = format!("{positions} positions, {heads} heads of {head}, gap {gap}");
            gpu.check(&case, &cpu, &cuda, BOUND);
            let [q, k, v] = [&q, &k, &v].map(|pair| gpu.widened(pair));
            let cuda = text_attention(&q, &k, &v, &bias(&here), &is_text).unwrap();
            gpu.check(&format!("{case}, float32"), &cpu, &cuda, UNROUNDED);
        }
    }
}
