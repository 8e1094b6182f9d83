//! The definition; the plain product is one call, the int8 product sums 32-bit integers a block at a time.

use half::bf16;
use rayon::prelude::*;

use super::{Epilogue, Linear, NAME};
use crate::cpu::{Gemm, Threads, for_each_row, gelu_tanh};
use crate::quantize_int8::BLOCK;
use crate::{Error, Matrix, Result, Tensor};

/// `x` is in the layer's format.
pub(super) fn linear(x: &Matrix, layer: &Linear, epilogue: Epilogue) -> Result<Tensor> {
    let (rows, outputs) = (x.values().dim(0), layer.outputs());
    let bias = layer.bias.as_ref().map(|bias| bias.to_f32()).transpose()?;
    let bias = bias.as_deref();
    let mut out = match (x, &layer.weight) {
        (Matrix::Plain(x), Matrix::Plain(weight)) => plain(x, weight, bias)?,
        (Matrix::Int8 { values: x, scale: x_scale }, Matrix::Int8 { values, scale }) => {
            int8([x, x_scale], [values, scale], bias)?
        }
        (Matrix::Fp8 { values: x, scale: x_scale }, Matrix::Fp8 { values, scale }) => {
            fp8([x, x_scale], [values, scale], bias)?
        }
        (x, _) => return Err(Error::argument(NAME, format!("rows in {:?}", x.format()))),
    };
    match epilogue {
        Epilogue::None => {}
        Epilogue::GeluTanh => {
            for_each_row(&mut out, outputs, |_, row| {
                row.iter_mut().for_each(|value| *value = gelu_tanh(*value))
            });
        }
        Epilogue::Residual(residual) => {
            let residual = residual.cpu(NAME)?;
            for_each_row(&mut out, outputs, |index, row| {
                let residual = &residual[index * outputs..(index + 1) * outputs];
                row.iter_mut().zip(residual).for_each(|(value, residual)| *value += residual);
            });
        }
        Epilogue::GatedResidual { gate, residual } => {
            let (gate, residual) = (gate.cpu(NAME)?, residual.cpu(NAME)?);
            for_each_row(&mut out, outputs, |index, row| {
                let residual = &residual[index * outputs..(index + 1) * outputs];
                for ((value, gate), residual) in row.iter_mut().zip(gate.iter()).zip(residual) {
                    *value = residual + *value * gate;
                }
            });
        }
    }
    Tensor::from_cpu(out, &[rows, outputs])
}

fn plain(x: &Tensor, weight: &Tensor, bias: Option<&[f32]>) -> Result<Vec<f32>> {
    let [rows, inputs] = x.axes(NAME, "x")?;
    let outputs = weight.dim(0);
    let (x, weight) = (x.cpu(NAME)?, weight.cpu(NAME)?);
    let mut out = match bias {
        Some(bias) => bias.repeat(rows),
        None => vec![0.0; rows * outputs],
    };
    Gemm {
        size: (rows, outputs, inputs),
        lhs: &x,
        lhs_strides: (inputs, 1),
        rhs: &weight,
        rhs_strides: (1, inputs),
        out_row: outputs,
        factor: 1.0,
        accumulate: bias.is_some(),
        threads: Threads::All,
    }
    .run(&mut out);
    Ok(out)
}

fn int8([x, x_scale]: [&Tensor; 2], [weight, scale]: [&Tensor; 2], bias: Option<&[f32]>) -> Result<Vec<f32>> {
    let [rows, inputs] = x.axes(NAME, "x")?;
    let outputs = weight.dim(0);
    let (x, weight) = (x.cpu_i8(NAME)?, weight.cpu_i8(NAME)?);
    let (x_scale, scale) = (x_scale.cpu(NAME)?, scale.cpu(NAME)?);
    let (x_scale, scale): (&[f32], &[f32]) = (&x_scale, &scale);
    let blocks = inputs.div_ceil(BLOCK);
    let mut out = vec![0.0; rows * outputs];
    out.par_chunks_exact_mut(outputs).enumerate().for_each(|(row, out)| {
        let x = x[row * inputs..(row + 1) * inputs].as_chunks::<BLOCK>();
        let x_scale = &x_scale[row / BLOCK * blocks..][..blocks];
        for (output, out) in out.iter_mut().enumerate() {
            let weight = weight[output * inputs..(output + 1) * inputs].as_chunks::<BLOCK>();
            let scale = &scale[output / BLOCK * blocks..][..blocks];
            let mut factors = x_scale.iter().zip(scale).map(|(x, weight)| x * weight);
            let whole = x.0.iter().zip(weight.0).zip(&mut factors);
            let mut sum: f32 = whole.map(|((x, weight), factor)| dot(x, weight) as f32 * factor).sum();
            if let Some(factor) = factors.next() {
                sum += dot(x.1, weight.1) as f32 * factor; // the shorter last block
            }
            let product = bf16::from_f32(sum).to_f32();
            *out = match bias {
                Some(bias) => bf16::from_f32(product + bias[output]).to_f32(),
                None => product,
            };
        }
    });
    Ok(out)
}

