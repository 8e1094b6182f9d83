//! cuda against cpu over small, odd, ragged and real shapes.

use super::embedding;
use crate::cuda::testing::Gpu;

#[test]
fn cuda_gives_the_definitions_numbers() {
    let Some(mut gpu) = Gpu::for_test("embedding") else { return };
    for (vocabulary, width) in [(1, 1), (999, 64), (300, 4096)] {
        let table = gpu.tensor(&[vocabulary, width], 1.0);
        let ids: Vec<u32> = (0..37).map(|i| (i * 7919) % vocabulary as u32).collect();
        let cpu = embedding(&table.cpu, &ids).unwrap();
        for table in [table.cuda.clone(), gpu.widened(&table)] {
            let case = format!("{vocabulary}x{width} {:?}", table.dtype());
            gpu.check(&case, &cpu, &embedding(&table, &ids).unwrap(), 0.0);
        }
    }
}
