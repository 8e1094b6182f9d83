//! cuda against cpu over small, odd, ragged and real shapes.

use super::{Epilogue, Linear, linear, linear_gelu};
use crate::cuda::testing::{Gpu, Pair, Work};
use crate::quantize_fp8::quantize_fp8;
use crate::quantize_int8::quantize_int8;
use crate::{DType, Device, Format, Matrix, Tensor};

/// One rounding of the sum, one of what follows.
const BOUND: f64 = 4e-3;
/// Sums that round to neighbours in bfloat16, which lie 2⁻⁸ apart, may be an eighth apart in e4m3: one in 32 of them. In a row
/// of few numbers, whose largest is 448 in both, one other of 272 that is off by 32 is 0.061 of the row, and two are 0.077.
const STEPS: f64 = 6e-2;
const STEPS_OF_FEW: f64 = 8e-2;
const FEW: usize = 100;

fn both(gpu: &Gpu, case: &str, x: &Pair, layers: &[Linear; 2], gate: &Pair, residual: &Pair) {
    let run = |x: &Tensor, layer: &Linear, gate: &Tensor, residual: &Tensor| {
        [
            Epilogue::None,
            Epilogue::GeluTanh,
            Epilogue::Residual(residual),
            Epilogue::GatedResidual { gate, residual },
        ]
        .map(|epilogue| linear(x, layer, epilogue).unwrap())
    };
    let cpu = run(&x.cpu, &layers[0], &gate.cpu, &residual.cpu);
    let cuda = run(&x.cuda, &layers[1], &gate.cuda, &residual.cuda);
    for (name, (cpu, cuda)) in ["plain", "gelu", "residual", "gated"].iter().zip(cpu.iter().zip(&cuda)) {
        gpu.check(&format!("{case} {name}"), cpu, cuda, BOUND);
    }
}

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("linear") else { return };
    for (rows, inputs, outputs) in
        [(1, 8, 8), (3, 64, 96), (130, 256, 200), (77, 1536, 8960), (1000, 1536, 1536), (13, 24, 40)]
    {
        let x = gpu.tensor(&[rows, inputs], 1.0);
        let weight = gpu.tensor(&[outputs, inputs], 0.2);
        let (bias, gate) = (gpu.tensor(&[outputs], 1.0), gpu.float(&[outputs], 1.0));
        let residual = gpu.tensor(&[rows, outputs], 2.0);
        let layer = |weight: &Tensor, bias: &Tensor| {
            Linear::new(Matrix::Plain(weight.clone()), Some(bias.clone())).unwrap()
        };
        let layers = [layer(&weight.cpu, &bias.cpu), layer(&weight.cuda, &bias.cuda)];
        both(&gpu, &format!("{rows}x{inputs}x{outputs}"), &x, &layers, &gate, &residual);
    }
}

/// Onto a stream in float32 a product of bfloat16 is added unrounded, one of 8 bits as it is stored.
#[test]
fn a_stream_in_float32_stays_float32() {
    let Some(mut gpu) = Gpu::for_test("linear, float32 stream") else { return };
    const UNROUNDED: f64 = 1e-5;
    for ([rows, inputs, outputs], format, bound) in [
        ([1, 8, 8], Format::Plain, UNROUNDED),
        ([130, 256, 200], Format::Plain, UNROUNDED),
        ([77, 768, 256], Format::Plain, UNROUNDED),
        ([77, 768, 256], Format::Int8, BOUND),
        ([77, 768, 256], Format::Fp8, BOUND),
    ] {
        let x = gpu.tensor(&[rows, inputs], 1.0);
        let weight = gpu.tensor(&[outputs, inputs], 0.2);
        let (bias, gate) = (gpu.tensor(&[outputs], 1.0), gpu.float(&[outputs], 1.0));
        let residual = gpu.float(&[rows, outputs], 2.0);
        let run = |x: &Tensor, weight: &Tensor, bias: &Tensor, gate: &Tensor, residual: &Tensor| {
            let weight = Matrix::of(weight.clone(), format).unwrap();
            let layer = Linear::new(weight, Some(bias.clone())).unwrap();
            let epilogue = |epilogue| linear(x, &layer, epilogue).unwrap();
            [epilogue(Epilogue::Residual(residual)), epilogue(Epilogue::GatedResidual { gate, residual })]
        };
        let cpu = run(&x.cpu, &weight.cpu, &bias.cpu, &gate.cpu, &residual.cpu);
        let cuda = run(&x.cuda, &weight.cuda, &bias.cuda, &gate.cuda, &residual.cuda);
        for (name, (cpu, cuda)) in ["residual", "gated"].iter().zip(cpu.iter().zip(&cuda)) {
            assert_eq!(cuda.dtype(), DType::F32);
            gpu.check(&format!("{rows}x{inputs}x{outputs} {format:?} {name}"), cpu, cuda, bound);
        }
    }
}