fn fp8([x, x_scale]: [&Tensor; 2], [weight, scale]: [&Tensor; 2], bias: Option<&[f32]>) -> Result<Vec<f32>> {
    let outputs = weight.dim(0);
    let mut out = plain(x, weight, None)?;
    let (x_scale, scale) = (x_scale.cpu(NAME)?, scale.cpu(NAME)?);
    let (x_scale, scale): (&[f32], &[f32]) = (&x_scale, &scale);
    for_each_row(&mut out, outputs, |row, out| {
        for (output, out) in out.iter_mut().enumerate() {
            *out = *out * x_scale[row] * scale[output] + bias.map_or(0.0, |bias| bias[output]);
        }
    });
    Ok(out)
}

/// Exact: at most 128·128·128 in size.
#[inline(always)]
fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

#[cfg(test)]
mod tests {
    use super::super::linear;
    use super::*;
    use crate::quantize_fp8::quantize_fp8;
    use crate::quantize_int8::quantize_int8;

    #[test]
    fn a_gated_residual_adds_the_gated_product() {
        let layer = Linear::new(
            Matrix::Plain(Tensor::from_cpu(vec![1.0, 2.0, 3.0, 4.0], &[2, 2]).unwrap()),
            Some(Tensor::from_cpu(vec![10.0, 20.0], &[2]).unwrap()),
        )
        .unwrap();
        let x = Tensor::from_cpu(vec![1.0, 1.0], &[1, 2]).unwrap();
        let gate = Tensor::from_cpu(vec![0.5, 0.0], &[2]).unwrap();
        let out = linear(&x, &layer, Epilogue::GatedResidual { gate: &gate, residual: &x }).unwrap();
        assert_eq!(out.to_f32().unwrap(), [7.5, 1.0]);
    }

    #[test]
    fn an_int8_layer_is_close_to_the_plain_one() {
        for (rows, inputs, outputs) in [(130, 256, 200), (3, 200, 130), (1, 100, 2)] {
            check_int8(rows, inputs, outputs);
        }
    }

    fn check_int8(rows: usize, inputs: usize, outputs: usize) {
        let numbers = |count: usize, seed: usize| -> Vec<f32> {
            (0..count).map(|i| ((i * 7919 + seed) % 1009) as f32 / 1009.0 - 0.5).collect()
        };
        let x = Tensor::from_cpu(numbers(rows * inputs, 3), &[rows, inputs]).unwrap();
        let weight = Tensor::from_cpu(numbers(outputs * inputs, 5), &[outputs, inputs]).unwrap();
        let (values, scale) = quantize_int8(&weight).unwrap();
        let quantised = Linear::new(Matrix::Int8 { values, scale }, None).unwrap();
        let exact = linear(&x, &Linear::new(Matrix::Plain(weight), None).unwrap(), Epilogue::None).unwrap();
        let out = linear(&x, &quantised, Epilogue::None).unwrap();
        let (exact, out) = (exact.to_f32().unwrap(), out.to_f32().unwrap());
        let error: f32 = exact.iter().zip(&out).map(|(a, b)| (a - b) * (a - b)).sum();
        let size: f32 = exact.iter().map(|a| a * a).sum();
        assert!((error / size).sqrt() < 0.02, "{}", (error / size).sqrt());
    }

    #[test]
    fn an_fp8_layer_is_close_to_the_plain_one() {
        let (rows, inputs, outputs) = (130, 250, 207);
        let numbers = |count: usize, seed: usize| -> Vec<f32> {
            (0..count).map(|i| ((i * 7919 + seed) % 1009) as f32 / 1009.0 - 0.5).collect()
        };
        let x = Tensor::from_cpu(numbers(rows * inputs, 3), &[rows, inputs]).unwrap();
        let weight = Tensor::from_cpu(numbers(outputs * inputs, 5), &[outputs, inputs]).unwrap();
        let bias = Tensor::from_cpu(numbers(outputs, 7), &[outputs]).unwrap();
        let (values, scale) = quantize_fp8(&weight).unwrap();
        let fp8 = Linear::new(Matrix::Fp8 { values, scale }, Some(bias.clone())).unwrap();
        let plain = Linear::new(Matrix::Plain(weight), Some(bias)).unwrap();
        let run = |layer: &Linear| linear(&x, layer, Epilogue::None).unwrap().to_f32().unwrap();
        let (exact, out) = (run(&plain), run(&fp8));
        let error: f32 = exact.iter().zip(&out).map(|(a, b)| (a - b) * (a - b)).sum();
        let size: f32 = exact.iter().map(|a| a * a).sum();
        // A rounding of e4m3 is off by 2.7 % on average, once on either side of a product.
        assert!((error / size).sqrt() < 0.05, "{}", (error / size).sqrt());
    }
}
