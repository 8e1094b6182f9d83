//! cuda against cpu over small, odd, ragged and real shapes.

use super::sparse_attention;
use crate::cuda::testing::{Gpu, Work};
use crate::sla_mask::{BlockMap, BlockSize, sla_mask};
use crate::{DType, Tensor};

/// Weights rounded to bfloat16 before they meet the values.
const BOUND: f64 = 6e-3;

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("sparse_attention") else { return };
    let cases = [
        (300, 2, 128, (128, 64), 0.4),
        (1000, 3, 128, (64, 128), 0.2),
        (129, 1, 128, (128, 64), 1.0),
        (77, 2, 16, (16, 8), 0.3),
        (2000, 12, 128, (128, 64), 0.1),
        (1500, 2, 128, (128, 128), 0.3),
        (700, 2, 128, (64, 64), 0.4),
        (333, 1, 128, (64, 128), 1.0),
        // The last block of keys ends in its first half.
        (129, 1, 128, (64, 128), 1.0),
        (1338, 2, 128, (128, 128), 0.5),
    ];
    for (tokens, heads, head, (queries, keys), ratio) in cases {
        let [q, k, v] = [2.0, 2.0, 1.0].map(|reach| gpu.tensor(&[tokens, heads * head], reach));
        let map = sla_mask(&q.cpu, &k.cpu, heads, BlockSize { queries, keys }, ratio).unwrap();
        let cpu = sparse_attention(&q.cpu, &k.cpu, &v.cpu, &map).unwrap();
        for (kernels, here) in gpu.variants() {
            let [q, k, v] = [&q, &k, &v].map(|x| Gpu::copied(&x.cuda, &here));
            let chosen = Tensor::from_u32(map.chosen.to_u32().unwrap(), map.chosen.shape(), &here).unwrap();
            let map = BlockMap { chosen, size: map.size };
            let cuda = sparse_attention(&q, &k, &v, &map).unwrap();
            let case = format!("{tokens} tokens, {heads} heads of {head}, {queries}x{keys}, {kernels}");
            gpu.check(&case, &cpu, &cuda, BOUND);
        }
    }
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("sparse_attention") else { return };
    let q = gpu.filled(&[32760, 1536], 1.0);
    for (queries, keys) in [(128, 64), (64, 128)] {
        let map = sla_mask(&q, &q, 12, BlockSize { queries, keys }, 0.1).unwrap();
        let seen = (map.chosen.dim(2) * keys) as f64;
        let work = Work { operations: 4.0 * 32760.0 * seen * 1536.0, bytes: 4.0 * q.count() as f64 * 2.0 };
        assert_eq!(map.chosen.dtype(), DType::U32);
        gpu.rate(&format!("32760 tokens, {queries}x{keys}"), work, || sparse_attention(&q, &q, &q, &map));
    }
}
