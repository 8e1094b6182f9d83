//! cuda against cpu over small, odd, ragged and real shapes.

use super::head;
use crate::cuda::testing::{Gpu, Work};
use crate::linear::Linear;
use crate::{DType, Matrix, Tensor};

/// The norm is rounded to bfloat16, as it is published.
const BOUND: f64 = 3e-3;
/// That of a stream in float32 is not.
const UNROUNDED: f64 = 1e-5;

fn layer(weight: &Tensor, bias: &Tensor) -> Linear {
    Linear::new(Matrix::Plain(weight.clone()), Some(bias.clone())).expect("the parts fit")
}

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("head") else { return };
    for (rows, width) in [(1, 16), (77, 256), (8200, 1536)] {
        let (x, modulation) = (gpu.tensor(&[rows, width], 2.0), gpu.float(&[2, width], 1.0));
        let (weight, bias) = (gpu.tensor(&[64, width], 0.2), gpu.tensor(&[64], 1.0));
        let cpu = head(&x.cpu, &modulation.cpu, &layer(&weight.cpu, &bias.cpu), 1e-6).unwrap();
        let layer = layer(&weight.cuda, &bias.cuda);
        let cuda = head(&x.cuda, &modulation.cuda, &layer, 1e-6).unwrap();
        gpu.check(&format!("{rows}x{width}"), &cpu, &cuda, BOUND);
        let wide =
            Tensor::from_f32(x.cpu.to_f32().unwrap(), &[rows, width], DType::F32, gpu.device()).unwrap();
        let cuda = head(&wide, &modulation.cuda, &layer, 1e-6).unwrap();
        gpu.check(&format!("{rows}x{width} of float32"), &cpu, &cuda, UNROUNDED);
    }
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("head") else { return };
    let (x, modulation) = (gpu.filled(&[32760, 1536], 1.0), gpu.filled(&[2, 1536], 1.0));
    let projection = layer(&gpu.filled(&[64, 1536], 0.1), &gpu.filled(&[64], 1.0));
    let work = Work { operations: 2.0 * 64.0 * x.count() as f64, bytes: 2.0 * x.count() as f64 };
    gpu.rate("32760x1536", work, || head(&x, &modulation, &projection, 1e-6));
}
