//! cuda against cpu over small, odd, ragged and real shapes.

use super::{Around, Conv3d, causal_conv3d};
use crate::cuda::testing::{Gpu, Work};
use crate::{Device, Tensor};

/// The input is rounded after norm and SiLU, the sum once.
const BOUND: f64 = 5e-3;

struct Case {
    x: [usize; 4],
    outputs: usize,
    kernel: [usize; 3],
    history: usize,
    norm: bool,
    residual: bool,
    then: bool,
    time_stride: usize,
}

impl Case {
    fn new(x: [usize; 4], outputs: usize, kernel: [usize; 3]) -> Self {
        Self { x, outputs, kernel, history: 0, norm: false, residual: false, then: false, time_stride: 1 }
    }

    fn run(&self, gpu: &mut Gpu) {
        let [frames, height, width, inputs] = self.x;
        let [kt, kh, kw] = self.kernel;
        let shape = [self.outputs, inputs, kt, kh, kw];
        let weight = gpu.numbers(shape.iter().product(), 0.3);
        let bias = gpu.numbers(self.outputs, 1.0);
        let x = gpu.tensor(&self.x, 1.0);
        let history = gpu.tensor(&[self.history, height, width, inputs], 1.0);
        let gamma = gpu.float(&[inputs], 1.0);
        let residual = gpu.tensor(&[frames / self.time_stride, height, width, self.outputs], 1.0);
        let then = gpu.float(&[self.outputs], 1.0);
        let run = |device: &Device,
                   x: &Tensor,
                   history: &Tensor,
                   [gamma, then]: [&Tensor; 2],
                   residual: &Tensor| {
            let filter = Conv3d::new(&weight, shape, &bias, device).unwrap();
            let around = Around {
                history: (self.history > 0).then_some(history),
                norm: self.norm.then_some(gamma),
                residual: self.residual.then_some(residual),
                then: self.then.then_some(then),
                time_stride: self.time_stride,
            };
            causal_conv3d(x, &filter, &around).unwrap()
        };
        let cpu = run(&Device::Cpu, &x.cpu, &history.cpu, [&gamma.cpu, &then.cpu], &residual.cpu);
        let Self { outputs, kernel, norm, time_stride, .. } = self;
        let case = format!(
            "{:?} to {outputs}, {kernel:?}, history {}, norm {norm}, residual {}, then {}, stride {time_stride}",
            self.x, self.history, self.residual, self.then
        );
        for (kernels, here) in gpu.variants() {
            let cuda = run(&here, &x.cuda, &history.cuda, [&gamma.cuda, &then.cuda], &residual.cuda);
            gpu.check(&format!("{case}, {kernels}"), &cpu, &cuda, BOUND);
        }
    }
}

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("causal_conv3d") else { return };
    Case::new([1, 1, 1, 8], 8, [1, 1, 1]).run(&mut gpu);
    Case::new([3, 5, 7, 3], 8, [3, 3, 3]).run(&mut gpu);
    Case::new([2, 6, 5, 16], 96, [3, 3, 3]).run(&mut gpu);
    for (history, norm) in [(0, true), (1, true), (2, true), (1, false), (2, false)] {
        Case { history, norm, residual: true, ..Case::new([3, 9, 11, 24], 24, [3, 3, 3]) }.run(&mut gpu);
    }
    Case { norm: true, residual: true, history: 2, ..Case::new([2, 13, 17, 96], 96, [3, 3, 3]) }
        .run(&mut gpu);
    for outputs in [96, 192, 384] {
        Case { then: true, residual: true, history: 1, ..Case::new([2, 17, 19, 40], outputs, [3, 3, 3]) }
            .run(&mut gpu);
    }
    Case { norm: true, ..Case::new([2, 12, 10, 96], 3, [3, 3, 3]) }.run(&mut gpu);
    Case { norm: true, ..Case::new([1, 12, 10, 96], 32, [3, 3, 3]) }.run(&mut gpu);
    Case { norm: true, history: 2, ..Case::new([2, 8, 9, 192], 384, [3, 3, 3]) }.run(&mut gpu);
    Case { history: 2, ..Case::new([2, 6, 7, 384], 768, [3, 1, 1]) }.run(&mut gpu);
    Case { history: 1, time_stride: 2, ..Case::new([4, 6, 7, 40], 40, [3, 1, 1]) }.run(&mut gpu);
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("causal_conv3d") else { return };
    for (channels, outputs, size) in
        [(96, 96, [4, 480, 832]), (192, 192, [4, 240, 416]), (384, 384, [4, 120, 208])]
    {
        let [frames, height, width] = size;
        let x = gpu.filled(&[frames, height, width, channels], 1.0);
        let gamma = gpu.filled(&[channels], 1.0);
        let weight = gpu.numbers(outputs * channels * 27, 0.05);
        let shape = [outputs, channels, 3, 3, 3];
        let filter = Conv3d::new(&weight, shape, &vec![0.1; outputs], &gpu.timed()).unwrap();
        let work = || Work {
            operations: 2.0 * 27.0 * (x.count() * outputs) as f64,
            bytes: 2.0 * (x.count() / channels * (channels + outputs)) as f64,
        };
        gpu.rate(&format!("{size:?} {channels} to {outputs}"), work(), || {
            causal_conv3d(&x, &filter, &Around::NOTHING)
        });
        let around = Around { norm: Some(&gamma), residual: Some(&x), ..Around::NOTHING };
        gpu.rate(&format!("{size:?} {channels} to {outputs}, norm and residual"), work(), || {
            causal_conv3d(&x, &filter, &around)
        });
    }
}
