//! cuda against cpu over small, odd, ragged and real shapes.

use super::attention;
use crate::cuda::testing::{Gpu, Work};

/// Weights rounded to bfloat16 before they meet the values.
const BOUND: f64 = 6e-3;
/// Sums in another order.
const UNROUNDED: f64 = 1e-5;

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("attention") else { return };
    let cases = [
        (1, 1, 1, 128),
        (5, 3, 2, 16),
        (70, 65, 2, 64),
        (130, 200, 3, 128),
        (257, 512, 12, 128),
        (64, 5, 1, 128),
        (700, 333, 2, 128),
        (64, 64, 1, 40),
    ];
    for (queries, keys, heads, head) in cases {
        let q = gpu.tensor(&[queries, heads * head], 2.0);
        let k = gpu.tensor(&[keys, heads * head], 2.0);
        let v = gpu.tensor(&[keys, heads * head], 1.0);
        let cpu = attention(&q.cpu, &k.cpu, &v.cpu, heads).unwrap();
        for (kernels, here) in gpu.variants() {
            let [q, k, v] = [&q, &k, &v].map(|x| Gpu::copied(&x.cuda, &here));
            let cuda = attention(&q, &k, &v, heads).unwrap();
            let case = format!("{queries}x{keys}, {heads} heads of {head}, {kernels}");
            gpu.check(&case, &cpu, &cuda, BOUND);
        }
    }
}

#[test]
fn float32_stays_float32() {
    let Some(mut gpu) = Gpu::for_test("attention, float32") else { return };
    // The last in several turns.
    let cases = [
        (1, 1, 1, 128),
        (5, 3, 2, 16),
        (70, 65, 2, 64),
        (1008, 1008, 2, 128),
        (64, 63, 3, 40),
        (4100, 3001, 2, 8),
    ];
    for (queries, keys, heads, head) in cases {
        let q = gpu.float(&[queries, heads * head], 2.0);
        let k = gpu.float(&[keys, heads * head], 2.0);
        let v = gpu.float(&[keys, heads * head], 1.0);
        let cpu = attention(&q.cpu, &k.cpu, &v.cpu, heads).unwrap();
        let cuda = attention(&q.cuda, &k.cuda, &v.cuda, heads).unwrap();
        gpu.check(&format!("{queries}x{keys}, {heads} heads of {head}"), &cpu, &cuda, UNROUNDED);
    }
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("attention") else { return };
    for (queries, keys) in [(32760, 512), (32760, 32760)] {
        let (q, k) = (gpu.filled(&[queries, 1536], 1.0), gpu.filled(&[keys, 1536], 1.0));
        let operations = 4.0 * queries as f64 * keys as f64 * 1536.0;
        let bytes = 4.0 * 1536.0 * (queries + keys) as f64;
        gpu.rate(&format!("{queries}x{keys}, 12 heads"), Work { operations, bytes }, || {
            attention(&q, &k, &k, 12)
        });
    }
}
