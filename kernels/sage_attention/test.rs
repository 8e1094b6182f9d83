//! cuda against cpu over small, odd, ragged and real shapes.

use super::sage_attention;
use crate::Tensor;
use crate::cuda::testing::Gpu;
use crate::sla_mask::{BlockMap, BlockSize, sla_mask};

/// The definition rounds to 8 bits, this backend does not: the bound is the rounding's own error against exact attention.
const BOUND: f64 = 6e-2;

#[test]
fn cuda_is_as_near_as_eight_bits_allow() {
    let Some(mut gpu) = Gpu::for_test("sage_attention") else { return };
    let [q, k, v] = [2.0, 2.0, 1.0].map(|reach| gpu.tensor(&[1000, 256], reach));
    let map = sla_mask(&q.cpu, &k.cpu, 2, BlockSize { queries: 64, keys: 128 }, 0.3).unwrap();
    let cpu = sage_attention(&q.cpu, &k.cpu, &v.cpu, &map).unwrap();
    let chosen = Tensor::from_u32(map.chosen.to_u32().unwrap(), map.chosen.shape(), gpu.device()).unwrap();
    let cuda = sage_attention(&q.cuda, &k.cuda, &v.cuda, &BlockMap { chosen, size: map.size }).unwrap();
    gpu.check("1000 tokens, 2 heads", &cpu, &cuda, BOUND);
}
