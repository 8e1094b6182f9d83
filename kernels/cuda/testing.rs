//! What the operators' tests on a GPU share: the same fresh random numbers on both devices, buffers that start as NaN,
//! one measure of error, one line a case, and device time. Without a GPU a test says so and passes.

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{Device, Stopwatch};
use crate::{DType, Tensor};

/// A GPU to test on, and the source of the test's numbers.
pub(crate) struct Gpu {
    operator: &'static str,
    /// Fresh buffers hold NaN.
    poisoned: crate::Device,
    /// For timing: nothing is written that was not asked for.
    plain: Device,
    random: StdRng,
}

/// The same numbers on both devices.
pub(crate) struct Pair {
    pub(crate) cpu: Tensor,
    pub(crate) cuda: Tensor,
}

/// What one call of an operator must do at least.
pub(crate) struct Work {
    pub(crate) operations: f64,
    pub(crate) bytes: f64,
}

impl Gpu {
    /// The first GPU, or nothing and a line that says so.
    pub(crate) fn for_test(operator: &'static str) -> Option<Self> {
        let opened = Device::open_poisoned(0).and_then(|poisoned| Ok((poisoned, Device::open(0)?)));
        match opened {
            Ok((poisoned, plain)) => {
                let seed = rand::random();
                eprintln!("| {operator} | seed {seed} | | | |");
                let poisoned = crate::Device::Cuda(poisoned);
                Some(Self { operator, poisoned, plain, random: StdRng::seed_from_u64(seed) })
            }
            Err(error) => {
                eprintln!("| {operator} | skipped: {error} | | | |");
                None
            }
        }
    }

    pub(crate) fn device(&self) -> &crate::Device {
        &self.poisoned
    }

    /// The same device by each set of its kernels: those of its generation, then those of every generation.
    pub(crate) fn variants(&self) -> Vec<(&'static str, crate::Device)> {
        let crate::Device::Cuda(device) = &self.poisoned else { unreachable!("opened as a GPU") };
        let common = ("common", crate::Device::Cuda(device.common()));
        let own = ("hopper", self.poisoned.clone());
        if device.hopper() { vec![own, common] } else { vec![common] }
    }

    /// The device on which [`Gpu::rate`] expects its operands.
    pub(crate) fn timed(&self) -> crate::Device {
        crate::Device::Cuda(self.plain.clone())
    }

    /// `tensor`, of bfloat16, for one of [`Gpu::variants`].
    pub(crate) fn copied(tensor: &Tensor, device: &crate::Device) -> Tensor {
        Tensor::from_f32(tensor.to_f32().unwrap(), tensor.shape(), DType::BF16, device).unwrap()
    }

    /// Numbers from −`reach` to `reach` that bfloat16 holds exactly, in that format on the GPU.
    pub(crate) fn tensor(&mut self, shape: &[usize], reach: f32) -> Pair {
        self.pair(shape, reach, DType::BF16)
    }

    /// The same, in float32 on the GPU.
    pub(crate) fn float(&mut self, shape: &[usize], reach: f32) -> Pair {
        self.pair(shape, reach, DType::F32)
    }

    /// The numbers of a pair in float32 on the GPU.
    pub(crate) fn widened(&self, pair: &Pair) -> Tensor {
        let numbers = pair.cpu.to_f32().unwrap();
        Tensor::from_f32(numbers, pair.cpu.shape(), DType::F32, &self.poisoned).unwrap()
    }

    pub(crate) fn numbers(&mut self, count: usize, reach: f32) -> Vec<f32> {
        (0..count).map(|_| half::bf16::from_f32(self.random.random_range(-reach..reach)).to_f32()).collect()
    }

    /// A large tensor for timing, of a repeated random stretch.
    pub(crate) fn filled(&mut self, shape: &[usize], reach: f32) -> Tensor {
        const STRETCH: usize = 1 << 20;
        let stretch: Vec<u16> =
            self.numbers(STRETCH, reach).into_iter().map(|v| half::bf16::from_f32(v).to_bits()).collect();
        let bits: Vec<u16> = stretch.into_iter().cycle().take(shape.iter().product()).collect();
        Tensor::from_bf16_bits(&bits, shape, DType::BF16, &self.timed()).unwrap()
    }

    /// Prints ‖cuda − cpu‖ / ‖cpu‖ and fails above `bound`, or where a number is missing.
    pub(crate) fn check(&self, case: &str, cpu: &Tensor, cuda: &Tensor, bound: f64) {
        assert_eq!(cpu.shape(), cuda.shape(), "{} {case}", self.operator);
        self.check_numbers(case, &cpu.to_f32().unwrap(), &cuda.to_f32().unwrap(), bound);
    }

    /// As [`Gpu::check`], for plain numbers.
    pub(crate) fn check_numbers(&self, case: &str, expected: &[f32], found: &[f32], bound: f64) {
        let (mut off, mut size, mut worst) = (0f64, 0f64, (0f64, 0));
        for (at, (&expected, &found)) in expected.iter().zip(found).enumerate() {
            let difference = f64::from(found) - f64::from(expected);
            off += difference * difference;
            size += f64::from(expected) * f64::from(expected);
            if difference.is_nan() || difference.abs() > worst.0 {
                worst = (difference.abs(), at);
            }
        }
        let error = if size == 0.0 { off.sqrt() } else { (off / size).sqrt() };
        let passed = error <= bound;
        let verdict = if passed { "ok" } else { "FAILED" };
        let place = format!("worst {:.1e} at {} of {}", worst.0, worst.1, expected.len());
        eprintln!("| {} | {case} | {error:.2e} of {bound:.0e} | {place} | {verdict} |", self.operator);
        assert!(passed, "{} {case}: {error:.3e} over {bound:.0e}, {place}", self.operator);
    }

    /// Prints milliseconds and rates of `run`: the mean of enough calls to fill a fifth of a second.
    pub(crate) fn rate(&self, case: &str, work: Work, mut run: impl FnMut() -> crate::Result<Tensor>) {
        const WANTED_MS: f32 = 200.0;
        run().unwrap();
        self.plain.synchronize().unwrap();
        let once = Stopwatch::start(&self.plain).unwrap();
        run().unwrap();
        let once = once.milliseconds().unwrap();
        let count = (WANTED_MS / once.max(1e-3)).clamp(3.0, 200.0) as usize;
        let all = Stopwatch::start(&self.plain).unwrap();
        for _ in 0..count {
            run().unwrap();
        }
        let ms = f64::from(all.milliseconds().unwrap()) / count as f64;
        let (tflops, gbs) = (work.operations / ms / 1e9, work.bytes / ms / 1e6);
        eprintln!("| {} | {case} | {ms:.3} ms | {tflops:.0} TFLOP/s | {gbs:.0} GB/s |", self.operator);
    }

    fn pair(&mut self, shape: &[usize], reach: f32, dtype: DType) -> Pair {
        let values = self.numbers(shape.iter().product(), reach);
        Pair {
            cpu: Tensor::from_cpu(values.clone(), shape).unwrap(),
            cuda: Tensor::from_f32(values, shape, dtype, &self.poisoned).unwrap(),
        }
    }
}
