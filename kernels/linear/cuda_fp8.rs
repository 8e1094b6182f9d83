//! fp8 through cuBLASLt, which also scales rows and columns and adds bias and residual, gated or not. Where it cannot (it takes
//! factors of rows on Hopper) the same product in bfloat16, which holds every e4m3 exactly.

use super::{Epilogue, NAME};
use crate::cuda::{Argument, Device, Grid, Matmul, Operand, Scales, address, cast, empty, optional, pointer};
use crate::{DType, Error, Result, Tensor};

/// cuBLASLt takes matrices of 8-bit floats in whole sixteens.
const GRAIN: usize = 16;
/// Rows whose sums in float32 are in memory at once, so that those of a long clip do not count beside its tensors.
const ROWS_AT_ONCE: usize = 2048;
/// Numbers a thread takes of a pass.
const PER_THREAD: usize = 8;

/// Rows and weights of e4m3, a factor a row of either.
pub(super) struct Fp8<'a> {
    pub(super) x: &'a Tensor,
    pub(super) x_scale: &'a Tensor,
    pub(super) weight: &'a Tensor,
    pub(super) weight_scale: &'a Tensor,
    pub(super) bias: Option<&'a Tensor>,
}

/// What is done with the sums of a product: factors of the columns, and what is added.
struct After<'a> {
    weight_scale: Tensor,
    bias: Option<Tensor>,
    residual: Option<&'a Tensor>,
}

impl Fp8<'_> {
    /// The product with its scales and the bias, and what a residual needs; no GELU. A gate goes into the factors of the
    /// weights and into the bias: it is a number a column, as they are.
    pub(super) fn product(&self, device: &Device, epilogue: Epilogue) -> Result<Tensor> {
        let (rows, inputs, outputs) = (self.x.dim(0), self.x.dim(1), self.weight.dim(0));
        if !inputs.is_multiple_of(GRAIN) || !outputs.is_multiple_of(GRAIN) {
            let what = format!("{inputs} to {outputs} in fp8, not multiples of {GRAIN}");
            return Err(Error::argument(NAME, what));
        }
        let bias = self.bias.map(|bias| cast(NAME, bias, DType::BF16)).transpose()?;
        let plain = After { weight_scale: self.weight_scale.clone(), bias, residual: None };
        let after = match epilogue {
            Epilogue::None | Epilogue::GeluTanh => plain,
            Epilogue::Residual(residual) => After { residual: Some(residual), ..plain },
            Epilogue::GatedResidual { gate, residual } => {
                After { residual: Some(residual), ..plain.gated(device, gate)? }
            }
        };
        let out = empty(device, &[rows, outputs], DType::BF16)?;
        let product = Matmul {
            bias: after.bias.as_ref().map_or(Ok(0), |bias| address(NAME, bias, DType::BF16))?,
            residual: after.residual.map_or(Ok(0), |residual| address(NAME, residual, DType::BF16))?,
            scales: Some(Scales {
                x: address(NAME, self.x_scale, DType::F32)?,
                w: address(NAME, &after.weight_scale, DType::F32)?,
            }),
            ..sums(self.x, self.weight, &out)?
        };
        if device.hopper() && device.multiplies(&product)? {
            // SAFETY: the shapes were checked by the operator; all operands live until the stream has passed.
            unsafe { device.matmul(&product)? };
        } else {
            self.by_bfloat16(device, &after, &out)?;
        }
        Ok(out)
    }

    /// The same into `out`, with sums in float32 between.
    fn by_bfloat16(&self, device: &Device, after: &After, out: &Tensor) -> Result<()> {
        let weight = widened(device, self.weight)?;
        for first in (0..out.dim(0)).step_by(ROWS_AT_ONCE) {
            let rows = first..out.dim(0).min(first + ROWS_AT_ONCE);
            let part = |tensor: &Tensor| tensor.rows(rows.clone());
            let (x, out) = (widened(device, &part(self.x)?)?, part(out)?);
            let residual = after.residual.map(part).transpose()?;
            let sum = empty(device, out.shape(), DType::F32)?;
            // SAFETY: the shapes were checked by the operator; all operands live until the stream has passed.
            unsafe { device.matmul(&sums(&x, &weight, &sum)?)? };
            let arguments = [
                pointer(NAME, &sum, DType::F32)?,
                pointer(NAME, &part(self.x_scale)?, DType::F32)?,
                pointer(NAME, &after.weight_scale, DType::F32)?,
                optional(NAME, after.bias.as_ref(), DType::BF16)?,
                optional(NAME, residual.as_ref(), DType::BF16)?,
                pointer(NAME, &out, DType::BF16)?,
                Argument::long(out.count()),
                Argument::int(out.dim(1)),
            ];
            let grid = Grid::elements(out.count().div_ceil(PER_THREAD));
            // SAFETY: sums, residual and out are of one shape in rows of whole sixteens; a factor a row and a column each.
            unsafe { device.launch("linear/kernel", "linear_scaled", grid, &arguments)? };
        }
        Ok(())
    }
}

impl After<'_> {
    /// `gate` times the factors in float32, and times the bias, in bfloat16.
    fn gated(self, device: &Device, gate: &Tensor) -> Result<Self> {
        let gate = cast(NAME, gate, DType::F32)?;
        let weight_scale = empty(device, self.weight_scale.shape(), DType::F32)?;
        let bias = self.bias.as_ref().map(|bias| empty(device, bias.shape(), DType::BF16)).transpose()?;
        let arguments = [
            pointer(NAME, &gate, DType::F32)?,
            pointer(NAME, &self.weight_scale, DType::F32)?,
            optional(NAME, self.bias.as_ref(), DType::BF16)?,
            pointer(NAME, &weight_scale, DType::F32)?,
            optional(NAME, bias.as_ref(), DType::BF16)?,
            Argument::int(gate.count()),
        ];
        // SAFETY: all are as long as the gate.
        unsafe { device.launch("linear/kernel", "linear_gate", Grid::elements(gate.count()), &arguments)? };
        Ok(Self { weight_scale, bias, ..self })
    }
}

/// `x·wᵀ` into `out`, nothing else.
fn sums(x: &Tensor, weight: &Tensor, out: &Tensor) -> Result<Matmul> {
    let rows_of = |tensor: &Tensor| Operand::of(NAME, tensor, tensor.dtype());
    let shape = [x.dim(0), weight.dim(0), x.dim(1)];
    Ok(Matmul::new(shape, rows_of(x)?, rows_of(weight)?, rows_of(out)?))
}

/// e4m3 as bfloat16.
fn widened(device: &Device, x: &Tensor) -> Result<Tensor> {
    let out = empty(device, x.shape(), DType::BF16)?;
    let arguments =
        [pointer(NAME, x, DType::F8E4M3)?, pointer(NAME, &out, DType::BF16)?, Argument::long(x.count())];
    let grid = Grid::elements(x.count().div_ceil(PER_THREAD));
    // SAFETY: both hold `count` numbers, a multiple of sixteen.
    unsafe { device.launch("linear/kernel", "linear_widen", grid, &arguments)? };
    Ok(out)
}
