//! cuda against cpu over small, odd, ragged and real shapes.

use super::modulation;
use crate::cuda::testing::Gpu;

#[test]
fn cuda_gives_the_definitions_numbers() {
    let Some(mut gpu) = Gpu::for_test("modulation") else { return };
    for (rows, width) in [(1, 1), (2, 1536), (6, 333)] {
        let table = gpu.float(&[rows, width], 1.0);
        for shape in [vec![width], vec![rows, width]] {
            let embedding = gpu.float(&shape, 1.0);
            let cpu = modulation(&table.cpu, &embedding.cpu).unwrap();
            let cuda = modulation(&table.cuda, &embedding.cuda).unwrap();
            gpu.check(&format!("{rows}x{width} + {shape:?}"), &cpu, &cuda, 0.0);
        }
    }
}
