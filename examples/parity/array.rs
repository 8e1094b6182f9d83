//! Tensors of case files, and how far two of them are apart.

use anyhow::{Result, bail};
use kernels::{DType, Device, Tensor};

/// A tensor of the case file as float32, whatever its type there.
#[derive(Clone)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<f32>,
}

impl Array {
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever is not listed has no case")]
    pub(crate) fn read(view: &safetensors::tensor::TensorView) -> Result<Self> {
        use safetensors::Dtype;
        let bytes = view.data();
        let data = match view.dtype() {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            Dtype::F64 => bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
            Dtype::BF16 => {
                bytes.as_chunks().0.iter().map(|&b| half::bf16::from_le_bytes(b).to_f32()).collect()
            }
            Dtype::F16 => bytes.as_chunks().0.iter().map(|&b| half::f16::from_le_bytes(b).to_f32()).collect(),
            Dtype::I64 => bytes.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b) as f32).collect(),
            Dtype::I32 => bytes.as_chunks().0.iter().map(|&b| i32::from_le_bytes(b) as f32).collect(),
            Dtype::I8 => bytes.iter().map(|&b| f32::from(b as i8)).collect(),
            Dtype::U8 | Dtype::BOOL => bytes.iter().map(|&b| f32::from(b)).collect(),
            other => bail!("a tensor of type {other:?}"),
        };
        Ok(Self { shape: view.shape().to_vec(), data })
    }

    /// Element `index` of the first axis.
    pub(crate) fn sample(&self, index: usize) -> Self {
        let count = self.data.len() / self.shape[0];
        Self { shape: self.shape[1..].to_vec(), data: self.data[index * count..(index + 1) * count].to_vec() }
    }

    /// Zero rows at the end, up to `rows` of `width`.
    pub(crate) fn padded(mut self, rows: usize, width: usize) -> Self {
        self.data.resize(rows * width, 0.0);
        Self { shape: vec![rows, width], ..self }
    }

    /// `[B, C, 1, H, W]` with a zero frame after the first.
    pub(crate) fn with_a_zero_frame(&self) -> Self {
        let plane = self.shape[3] * self.shape[4];
        let data = self.data.chunks(plane).flat_map(|frame| frame.iter().copied().chain(vec![0.0; plane]));
        let mut shape = self.shape.clone();
        shape[2] = 2;
        Self { data: data.collect(), shape }
    }

    pub(crate) fn upload(&self, dtype: DType, device: &Device) -> Result<Tensor> {
        Ok(Tensor::from_f32(self.data.clone(), &self.shape, dtype, device)?)
    }
}

/// A matrix of `rows` × `columns`, transposed.
pub(crate) fn swapped(data: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| data[row * columns + column])).collect()
}

/// The largest difference; not a number as soon as one difference is none.
pub(crate) fn max_abs(found: &[f32], expected: &[f32]) -> f64 {
    let difference = |(a, b): (&f32, &f32)| f64::from((a - b).abs());
    let larger = |max: f64, value: f64| if value > max || value.is_nan() { value } else { max };
    found.iter().zip(expected).map(difference).fold(0.0, larger)
}

pub(crate) fn rel_l2(found: &[f32], expected: &[f32]) -> f64 {
    let square = |value: f32| f64::from(value) * f64::from(value);
    let error: f64 = found.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
    let size: f64 = expected.iter().map(|&value| square(value)).sum();
    if size > 0.0 { (error / size).sqrt() } else { error.sqrt() }
}
