//! cuda against cpu over small, odd, ragged and real shapes.

use super::{BlockSize, sla_mask};
use crate::Tensor;
use crate::cuda::testing::{Gpu, Work};

/// Both sides score in float32: only sums added in another order can change places at the edge of the choice.
const LOST: f64 = 1e-3;

#[test]
fn cuda_chooses_what_the_definition_chooses() {
    let Some(mut gpu) = Gpu::for_test("sla_mask") else { return };
    let cases = [
        (40, 1, 16, (16, 8), 0.5),
        (1000, 2, 128, (128, 64), 0.3),
        (3001, 3, 128, (64, 128), 0.25),
        (100, 2, 24, (7, 3), 0.1),
        (90, 3, 9, (16, 4), 0.4),
        (2600, 1, 128, (64, 8), 0.2),
    ];
    for (tokens, heads, head, (queries, keys), ratio) in cases {
        let [q, k] = [2.0, 2.0].map(|reach| gpu.tensor(&[tokens, heads * head], reach));
        let size = BlockSize { queries, keys };
        let expected = sla_mask(&q.cpu, &k.cpu, heads, size, ratio).unwrap().chosen;
        let found = sla_mask(&q.cuda, &k.cuda, heads, size, ratio).unwrap().chosen;
        assert_eq!(expected.shape(), found.shape());
        let count = expected.dim(2);
        let (expected, found) = (expected.to_u32().unwrap(), found.to_u32().unwrap());
        let rows = || expected.chunks_exact(count).zip(found.chunks_exact(count));
        assert!(rows().all(|(_, found)| found.is_sorted_by(|a, b| a < b)), "ascending, none twice");
        let shared: usize = rows().map(|(a, b)| b.iter().filter(|block| a.contains(block)).count()).sum();
        let (lost, all) = (expected.len() - shared, expected.len());
        eprintln!("| sla_mask | {tokens} tokens, {queries}x{keys} | {lost} of {all} chosen otherwise | | |");
        assert!(lost as f64 <= (LOST * all as f64).max(1.0), "{lost} of {all} chosen otherwise");
    }
}

#[test]
fn equal_scores_prefer_the_lower_index() {
    let Some(mut gpu) = Gpu::for_test("sla_mask") else { return };
    // Keys repeat every 64 tokens, so that every fourth block of 16 has the same score.
    let q = gpu.tensor(&[70, 128], 1.0);
    let numbers = gpu.numbers(64 * 128, 1.0);
    let k = Tensor::from_cpu(numbers.repeat(5), &[320, 128]).unwrap();
    let size = BlockSize { queries: 32, keys: 16 };
    let expected = sla_mask(&q.cpu, &k, 1, size, 0.5).unwrap().chosen;
    let k = Gpu::copied(&k, gpu.device());
    let found = sla_mask(&q.cuda, &k, 1, size, 0.5).unwrap().chosen;
    assert_eq!(expected.to_u32().unwrap(), found.to_u32().unwrap());
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("sla_mask") else { return };
    let q = gpu.filled(&[32760, 1536], 1.0);
    let size = BlockSize { queries: 128, keys: 64 };
    let work = Work { operations: 0.0, bytes: 4.0 * q.count() as f64 };
    gpu.rate("32760 tokens, 12 heads", work, || Ok(sla_mask(&q, &q, 12, size, 0.1)?.chosen));
}
