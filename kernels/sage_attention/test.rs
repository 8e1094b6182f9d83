//! cuda against cpu over small, odd, ragged and real shapes.

use super::cuda::{Way, attend, quantise};
use super::{cpu, sage_attention};
use crate::cuda::testing::{Gpu, Pair, Work};
use crate::sla_mask::{BlockMap, BlockSize, sla_mask};
use crate::{Device, Tensor};

/// Rounding to 8 bits alike, both sides differ by the result's rounding to bfloat16, 2e-3, and by the weights, a sixteenth
/// apart, that a rounding of their float moves to the next: more of a few rows with few keys. The rounding itself costs 4e-2.
const BOUND: f64 = 1.2e-2;
/// Of values with a mean, which the result is mostly made of: sums of e4m3 over many blocks in the tensor cores alone would lose
/// a hundredth of it.
const BOUND_OF_MEANS: f64 = 4e-3;
/// Weights and values in bfloat16 do not round as the definition does: the bound is that rounding's own error.
const BOUND_OF_SIXTEEN: f64 = 6e-2;

const SIZES: [BlockSize; 2] = [BlockSize { queries: 128, keys: 64 }, BlockSize { queries: 64, keys: 128 }];

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("sage_attention") else { return };
    // The last has more blocks of queries than Hopper's kernel has thread blocks.
    let cases = [(77, 1, 1.0), (300, 3, 0.4), (1000, 2, 0.3), (129, 1, 1.0), (1500, 5, 0.1), (9000, 3, 0.1)];
    for (tokens, heads, ratio) in cases {
        let [q, mut k, v] = [3.0, 3.0, 1.0].map(|reach| gpu.tensor(&[tokens, heads * 128], reach));
        k = shifted(&k.cpu, &gpu, heads * 128);
        check(&gpu, [&q, &k, &v], heads, ratio, BOUND);
    }
    let [q, k, mut v] = [1.0, 1.0, 1.0].map(|reach| gpu.tensor(&[4000, 2 * 128], reach));
    v = shifted(&v.cpu, &gpu, 2 * 128);
    check(&gpu, [&q, &k, &v], 2, 1.0, BOUND_OF_MEANS);
}

/// Every way that the device has, over the blocks of the definition's choice.
fn check(gpu: &Gpu, [q, k, v]: [&Pair; 3], heads: usize, ratio: f64, bound: f64) {
    let Device::Cuda(device) = gpu.device().clone() else { unreachable!("opened as a GPU") };
    let tokens = q.cpu.dim(0);
    for size in SIZES {
        let map = sla_mask(&q.cpu, &k.cpu, heads, size, ratio).unwrap();
        let expected = cpu::sage_attention(&q.cpu, &k.cpu, &v.cpu, &map).unwrap();
        let chosen = map.chosen.to_u32().unwrap();
        let chosen = Tensor::from_u32(chosen, map.chosen.shape(), gpu.device()).unwrap();
        let map = BlockMap { chosen, size };
        for way in [Way::Hopper, Way::Eight, Way::Sixteen] {
            if way == Way::Hopper && (!device.hopper() || size != SIZES[1]) {
                continue;
            }
            let (operands, _) = quantise(&device, [&q.cuda, &k.cuda, &v.cuda], size, way).unwrap();
            let found = attend(&device, &operands, &v.cuda, &map, way).unwrap();
            let case = format!("{tokens} tokens, {heads} heads, {}x{}, {way:?}", size.queries, size.keys);
            let bound = if way == Way::Sixteen { BOUND_OF_SIXTEEN } else { bound };
            gpu.check(&case, &expected, &found, bound);
        }
    }
}

/// `x` with a mean of its own in every channel.
fn shifted(x: &Tensor, gpu: &Gpu, width: usize) -> Pair {
    let values = x.to_f32().unwrap();
    let moved = values.iter().enumerate().map(|(i, value)| value + (i % width % 7) as f32 - 3.0);
    let rounded = moved.map(|value| half::bf16::from_f32(value).to_f32()).collect();
    let cpu = Tensor::from_cpu(rounded, x.shape()).unwrap();
    let cuda = Gpu::copied(&cpu, gpu.device());
    Pair { cpu, cuda }
}

#[test]
fn cuda_chooses_and_attends_as_the_definition() {
    let Some(mut gpu) = Gpu::for_test("sage_attention") else { return };
    for size in [SIZES[0], SIZES[1], BlockSize { queries: 16, keys: 8 }] {
        let [q, k, v] = [3.0, 3.0, 1.0].map(|reach| gpu.tensor(&[900, 256], reach));
        let cpu = sage_attention([&q.cpu, &k.cpu, &v.cpu], 2, size, 0.3).unwrap();
        let cuda = sage_attention([&q.cuda, &k.cuda, &v.cuda], 2, size, 0.3).unwrap();
        let bound = if SIZES.contains(&size) { BOUND } else { BOUND_OF_SIXTEEN };
        gpu.check(&format!("900 tokens, chosen here, {}x{}", size.queries, size.keys), &cpu, &cuda, bound);
    }
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("sage_attention") else { return };
    let Device::Cuda(device) = gpu.timed() else { unreachable!("opened as a GPU") };
    let [q, k, v] = [1.0, 1.0, 1.0].map(|reach| gpu.filled(&[32760, 1536], reach));
    for size in SIZES {
        let way = if device.hopper() && size == SIZES[1] { Way::Hopper } else { Way::Eight };
        let map = sla_mask(&q, &k, 12, size, 0.1).unwrap();
        let seen = (map.chosen.dim(2) * size.keys) as f64;
        let operations = 4.0 * 32760.0 * seen * 1536.0;
        let name = |what: &str| format!("32760 tokens, {}x{}, {what}", size.queries, size.keys);
        let (operands, _) = quantise(&device, [&q, &k, &v], size, way).unwrap();
        let bytes = q.count() as f64;
        gpu.rate(&name("attend"), Work { operations, bytes: 5.0 * bytes }, || {
            attend(&device, &operands, &v, &map, way)
        });
        // k and v twice, q once, 8-bit copies of all three once.
        gpu.rate(&name("quantise"), Work { operations: 0.0, bytes: 13.0 * bytes }, || {
            Ok(quantise(&device, [&q, &k, &v], size, way)?.1.keys)
        });
        gpu.rate(&name("all"), Work { operations, bytes: 8.0 * bytes }, || {
            sage_attention([&q, &k, &v], 12, size, 0.1)
        });
    }
}
