//! bfloat16 through cuBLASLt, which also adds bias or residual and applies GELU; fp8 through cuBLASLt too (`cuda_fp8.rs`);
//! int8 through our own kernels (`cuda_int8.rs`). What a product cannot do itself is a pass of its own, or part of the pass
//! that makes the next layer's format.

use super::cuda_fp8::Fp8;
use super::cuda_int8::Int8;
use super::{Epilogue, Linear, NAME};
use crate::cuda::{
    self, Argument, Device, Grid, Matmul, Operand, address, cast, empty, float_format, optional, pointer,
};
use crate::quantize_fp8::quantize_gelu_fp8;
use crate::{DType, Error, Format, Matrix, Result, Tensor};

/// A layer met by rows in its format.
enum Met<'a> {
    /// Rows in float32 where the weights are.
    Plain {
        x: Tensor,
        weight: &'a Tensor,
        bias: Option<&'a Tensor>,
    },
    Int8(Int8<'a>),
    Fp8(Fp8<'a>),
}

/// `x` is in the layer's format.
pub(super) fn linear(device: &Device, x: &Matrix, layer: &Linear, epilogue: Epilogue) -> Result<Tensor> {
    if let Some((gate, residual)) = epilogue.sum().filter(|(_, residual)| residual.dtype() == DType::F32) {
        return add_f32(device, &linear_f32(device, x, layer)?, gate, residual);
    }
    match (Met::of(x, layer)?, epilogue) {
        (Met::Plain { x, weight, bias }, Epilogue::GatedResidual { gate, residual }) => {
            add(device, &plain(device, &x, weight, bias, Epilogue::None, x.dtype())?, Some(gate), residual)
        }
        (Met::Plain { x, weight, bias }, Epilogue::GeluTanh) if x.dtype() == DType::F32 => {
            gelu(device, &plain(device, &x, weight, bias, Epilogue::None, DType::F32)?)
        }
        (Met::Plain { x, weight, bias }, epilogue) => plain(device, &x, weight, bias, epilogue, x.dtype()),
        (Met::Fp8(fp8), Epilogue::GeluTanh) => gelu(device, &fp8.product(device, Epilogue::None)?),
        (Met::Fp8(fp8), epilogue) => fp8.product(device, epilogue),
        (Met::Int8(int8), epilogue) if int8.on_hopper(device) => int8.hopper(device, epilogue),
        (Met::Int8(int8), Epilogue::None) => int8.common(device, false),
        (Met::Int8(int8), Epilogue::GeluTanh) => int8.common(device, true),
        (Met::Int8(int8), Epilogue::Residual(residual)) => {
            add(device, &int8.common(device, false)?, None, residual)
        }
        (Met::Int8(int8), Epilogue::GatedResidual { gate, residual }) => {
            add(device, &int8.common(device, false)?, Some(gate), residual)
        }
    }
}

/// `x·wᵀ + b` in float32; `x` is in the layer's format.
fn linear_f32(device: &Device, x: &Matrix, layer: &Linear) -> Result<Tensor> {
    match Met::of(x, layer)? {
        Met::Plain { x, weight, bias } => plain(device, &x, weight, bias, Epilogue::None, DType::F32),
        Met::Int8(_) | Met::Fp8(_) => cast(NAME, &linear(device, x, layer, Epilogue::None)?, DType::F32),
    }
}

/// `gelu(x·wᵀ + b)` in `format`; `x` is in the layer's format.
pub(super) fn linear_gelu(device: &Device, x: &Matrix, layer: &Linear, format: Format) -> Result<Matrix> {
    match (Met::of(x, layer)?, format) {
        (Met::Int8(int8), Format::Int8) if int8.on_hopper(device) => int8.hopper_gelu(device),
        (Met::Fp8(fp8), Format::Fp8) => {
            let (values, scale) = quantize_gelu_fp8(device, &fp8.product(device, Epilogue::None)?)?;
            Ok(Matrix::Fp8 { values, scale })
        }
        _ => Matrix::of(linear(device, x, layer, Epilogue::GeluTanh)?, format),
    }
}

impl<'a> Met<'a> {
    fn of(x: &'a Matrix, layer: &'a Linear) -> Result<Self> {
        let bias = layer.bias.as_ref();
        match (x, &layer.weight) {
            (Matrix::Plain(x), Matrix::Plain(weight)) if weight.dtype() == DType::F32 => {
                Ok(Self::Plain { x: cast(NAME, x, DType::F32)?, weight, bias })
            }
            (Matrix::Plain(x), Matrix::Plain(weight)) => Ok(Self::Plain { x: x.clone(), weight, bias }),
            (Matrix::Int8 { values, scale: x_scale }, Matrix::Int8 { values: weight, scale }) => {
                Ok(Self::Int8(Int8 { x: values, x_scale, weight, weight_scale: scale, bias }))
            }
            (Matrix::Fp8 { values, scale: x_scale }, Matrix::Fp8 { values: weight, scale }) => {
                Ok(Self::Fp8(Fp8 { x: values, x_scale, weight, weight_scale: scale, bias }))
            }
            (x, _) => Err(Error::argument(NAME, format!("rows in {:?}", x.format()))),
        }
    }
}

/// `x·wᵀ + b` in the format `output`, with GELU or a plain residual where asked.
fn plain(
    device: &Device,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    epilogue: Epilogue,
    output: DType,
) -> Result<Tensor> {
    let (rows, inputs, outputs) = (x.dim(0), x.dim(1), weight.dim(0));
    let dtype = x.dtype();
    let weight = cast(NAME, weight, dtype)?;
    let bias = bias.map(|bias| cast(NAME, bias, output)).transpose()?;
    let out = empty(device, &[rows, outputs], output)?;
    let gelu = matches!(epilogue, Epilogue::GeluTanh);
    let residual = match epilogue {
        Epilogue::Residual(residual) => address(NAME, residual, output)?,
        Epilogue::None | Epilogue::GeluTanh | Epilogue::GatedResidual { .. } => 0,
    };
    let operand = |tensor: &Tensor, dtype| Operand::of(NAME, tensor, dtype);
    let (x, w, sums) = (operand(x, dtype)?, operand(&weight, dtype)?, operand(&out, output)?);
    let product = Matmul {
        bias: bias.as_ref().map_or(Ok(0), |bias| address(NAME, bias, output))?,
        residual,
        epilogue: if gelu { cuda::Epilogue::Gelu } else { cuda::Epilogue::Plain },
        ..Matmul::new([rows, outputs, inputs], x, w, sums)
    };
    // SAFETY: the shapes were checked by the operator; all operands live until the stream has passed.
    unsafe { device.matmul(&product)? };
    Ok(out)
}

fn gelu(device: &Device, x: &Tensor) -> Result<Tensor> {
    const PER_THREAD: usize = 8;
    let dtype = float_format(x);
    let function = if dtype == DType::F32 { "linear_gelu_f32" } else { "linear_gelu" };
    let out = empty(device, x.shape(), dtype)?;
    let arguments = [pointer(NAME, x, dtype)?, pointer(NAME, &out, dtype)?, Argument::long(x.count())];
    let grid = Grid::elements(x.count().div_ceil(PER_THREAD));
    // SAFETY: both hold `count` elements.
    unsafe { device.launch("linear/kernel", function, grid, &arguments)? };
    Ok(out)
}

/// `residual + gate·y`.
fn add(device: &Device, y: &Tensor, gate: Option<&Tensor>, residual: &Tensor) -> Result<Tensor> {
    const PER_THREAD: usize = 8;
    let out = empty(device, y.shape(), DType::BF16)?;
    let gate = gate.map(|gate| cast(NAME, gate, DType::F32)).transpose()?;
    let arguments = [
        pointer(NAME, y, DType::BF16)?,
        optional(NAME, gate.as_ref(), DType::F32)?,
        pointer(NAME, residual, DType::BF16)?,
        pointer(NAME, &out, DType::BF16)?,
        Argument::long(y.count()),
        Argument::int(y.dim(1)),
    ];
    let grid = Grid::elements(y.count().div_ceil(PER_THREAD));
    // SAFETY: y, residual and out are of one shape, the gate as long as a row.
    unsafe { device.launch("linear/kernel", "linear_gated_residual", grid, &arguments)? };
    Ok(out)
}

/// The same in float32, the sums unrounded.
fn add_f32(device: &Device, y: &Tensor, gate: Option<&Tensor>, residual: &Tensor) -> Result<Tensor> {
    let out = empty(device, y.shape(), DType::F32)?;
    let gate = gate.map(|gate| cast(NAME, gate, DType::F32)).transpose()?;
    let arguments = [
        pointer(NAME, y, DType::F32)?,
        optional(NAME, gate.as_ref(), DType::F32)?,
        pointer(NAME, residual, DType::F32)?,
        pointer(NAME, &out, DType::F32)?,
        Argument::long(y.count()),
        Argument::int(y.dim(1)),
    ];
    // SAFETY: y, residual and out are of one shape, the gate as long as a row.
    unsafe {
        device.launch("linear/kernel", "linear_gated_residual_f32", Grid::elements(y.count()), &arguments)?;
    }
    Ok(out)
}
