//! cuda against cpu over small, odd, ragged and real shapes.

use super::{SlaLinear, sla_linear};
use crate::cuda::testing::{Gpu, Work};

/// The folded matrix and the maps are bfloat16.
const BOUND: f64 = 6e-3;

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("sla_linear") else { return };
    for (tokens, heads) in [(1, 1), (63, 2), (64, 1), (300, 3), (2049, 12), (9001, 3)] {
        let width = heads * 128;
        let [q, k, v, sparse] = [2.0, 2.0, 1.0, 0.01].map(|reach| gpu.tensor(&[tokens, width], reach));
        let (weight, bias) = (gpu.tensor(&[128, 128], 0.3), gpu.tensor(&[128], 0.1));
        let cpu = sla_linear(&SlaLinear {
            q: &q.cpu,
            k: &k.cpu,
            v: &v.cpu,
            sparse: &sparse.cpu,
            weight: &weight.cpu,
            bias: &bias.cpu,
        });
        let cpu = cpu.unwrap();
        for (kernels, device) in gpu.variants() {
            let [q, k, v, sparse] = [&q, &k, &v, &sparse].map(|pair| Gpu::copied(&pair.cpu, &device));
            let [weight, bias] = [&weight, &bias].map(|pair| Gpu::copied(&pair.cpu, &device));
            let branch = SlaLinear { q: &q, k: &k, v: &v, sparse: &sparse, weight: &weight, bias: &bias };
            let cuda = sla_linear(&branch).unwrap();
            gpu.check(&format!("{tokens} tokens, {heads} heads, {kernels}"), &cpu, &cuda, BOUND);
        }
    }
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("sla_linear") else { return };
    let q = gpu.filled(&[32760, 1536], 1.0);
    let (weight, bias) = (gpu.filled(&[128, 128], 0.3), gpu.filled(&[128], 0.1));
    let branch = SlaLinear { q: &q, k: &q, v: &q, sparse: &q, weight: &weight, bias: &bias };
    let work = Work { operations: 4.0 * 32760.0 * 128.0 * 1536.0, bytes: 10.0 * q.count() as f64 };
    gpu.rate("32760 tokens, 12 heads", work, || sla_linear(&branch));
}
