//! cuda against cpu over small, odd, ragged and real shapes.

use super::interleave_frames;
use crate::cuda::testing::Gpu;

#[test]
fn cuda_gives_the_definitions_numbers() {
    let Some(mut gpu) = Gpu::for_test("interleave_frames") else { return };
    for shape in [[1, 1, 1, 2], [3, 5, 4, 22], [2, 8, 8, 768]] {
        let x = gpu.tensor(&shape, 1.0);
        let (cpu, cuda) = (interleave_frames(&x.cpu).unwrap(), interleave_frames(&x.cuda).unwrap());
        gpu.check(&format!("{shape:?}"), &cpu, &cuda, 0.0);
    }
}
