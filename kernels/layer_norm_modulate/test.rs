//! cuda against cpu over small, odd, ragged and real shapes.

use super::{layer_norm_affine, layer_norm_modulate};
use crate::cuda::testing::{Gpu, Work};
use crate::{DType, Format, Matrix, Tensor};

/// Two roundings to bfloat16.
const BOUND: f64 = 4e-3;

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("layer_norm_modulate") else { return };
    for (rows, width) in [(1, 8), (3, 13), (70, 256), (33, 1536), (5, 5120)] {
        let x = gpu.tensor(&[rows, width], 3.0);
        let (shift, scale) = (gpu.float(&[width], 1.0), gpu.float(&[width], 1.0));
        let cpu = layer_norm_modulate(&x.cpu, &shift.cpu, &scale.cpu, 1e-6, Format::Plain).unwrap();
        let cuda = layer_norm_modulate(&x.cuda, &shift.cuda, &scale.cuda, 1e-6, Format::Plain).unwrap();
        gpu.check(&format!("{rows}x{width} modulate"), cpu.values(), cuda.values(), BOUND);
        let cpu = layer_norm_affine(&x.cpu, &scale.cpu, &shift.cpu, 1e-6, Format::Plain).unwrap();
        let cuda = layer_norm_affine(&x.cuda, &scale.cuda, &shift.cuda, 1e-6, Format::Plain).unwrap();
        gpu.check(&format!("{rows}x{width} affine"), cpu.values(), cuda.values(), BOUND);
    }
}

#[test]
fn a_stream_in_float32_gives_rows_in_every_format() {
    let Some(mut gpu) = Gpu::for_test("layer_norm_modulate") else { return };
    for (rows, width) in [(1, 8), (3, 13), (70, 256), (33, 1536)] {
        let numbers = gpu.numbers(rows * width, 3.0);
        // Differences that bfloat16 does not hold.
        let values: Vec<f32> = numbers.iter().map(|value| 1000.0 + value).collect();
        let cpu = Tensor::from_cpu(values.clone(), &[rows, width]).unwrap();
        let cuda = Tensor::from_f32(values, &[rows, width], DType::F32, gpu.device()).unwrap();
        let (shift, scale) = (gpu.float(&[width], 1.0), gpu.float(&[width], 1.0));
        let cpu = layer_norm_modulate(&cpu, &shift.cpu, &scale.cpu, 1e-6, Format::Plain).unwrap();
        let norm = |format| layer_norm_modulate(&cuda, &shift.cuda, &scale.cuda, 1e-6, format).unwrap();
        let plain = norm(Format::Plain);
        // The mean of numbers near 1000 has no more digits.
        gpu.check(&format!("{rows}x{width} of float32"), cpu.values(), plain.values(), 1e-3);
        assert_eq!(plain.values().dtype(), DType::F32);
        for format in [Format::Int8, Format::Fp8] {
            assert_eq!(norm(format).format(), format);
        }
    }
}

/// A format made in the same pass is that made of the rows afterwards.
#[test]
fn rows_come_in_the_format_of_the_layer() {
    let Some(mut gpu) = Gpu::for_test("layer_norm_modulate") else { return };
    for (rows, width) in [(3, 16), (70, 256), (33, 1536), (300, 1536), (5, 5120)] {
        let x = gpu.tensor(&[rows, width], 3.0);
        let (shift, scale) = (gpu.float(&[width], 1.0), gpu.float(&[width], 1.0));
        let norm = |format| layer_norm_modulate(&x.cuda, &shift.cuda, &scale.cuda, 1e-6, format).unwrap();
        let Matrix::Plain(plain) = norm(Format::Plain) else { panic!("plain was asked for") };
        for format in [Format::Int8, Format::Fp8] {
            let (apart, at_once) = (Matrix::of(plain.clone(), format).unwrap(), norm(format));
            match (&apart, &at_once) {
                (
                    Matrix::Int8 { values, scale },
                    Matrix::Int8 { values: values_at_once, scale: scale_at_once },
                ) => {
                    assert_eq!(values.to_i8().unwrap(), values_at_once.to_i8().unwrap(), "{rows}x{width}");
                    gpu.check(&format!("{rows}x{width} int8 scales"), scale, scale_at_once, 0.0);
                }
                (
                    Matrix::Fp8 { values, scale },
                    Matrix::Fp8 { values: values_at_once, scale: scale_at_once },
                ) => {
                    gpu.check(&format!("{rows}x{width} fp8"), values, values_at_once, 0.0);
                    gpu.check(&format!("{rows}x{width} fp8 scales"), scale, scale_at_once, 0.0);
                }
                _ => panic!("{format:?} was asked for"),
            }
        }
    }
}

#[test]
fn rates() {
    let Some(mut gpu) = Gpu::for_test("layer_norm_modulate") else { return };
    let (x, row) = (gpu.filled(&[32760, 1536], 1.0), gpu.filled(&[1536], 1.0));
    let work = Work { operations: 0.0, bytes: 4.0 * x.count() as f64 };
    gpu.rate("32760x1536", work, || {
        Ok(layer_norm_modulate(&x, &row, &row, 1e-6, Format::Plain)?.values().clone())
    });
    let work = Work { operations: 0.0, bytes: 3.0 * x.count() as f64 };
    gpu.rate("32760x1536 fp8", work, || {
        Ok(layer_norm_modulate(&x, &row, &row, 1e-6, Format::Fp8)?.values().clone())
    });
}
