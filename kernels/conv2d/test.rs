//! cuda against cpu over small, odd, ragged and real shapes.

use super::{Conv2d, Resample, conv2d};
use crate::cuda::testing::{Gpu, Work};
use crate::{Device, Tensor};

/// The sum is rounded once.
const BOUND: f64 = 3e-3;

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("conv2d") else { return };
    for (size, inputs, outputs) in [
        ([1, 2, 2], 8, 8),
        ([2, 6, 4], 20, 12),
        ([3, 8, 10], 96, 96),
        ([1, 12, 14], 192, 96),
        ([1, 6, 6], 384, 192),
    ] {
        let [frames, height, width] = size;
        let x = gpu.tensor(&[frames, height, width, inputs], 1.0);
        let (weight, bias) = (gpu.numbers(outputs * inputs * 9, 0.3), gpu.numbers(outputs, 1.0));
        let here = gpu.device().clone();
        for resample in [Resample::Up, Resample::Down] {
            let run = |device: &Device, x: &Tensor| {
                let filter = Conv2d::new(&weight, [outputs, inputs, 3, 3], &bias, resample, device).unwrap();
                conv2d(x, &filter).unwrap()
            };
            let (cpu, cuda) = (run(&Device::Cpu, &x.cpu), run(&here, &x.cuda));
            gpu.check(&format!("{size:?} {inputs} to {outputs} {resample:?}"), &cpu, &cuda, BOUND);
        }
    }
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("conv2d") else { return };
    let x = gpu.filled(&[4, 240, 416, 192], 1.0);
    let weight = gpu.numbers(96 * 192 * 9, 0.05);
    let filter = Conv2d::new(&weight, [96, 192, 3, 3], &[0.1; 96], Resample::Up, &gpu.timed()).unwrap();
    let work = Work { operations: 2.0 * 9.0 * 4.0 * 96.0 * x.count() as f64, bytes: 6.0 * x.count() as f64 };
    gpu.rate("[4, 240, 416] 192 to 96 Up", work, || conv2d(&x, &filter));
}
