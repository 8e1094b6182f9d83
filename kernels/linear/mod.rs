//! `out = epilogue(x · Wᵀ + b)`, with the weights in the format of the device, in int8 or in fp8.
//!
//! int8 (both sides in blocks of 128×128, see `quantize_int8`): `y[m, n] = Σ_kb float(acc_kb[m, n]) · (sx[m/128, kb] ·
//! sw[n/128, kb])` in float32 with increasing `kb`, rounded to bfloat16; then the bias is added and the sum rounded again.
//! The last block of inputs may be shorter; a GPU takes whole blocks only, which is all that published models have.
//!
//! fp8 (both sides in e4m3 with a factor a row, see `quantize_fp8`): `y[m, n] = (Σ_k qx[m, k]·qw[n, k]) · sx[m] · sw[n]`,
//! sums in float32.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
mod cuda_fp8;
#[cfg(feature = "cuda")]
mod cuda_int8;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Format, Matrix, Result, Tensor};

const NAME: &str = "linear";

/// A matrix and its bias.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[outputs, inputs]`.
    pub weight: Matrix,
    /// `[outputs]`.
    pub bias: Option<Tensor>,
}

/// What happens to the product before it is stored. On a GPU a float32 residual gives a float32 outcome, to which nothing was
/// lost by rounding.
#[derive(Debug, Clone, Copy)]
pub enum Epilogue<'a> {
    None,
    /// `0.5·y·(1 + tanh(√(2/π)·(y + 0.044715·y³)))`.
    GeluTanh,
    /// `residual + y`, both `[rows, outputs]`.
    Residual(&'a Tensor),
    /// `residual + gate·y`, `gate` `[outputs]` float32.
    GatedResidual {
        gate: &'a Tensor,
        residual: &'a Tensor,
    },
}

#[cfg(feature = "cuda")]
impl<'a> Epilogue<'a> {
    /// The gate, if there is one, and what is added to.
    fn sum(self) -> Option<(Option<&'a Tensor>, &'a Tensor)> {
        match self {
            Self::None | Self::GeluTanh => None,
            Self::Residual(residual) => Some((None, residual)),
            Self::GatedResidual { gate, residual } => Some((Some(gate), residual)),
        }
    }
}

impl Linear {
    /// Fails unless the parts fit one another.
    pub fn new(weight: Matrix, bias: Option<Tensor>) -> Result<Self> {
        let [outputs, inputs] = weight.values().axes(NAME, "weight")?;
        if let Matrix::Int8 { scale, .. } = &weight {
            scale.check(NAME, "scale", &[outputs.div_ceil(128), inputs.div_ceil(128)])?;
        }
        if let Matrix::Fp8 { scale, .. } = &weight {
            scale.check(NAME, "scale", &[outputs])?;
        }
        if let Some(bias) = &bias {
            bias.check(NAME, "bias", &[outputs])?;
        }
        Ok(Self { weight, bias })
    }

    pub fn inputs(&self) -> usize {
        self.weight.values().dim(1)
    }

    pub fn device(&self) -> Device {
        self.weight.device()
    }

    /// What it multiplies its weights with.
    pub fn format(&self) -> Format {
        self.weight.format()
    }

    pub fn outputs(&self) -> usize {
        self.weight.values().dim(0)
    }
}

/// `x` `[rows, inputs]`, plain or already in the layer's format; gives `[rows, outputs]`, in float32 where rows or plain weights
/// are.
pub fn linear(x: impl Into<Matrix>, layer: &Linear, epilogue: Epilogue) -> Result<Tensor> {
    let (x, rows) = checked(x.into(), layer)?;
    let outputs = layer.outputs();
    match epilogue {
        Epilogue::None | Epilogue::GeluTanh => {}
        Epilogue::Residual(residual) => residual.check(NAME, "residual", &[rows, outputs])?,
        Epilogue::GatedResidual { gate, residual } => {
            gate.check(NAME, "gate", &[outputs])?;
            residual.check(NAME, "residual", &[rows, outputs])?;
        }
    }
    match x.device() {
        Device::Cpu => cpu::linear(&x, layer, epilogue),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::linear(&device, &x, layer, epilogue),
    }
}

/// `gelu(x · Wᵀ + b)` `[rows, outputs]` in the format of the layer that takes it.
pub fn linear_gelu(x: impl Into<Matrix>, layer: &Linear, format: Format) -> Result<Matrix> {
    let (x, _) = checked(x.into(), layer)?;
    match x.device() {
        Device::Cpu => Matrix::of(cpu::linear(&x, layer, Epilogue::GeluTanh)?, format),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::linear_gelu(&device, &x, layer, format),
    }
}

/// Whether [`linear_gelu`] stores the GELU of an int8 product in int8 at once on `device`; elsewhere it is there in the
/// activations' format first.
pub fn stores_gelu_in_int8(device: &Device) -> bool {
    match device {
        Device::Cpu => false,
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => device.hopper(),
    }
}

/// `x` in the layer's format, and its rows.
fn checked(x: Matrix, layer: &Linear) -> Result<(Matrix, usize)> {
    let [rows, _] = x.values().axes(NAME, "x")?;
    x.values().check(NAME, "x", &[rows, layer.inputs()])?;
    #[cfg(feature = "cuda")]
    if let (Device::Cuda(_), Format::Int8, false) =
        (x.device(), layer.format(), layer.inputs().is_multiple_of(128))
    {
        let what = format!("{} inputs of an int8 layer, not a multiple of 128", layer.inputs());
        return Err(crate::Error::argument(NAME, what));
    }
    Ok((x.into_format(NAME, layer.format())?, rows))
}
