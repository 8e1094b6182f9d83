//! cuda against cpu over small, odd, ragged and real shapes.

use super::quantize_fp8;
use crate::cuda::testing::{Gpu, Work};

#[test]
fn cuda_gives_the_definitions_values() {
    let Some(mut gpu) = Gpu::for_test("quantize_fp8") else { return };
    for (rows, columns) in [(1, 1), (5, 130), (128, 128), (33, 1000), (300, 1536), (9, 5120), (3, 13824)] {
        let x = gpu.tensor(&[rows, columns], 3.0);
        let ((cpu, cpu_scale), (cuda, cuda_scale)) =
            (quantize_fp8(&x.cpu).unwrap(), quantize_fp8(&x.cuda).unwrap());
        gpu.check(&format!("{rows}x{columns} values"), &cpu, &cuda, 0.0);
        gpu.check(&format!("{rows}x{columns} scales"), &cpu_scale, &cuda_scale, 1e-7);
    }
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("quantize_fp8") else { return };
    for (rows, columns) in [(32760, 1536), (32760, 8960)] {
        let x = gpu.filled(&[rows, columns], 3.0);
        let work = Work { operations: 0.0, bytes: 3.0 * (rows * columns) as f64 };
        gpu.rate(&format!("{rows}x{columns}"), work, || Ok(quantize_fp8(&x)?.0));
    }
}