/// For the plain layers of narrow networks.
#[test]
fn a_side_in_float32_is_not_rounded() {
    let Some(mut gpu) = Gpu::for_test("linear, a side in float32") else { return };
    const UNROUNDED: f64 = 1e-5;
    for [rows, inputs, outputs] in [[1, 8, 8], [3, 144, 13], [130, 256, 200], [1008, 768, 256]] {
        let [x, weight, bias] = [(rows * inputs, 1.0), (outputs * inputs, 0.2), (outputs, 1.0)]
            .map(|(count, reach)| gpu.numbers(count, reach).iter().map(|v| v + 1e-4).collect::<Vec<f32>>());
        let run = |device: &Device, x_dtype, weight_dtype, epilogue| {
            let tensor = |data: &Vec<f32>, shape: &[usize], dtype| {
                Tensor::from_f32(data.clone(), shape, dtype, device).unwrap()
            };
            let weight = Matrix::Plain(tensor(&weight, &[outputs, inputs], weight_dtype));
            let layer = Linear::new(weight, Some(tensor(&bias, &[outputs], DType::F32))).unwrap();
            linear(&tensor(&x, &[rows, inputs], x_dtype), &layer, epilogue).unwrap()
        };
        for (name, epilogue) in [("plain", Epilogue::None), ("gelu", Epilogue::GeluTanh)] {
            let cpu = run(&Device::Cpu, DType::F32, DType::F32, epilogue);
            let cuda = run(gpu.device(), DType::F32, DType::F32, epilogue);
            assert_eq!(cuda.dtype(), DType::F32);
            gpu.check(&format!("{rows}x{inputs}x{outputs} {name}"), &cpu, &cuda, UNROUNDED);
            for (x_dtype, weight_dtype) in [(DType::BF16, DType::F32), (DType::F32, DType::BF16)] {
                let cuda = run(gpu.device(), x_dtype, weight_dtype, epilogue);
                assert_eq!(cuda.dtype(), DType::F32);
                gpu.check(&format!("{rows}x{inputs}x{outputs} {name} {x_dtype:?}"), &cpu, &cuda, BOUND);
            }
        }
    }
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("linear") else { return };
    for (rows, inputs, outputs) in [(32760, 1536, 1536), (32760, 1536, 8960), (32760, 8960, 1536)] {
        let (x, weight) = (gpu.filled(&[rows, inputs], 1.0), gpu.filled(&[outputs, inputs], 0.05));
        let layer = Linear::new(Matrix::Plain(weight), Some(gpu.filled(&[outputs], 1.0))).unwrap();
        let work = || Work {
            operations: 2.0 * (rows * inputs * outputs) as f64,
            bytes: 2.0 * (rows * (inputs + outputs)) as f64,
        };
        gpu.rate(&format!("{rows}x{inputs}x{outputs}"), work(), || linear(&x, &layer, Epilogue::None));
        gpu.rate(&format!("{rows}x{inputs}x{outputs} gelu"), work(), || {
            linear(&x, &layer, Epilogue::GeluTanh)
        });
        let residual = gpu.filled(&[rows, outputs], 1.0);
        let epilogue = Epilogue::Residual(&residual);
        gpu.rate(&format!("{rows}x{inputs}x{outputs} residual"), work(), || linear(&x, &layer, epilogue));
    }
}

#[test]
fn int8_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("linear int8") else { return };
    for shape in [[1, 128, 8], [130, 256, 200], [300, 1536, 384], [77, 8960, 1536]] {
        quantised(&mut gpu, shape, Format::Int8);
    }
}

