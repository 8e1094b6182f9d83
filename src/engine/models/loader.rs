//! From published names to tensors on a device. Reads what a layer asks for; never knows which layers there are.

use kernels::causal_conv3d::Conv3d;
use kernels::conv2d::{Conv2d, Resample};
use kernels::linear::Linear;
use kernels::{DType, Device, Format, Matrix, Tensor};

use crate::domain::linear::LinearCompute;
use crate::engine::error::EngineError;
use crate::engine::weights::{RawTensor, WeightError, WeightSource, WeightType};

/// Reads the tensors under one prefix of a source.
#[derive(Clone)]
pub(super) struct Loader<'a> {
    source: &'a dyn WeightSource,
    device: &'a Device,
    prefix: String,
    linear: LinearCompute,
    /// Of plain linear layers.
    plain: DType,
}

impl<'a> Loader<'a> {
    pub(super) fn new(source: &'a dyn WeightSource, device: &'a Device) -> Self {
        Self {
            source,
            device,
            prefix: String::new(),
            linear: LinearCompute::Bf16,
            plain: device.activations(),
        }
    }

    /// The same, but [`Self::block_linear`] brings floating weights into this format.
    pub(super) fn computing(self, linear: LinearCompute) -> Self {
        Self { linear, ..self }
    }

    /// The same, but plain linear layers are float32 on every device.
    pub(super) fn in_float32(self) -> Self {
        Self { plain: DType::F32, ..self }
    }

    /// What stands under `name`, which ends before the next dot.
    pub(super) fn at(&self, name: impl std::fmt::Display) -> Self {
        Self { prefix: format!("{}{name}.", self.prefix), ..self.clone() }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.source.contains(&format!("{}{name}", self.prefix))
    }

    /// A tensor in the format of activations.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, EngineError> {
        self.upload(name, shape, self.device.activations())
    }

    /// A tensor in the format of plain linear layers.
    pub(super) fn plain(&self, name: &str, shape: &[usize]) -> Result<Tensor, EngineError> {
        self.upload(name, shape, self.plain)
    }

    /// A tensor in float32.
    pub(super) fn float(&self, name: &str, shape: &[usize]) -> Result<Tensor, EngineError> {
        self.upload(name, shape, DType::F32)
    }

    /// A tensor in float32 on the host.
    pub(super) fn host(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EngineError> {
        let name = format!("{}{name}", self.prefix);
        Ok(widen(&name, &self.source.tensor(&name, shape)?)?)
    }

    /// `weight` and, if there is one, `bias`.
    pub(super) fn linear(&self, inputs: usize, outputs: usize) -> Result<Linear, EngineError> {
        let weight = Matrix::Plain(self.plain("weight", &[outputs, inputs])?);
        self.with_bias(weight, outputs)
    }

    /// A 1×1 convolution of `axes` spatial axes, which is a linear layer over channels.
    pub(super) fn pointwise(
        &self,
        inputs: usize,
        outputs: usize,
        axes: usize,
    ) -> Result<Linear, EngineError> {
        let shape: Vec<usize> = [outputs, inputs].into_iter().chain(std::iter::repeat_n(1, axes)).collect();
        let weight = self.tensor("weight", &shape)?.reshape(&[outputs, inputs])?;
        self.with_bias(Matrix::Plain(weight), outputs)
    }

    /// A linear layer of a block: as stored, or in the format that was asked for.
    pub(super) fn block_linear(&self, inputs: usize, outputs: usize) -> Result<Linear, EngineError> {
        let weight = if self.contains("int8_weight") {
            self.stored_int8(inputs, outputs)?
        } else {
            let plain = self.plain("weight", &[outputs, inputs])?;
            let format = match self.linear {
                LinearCompute::Bf16 => Format::Plain,
                LinearCompute::Int8 => Format::Int8,
                LinearCompute::Fp8 => Format::Fp8,
            };
            Matrix::of(plain, format)?
        };
        self.with_bias(weight, outputs)
    }

    /// `weight` `[outputs, inputs, kt, kh, kw]` and `bias`.
    pub(super) fn conv3d(&self, shape: [usize; 5]) -> Result<Conv3d, EngineError> {
        let (weight, bias) = (self.host("weight", &shape)?, self.host("bias", &shape[..1])?);
        Ok(Conv3d::new(&weight, shape, &bias, self.device)?)
    }

    /// `weight` `[outputs, inputs, 3, 3]` and `bias`.
    pub(super) fn conv2d(
        &self,
        inputs: usize,
        outputs: usize,
        resample: Resample,
    ) -> Result<Conv2d, EngineError> {
        let shape = [outputs, inputs, 3, 3];
        let (weight, bias) = (self.host("weight", &shape)?, self.host("bias", &shape[..1])?);
        Ok(Conv2d::new(&weight, shape, &bias, resample, self.device)?)
    }

    fn with_bias(&self, weight: Matrix, outputs: usize) -> Result<Linear, EngineError> {
        let dtype = if weight.format() == Format::Plain {
            weight.values().dtype()
        } else {
            self.device.activations()
        };
        let bias = self.contains("bias").then(|| self.upload("bias", &[outputs], dtype)).transpose()?;
        Ok(Linear::new(weight, bias)?)
    }

    fn stored_int8(&self, inputs: usize, outputs: usize) -> Result<Matrix, EngineError> {
        let name = format!("{}int8_weight", self.prefix);
        let raw = self.source.tensor(&name, &[outputs, inputs])?;
        if raw.dtype != WeightType::I8 {
            return Err(WeightError::Type { name, found: raw.dtype }.into());
        }
        let values = raw.data.iter().map(|&byte| byte as i8).collect();
        let blocks = [outputs.div_ceil(128), inputs.div_ceil(128)];
        Ok(Matrix::Int8 {
            values: Tensor::from_i8(values, &[outputs, inputs], self.device)?,
            scale: self.float("scale", &blocks)?,
        })
    }

    fn upload(&self, name: &str, shape: &[usize], dtype: DType) -> Result<Tensor, EngineError> {
        let name = format!("{}{name}", self.prefix);
        let raw = self.source.tensor(&name, shape)?;
        if raw.dtype == WeightType::BF16 {
            return Ok(Tensor::from_bf16_bytes(&raw.data, shape, dtype, self.device)?);
        }
        Ok(Tensor::from_f32(widen(&name, &raw)?, shape, dtype, self.device)?)
    }
}

fn widen(name: &str, raw: &RawTensor) -> Result<Vec<f32>, WeightError> {
    let pairs = || raw.data.as_chunks::<2>().0.iter();
    match raw.dtype {
        WeightType::F32 => {
            Ok(raw.data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
        }
        WeightType::F16 => Ok(pairs().map(|&bytes| half::f16::from_le_bytes(bytes).to_f32()).collect()),
        WeightType::BF16 => Ok(pairs().map(|&bytes| half::bf16::from_le_bytes(bytes).to_f32()).collect()),
        WeightType::I8 => Err(WeightError::Type { name: name.to_owned(), found: raw.dtype }),
    }
}
