//! bfloat16 through cuBLASLt, which also adds bias or residual and applies GELU; fp8 through cuBLASLt, which also scales
//! rows and columns and adds the bias; int8 through our own kernel, as no library knows its block scales. A gate a column
//! is a pass of its own.

use super::{Epilogue, Linear, NAME, Weight};
use crate::cuda::{
    self, Argument, Device, Grid, Matmul, Operand, Scales, address, cast, empty, optional, pointer,
};
use crate::quantize_fp8::quantize_fp8;
use crate::quantize_int8::{BLOCK, quantize_int8};
use crate::{DType, Error, Result, Tensor};

/// cuBLASLt takes matrices of 8-bit floats in whole sixteens.
const FP8_GRAIN: usize = 16;

pub(super) fn linear(device: &Device, x: &Tensor, layer: &Linear, epilogue: Epilogue) -> Result<Tensor> {
    let product = match &layer.weight {
        Weight::Plain(weight) => plain(device, x, weight, layer.bias.as_ref(), epilogue)?,
        Weight::Int8 { values, scale } => int8(device, x, values, scale, layer.bias.as_ref(), epilogue)?,
        Weight::Fp8 { values, scale } => fp8(device, x, values, scale, layer.bias.as_ref(), epilogue)?,
    };
    let is_int8 = matches!(layer.weight, Weight::Int8 { .. });
    match epilogue {
        Epilogue::GatedResidual { gate, residual } => add(device, &product, Some(gate), residual),
        Epilogue::Residual(residual) if is_int8 => add(device, &product, None, residual),
        Epilogue::None | Epilogue::GeluTanh | Epilogue::Residual(_) => Ok(product),
    }
}

/// `x·wᵀ + b`, with GELU or a plain residual where asked. Float32 stays float32.
fn plain(
    device: &Device,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    epilogue: Epilogue,
) -> Result<Tensor> {
    let (rows, inputs, outputs) = (x.dim(0), x.dim(1), weight.dim(0));
    let dtype = x.dtype();
    let weight = cast(NAME, weight, dtype)?;
    let bias = bias.map(|bias| cast(NAME, bias, dtype)).transpose()?;
    let out = empty(device, &[rows, outputs], dtype)?;
    let gelu = matches!(epilogue, Epilogue::GeluTanh);
    let residual = match epilogue {
        Epilogue::Residual(residual) => address(NAME, residual, dtype)?,
        Epilogue::None | Epilogue::GeluTanh | Epilogue::GatedResidual { .. } => 0,
    };
    let matrix = |tensor: &Tensor, row| -> Result<Operand> {
        Ok(Operand { address: address(NAME, tensor, dtype)?, row, batch: 0 })
    };
    let product = Matmul {
        m: rows,
        n: outputs,
        k: inputs,
        batches: 1,
        x: matrix(x, inputs)?,
        w: matrix(&weight, inputs)?,
        w_is_kn: false,
        out: matrix(&out, outputs)?,
        input: dtype,
        output: dtype,
        bias: bias.map_or(Ok(0), |bias| address(NAME, &bias, dtype))?,
        residual,
        epilogue: if gelu { cuda::Epilogue::Gelu } else { cuda::Epilogue::Plain },
        factor: 1.0,
        scales: None::<Scales>,
    };
    // SAFETY: the shapes were checked by the operator; all operands live until the stream has passed.
    unsafe { device.matmul(&product)? };
    Ok(out)
}

