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
        ([2, 34, 22], 96, 96),
    ] {
        let [frames, height, width] = size;
        let x = gpu.tensor(&[frames, height, width, inputs], 1.0);
        let (weight, bias) = (gpu.numbers(outputs * inputs * 9, 0.3), gpu.numbers(outputs, 1.0));
        let variants = gpu.variants();
        for resample in [Resample::Up, Resample::Down] {
            let run = |device: &Device, x: &Tensor| {
                let filter = Conv2d::new(&weight, [outputs, inputs, 3, 3], &bias, resample, device).unwrap();
                conv2d(x, &filter).unwrap()
            };
            let cpu = run(&Device::Cpu, &x.cpu);
            for (kernels, here) in &variants {
                let case = format!("{size:?} {inputs} to {outputs} {resample:?}, {kernels}");
                gpu.check(&case, &cpu, &run(here, &x.cuda), BOUND);
            }
        }
    }
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("conv2d") else { return };
    for (size, channels, outputs, resample) in [
        ([4, 240, 416], 192, 96, Resample::Up),
        ([4, 120, 208], 384, 192, Resample::Up),
        ([4, 480, 832], 96, 96, Resample::Down),
    ] {
        let [frames, height, width] = size;
        let x = gpu.filled(&[frames, height, width, channels], 1.0);
        let weight = gpu.numbers(outputs * channels * 9, 0.05);
        let bias = vec![0.1; outputs];
        let filter = Conv2d::new(&weight, [outputs, channels, 3, 3], &bias, resample, &gpu.timed()).unwrap();
        // Up, four filters of 2×2; down, one of 3×3 at a quarter of the positions.
        let (taps, positions) = match resample {
            Resample::Up => (16.0, 4.0),
            Resample::Down => (9.0 / 4.0, 0.25),
        };
        let pixels = (frames * height * width) as f64;
        let work = Work {
            operations: 2.0 * taps * pixels * (channels * outputs) as f64,
            bytes: 2.0 * pixels * (channels as f64 + positions * outputs as f64),
        };
        gpu.rate(&format!("{size:?} {channels} to {outputs} {resample:?}"), work, || conv2d(&x, &filter));
    }
}
