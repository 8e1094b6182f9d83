//! A matrix in the number format of a linear layer: its weights, or rows on their way into it. Rows are made once and read by
//! every layer that wants them; an operator that has them in its hands may make the format itself and spare a pass over
//! memory.

use crate::quantize_fp8::quantize_fp8;
use crate::quantize_int8::quantize_int8;
use crate::{Device, Result, Tensor};

/// Number format of a linear layer's weights, and of what it multiplies with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// That of the device's activations.
    Plain,
    /// Blocks of 128×128, see `quantize_int8`.
    Int8,
    /// Rows of e4m3, see `quantize_fp8`.
    Fp8,
}

/// A matrix `[rows, columns]`, cheap to clone.
#[derive(Debug, Clone)]
pub enum Matrix {
    Plain(Tensor),
    Int8 {
        /// `[rows, columns]` int8.
        values: Tensor,
        /// `[⌈rows/128⌉, ⌈columns/128⌉]` float32.
        scale: Tensor,
    },
    Fp8 {
        /// `[rows, columns]` e4m3.
        values: Tensor,
        /// `[rows]` float32.
        scale: Tensor,
    },
}

impl Matrix {
    /// `x` `[rows, columns]` brought into `format`.
    pub fn of(x: Tensor, format: Format) -> Result<Self> {
        Ok(match format {
            Format::Plain => Self::Plain(x),
            Format::Int8 => {
                let (values, scale) = quantize_int8(&x.to_activations()?)?;
                Self::Int8 { values, scale }
            }
            Format::Fp8 => {
                let (values, scale) = quantize_fp8(&x.to_activations()?)?;
                Self::Fp8 { values, scale }
            }
        })
    }

    /// As numbers, or what stands for them.
    pub fn values(&self) -> &Tensor {
        match self {
            Self::Plain(values) | Self::Int8 { values, .. } | Self::Fp8 { values, .. } => values,
        }
    }

    pub fn device(&self) -> Device {
        self.values().device()
    }

    pub fn format(&self) -> Format {
        match self {
            Self::Plain(_) => Format::Plain,
            Self::Int8 { .. } => Format::Int8,
            Self::Fp8 { .. } => Format::Fp8,
        }
    }

    /// The same in `format`, which plain numbers can be brought into and others must have.
    pub(crate) fn into_format(self, operator: &'static str, format: Format) -> Result<Self> {
        if self.format() == format {
            return Ok(self);
        }
        let Self::Plain(x) = self else {
            let what = format!("rows in {:?} for a layer in {format:?}", self.format());
            return Err(crate::Error::argument(operator, what));
        };
        Self::of(x, format)
    }
}

impl From<&Tensor> for Matrix {
    fn from(x: &Tensor) -> Self {
        Self::Plain(x.clone())
    }
}

impl From<&Matrix> for Matrix {
    fn from(x: &Matrix) -> Self {
        x.clone()
    }
}
