//! cuda against cpu over small, odd, ragged and real shapes.

use super::quantize_int8;
use crate::cuda::testing::Gpu;

#[test]
fn cuda_gives_the_definitions_bytes() {
    let Some(mut gpu) = Gpu::for_test("quantize_int8") else { return };
    for (rows, columns) in [(1, 1), (5, 130), (128, 128), (300, 1536)] {
        let x = gpu.tensor(&[rows, columns], 3.0);
        let ((cpu, cpu_scale), (cuda, cuda_scale)) =
            (quantize_int8(&x.cpu).unwrap(), quantize_int8(&x.cuda).unwrap());
        assert_eq!(cpu.to_i8().unwrap(), cuda.to_i8().unwrap(), "{rows}x{columns}");
        gpu.check(&format!("{rows}x{columns} scales, bytes equal"), &cpu_scale, &cuda_scale, 0.0);
    }
}
