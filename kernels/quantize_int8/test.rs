//! cuda against cpu over small, odd, ragged and real shapes.

use super::quantize_int8;
use crate::cuda::testing::{Gpu, Work};

#[test]
fn cuda_gives_the_definitions_bytes() {
    let Some(mut gpu) = Gpu::for_test("quantize_int8") else { return };
    for (rows, columns) in [(1, 1), (5, 130), (128, 128), (131, 200), (300, 1536)] {
        let x = gpu.tensor(&[rows, columns], 3.0);
        let ((cpu, cpu_scale), (cuda, cuda_scale)) =
            (quantize_int8(&x.cpu).unwrap(), quantize_int8(&x.cuda).unwrap());
        assert_eq!(cpu.to_i8().unwrap(), cuda.to_i8().unwrap(), "{rows}x{columns}");
        gpu.check(&format!("{rows}x{columns} scales, bytes equal"), &cpu_scale, &cuda_scale, 0.0);
    }
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("quantize_int8") else { return };
    let x = gpu.filled(&[32760, 1536], 3.0);
    let work = Work { operations: 0.0, bytes: 3.0 * x.count() as f64 };
    gpu.rate("32760x1536", work, || Ok(quantize_int8(&x)?.0));
}