/// A layer in `format` and the numbers around it, by each set of kernels the device has.
fn quantised(gpu: &mut Gpu, [rows, inputs, outputs]: [usize; 3], format: Format) {
    let x = gpu.tensor(&[rows, inputs], 1.0);
    let weight = gpu.tensor(&[outputs, inputs], 0.2);
    let (bias, gate) = (gpu.tensor(&[outputs], 1.0), gpu.float(&[outputs], 1.0));
    let residual = gpu.tensor(&[rows, outputs], 2.0);
    let layer =
        |weight: Tensor, bias: Tensor| Linear::new(Matrix::of(weight, format).unwrap(), Some(bias)).unwrap();
    for (kernels, device) in gpu.variants() {
        let on = |pair: &Pair| Pair { cpu: pair.cpu.clone(), cuda: Gpu::copied(&pair.cpu, &device) };
        let (x, weight, bias, residual) = (on(&x), on(&weight), on(&bias), on(&residual));
        let layers = [layer(weight.cpu, bias.cpu), layer(weight.cuda, bias.cuda)];
        let case = format!("{rows}x{inputs}x{outputs}, {kernels}");
        both(gpu, &case, &x, &layers, &gate, &residual);
        let [cpu, cuda] = [(&x.cpu, &layers[0]), (&x.cuda, &layers[1])]
            .map(|(x, layer)| numbers(&linear_gelu(x, layer, format).unwrap()));
        let bound = if cpu.len() < FEW { STEPS_OF_FEW } else { STEPS };
        gpu.check_numbers(&format!("{case} gelu in {format:?}"), &cpu, &cuda, bound);
    }
}

/// What a matrix stands for.
fn numbers(matrix: &Matrix) -> Vec<f32> {
    let columns = matrix.values().dim(1);
    let (values, scale) = match matrix {
        Matrix::Plain(values) => return values.to_f32().unwrap(),
        Matrix::Int8 { values, scale } => {
            (values.to_i8().unwrap().into_iter().map(f32::from).collect(), scale)
        }
        Matrix::Fp8 { values, scale } => (values.to_f32().unwrap(), scale),
    };
    let (values, scale): (Vec<f32>, _) = (values, scale.to_f32().unwrap());
    let of = |at: usize| match matrix.format() {
        Format::Int8 => at / columns / 128 * columns.div_ceil(128) + at % columns / 128,
        Format::Fp8 | Format::Plain => at / columns,
    };
    values.iter().enumerate().map(|(at, value)| value * scale[of(at)]).collect()
}

#[test]
fn int8_rates() {
    let Some(mut gpu) = Gpu::for_test("linear int8") else { return };
    let (rows, inputs, outputs) = (32760, 1536, 8960);
    let (values, scale) = quantize_int8(&gpu.filled(&[outputs, inputs], 0.05)).unwrap();
    let layer = Linear::new(Matrix::Int8 { values, scale }, Some(gpu.filled(&[outputs], 1.0))).unwrap();
    let x = gpu.filled(&[rows, inputs], 1.0);
    let work =
        Work { operations: 2.0 * (rows * inputs * outputs) as f64, bytes: 2.0 * (rows * outputs) as f64 };
    gpu.rate("32760x1536x8960", work, || linear(&x, &layer, Epilogue::None));
}

/// The common kernels multiply in bfloat16. For 77 rows of 8960 cuBLASLt finds an algorithm at the second attempt only.
#[test]
fn fp8_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("linear fp8") else { return };
    for shape in [
        [1, 128, 16],
        [130, 256, 208],
        [300, 1536, 384],
        [77, 8960, 1536],
        [1000, 1536, 1536],
        [13, 1536, 8960],
    ] {
        quantised(&mut gpu, shape, Format::Fp8);
    }
}

#[test]
fn fp8_rates() {
    let Some(mut gpu) = Gpu::for_test("linear fp8") else { return };
    for (rows, inputs, outputs) in [
        (32760, 1536, 1536),
        (32760, 1536, 8960),
        (32760, 8960, 1536),
        (75600, 5120, 5120),
        (75600, 5120, 13824),
    ] {
        let (values, scale) = quantize_fp8(&gpu.filled(&[outputs, inputs], 0.05)).unwrap();
        let layer = Linear::new(Matrix::Fp8 { values, scale }, Some(gpu.filled(&[outputs], 1.0))).unwrap();
        let x = gpu.filled(&[rows, inputs], 1.0);
        let work =
            Work { operations: 2.0 * (rows * inputs * outputs) as f64, bytes: 2.0 * (rows * outputs) as f64 };
        gpu.rate(&format!("{rows}x{inputs}x{outputs}"), work, || linear(&x, &layer, Epilogue::None));
    }
}