/// Quantises `x` by rows, then the product with its scales and the bias, and a plain residual where asked; GELU is a
/// pass of its own.
fn fp8(
    device: &Device,
    x: &Tensor,
    values: &Tensor,
    scale: &Tensor,
    bias: Option<&Tensor>,
    epilogue: Epilogue,
) -> Result<Tensor> {
    let (rows, inputs, outputs) = (x.dim(0), x.dim(1), values.dim(0));
    if !inputs.is_multiple_of(FP8_GRAIN) || !outputs.is_multiple_of(FP8_GRAIN) {
        let what = format!("{inputs} to {outputs} in fp8, not multiples of {FP8_GRAIN}");
        return Err(Error::argument(NAME, what));
    }
    let (quantised, x_scale) = quantize_fp8(x)?;
    let bias = bias.map(|bias| cast(NAME, bias, DType::BF16)).transpose()?;
    let out = empty(device, &[rows, outputs], DType::BF16)?;
    let residual = match epilogue {
        Epilogue::Residual(residual) => address(NAME, residual, DType::BF16)?,
        Epilogue::None | Epilogue::GeluTanh | Epilogue::GatedResidual { .. } => 0,
    };
    let matrix = |tensor: &Tensor, row, dtype| -> Result<Operand> {
        Ok(Operand { address: address(NAME, tensor, dtype)?, row, batch: 0 })
    };
    let product = Matmul {
        m: rows,
        n: outputs,
        k: inputs,
        batches: 1,
        x: matrix(&quantised, inputs, DType::F8E4M3)?,
        w: matrix(values, inputs, DType::F8E4M3)?,
        w_is_kn: false,
        out: matrix(&out, outputs, DType::BF16)?,
        input: DType::F8E4M3,
        output: DType::BF16,
        bias: bias.as_ref().map_or(Ok(0), |bias| address(NAME, bias, DType::BF16))?,
        residual,
        epilogue: cuda::Epilogue::Plain,
        factor: 1.0,
        scales: Some(Scales {
            x: address(NAME, &x_scale, DType::F32)?,
            w: address(NAME, scale, DType::F32)?,
        }),
    };
    // SAFETY: the shapes were checked by the operator; all operands live until the stream has passed.
    unsafe { device.matmul(&product)? };
    match epilogue {
        Epilogue::GeluTanh => gelu(device, &out),
        Epilogue::None | Epilogue::Residual(_) | Epilogue::GatedResidual { .. } => Ok(out),
    }
}

fn gelu(device: &Device, x: &Tensor) -> Result<Tensor> {
    const PER_THREAD: usize = 8;
    let out = empty(device, x.shape(), DType::BF16)?;
    let arguments =
        [pointer(NAME, x, DType::BF16)?, pointer(NAME, &out, DType::BF16)?, Argument::long(x.count())];
    let grid = Grid::elements(x.count().div_ceil(PER_THREAD));
    // SAFETY: both hold `count` elements.
    unsafe { device.launch("linear/kernel", "linear_gelu", grid, &arguments)? };
    Ok(out)
}

/// Quantises `x` in blocks, then the block-scaled product with bias, and GELU where asked.
fn int8(
    device: &Device,
    x: &Tensor,
    values: &Tensor,
    scale: &Tensor,
    bias: Option<&Tensor>,
    epilogue: Epilogue,
) -> Result<Tensor> {
    let (rows, inputs, outputs) = (x.dim(0), x.dim(1), values.dim(0));
    let (quantised, x_scale) = quantize_int8(x)?;
    let bias = bias.map(|bias| cast(NAME, bias, DType::F32)).transpose()?;
    let out = empty(device, &[rows, outputs], DType::BF16)?;
    let arguments = [
        pointer(NAME, &quantised, DType::I8)?,
        pointer(NAME, &x_scale, DType::F32)?,
        pointer(NAME, values, DType::I8)?,
        pointer(NAME, scale, DType::F32)?,
        optional(NAME, bias.as_ref(), DType::F32)?,
        pointer(NAME, &out, DType::BF16)?,
        Argument::int(rows),
        Argument::int(outputs),
        Argument::int(inputs),
        Argument::I32(i32::from(matches!(epilogue, Epilogue::GeluTanh))),
    ];
    let blocks = (outputs.div_ceil(BLOCK), rows.div_ceil(BLOCK), 1);
    // Two stages of one block of `x` and one of the weights, a byte an element.
    let shared = 2 * 2 * BLOCK * BLOCK;
    // SAFETY: inputs are whole blocks; values and scales have the shapes the operator checked.
    unsafe {
        device.launch(
            "linear/kernel_int8",
            "linear_int8",
            Grid { blocks, threads: 256, shared },
            &arguments,
        )?;
    }
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
