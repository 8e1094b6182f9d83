//! Tensors as the operators of this backend take and make them.

use super::{Argument, Buffer, Device, Grid};
use crate::{DType, Error, Result, Tensor};

/// The address of `tensor` as an argument of a kernel. Fails unless it is of `dtype` and on a GPU.
pub(crate) fn pointer(operator: &'static str, tensor: &Tensor, dtype: DType) -> Result<Argument> {
    Ok(Argument::Pointer(address(operator, tensor, dtype)?))
}

/// The address, or a null pointer.
pub(crate) fn optional(operator: &'static str, tensor: Option<&Tensor>, dtype: DType) -> Result<Argument> {
    tensor.map_or(Ok(Argument::Pointer(0)), |tensor| pointer(operator, tensor, dtype))
}

/// The address of `tensor` on its device. Fails unless it is of `dtype` and on a GPU.
pub(crate) fn address(operator: &'static str, tensor: &Tensor, dtype: DType) -> Result<u64> {
    if tensor.dtype() != dtype {
        return Err(Error::argument(
            operator,
            format!("a {:?} tensor where {dtype:?} is needed", tensor.dtype()),
        ));
    }
    Ok(tensor.cuda(operator)?.address())
}

/// The format that an operator keeps for `x`: float32, or else bfloat16, which [`pointer`] then insists on.
pub(crate) fn float_format(x: &Tensor) -> DType {
    if x.dtype() == DType::F32 { DType::F32 } else { DType::BF16 }
}

/// A tensor that a kernel is about to fill.
pub(crate) fn empty(device: &Device, shape: &[usize], dtype: DType) -> Result<Tensor> {
    let bytes = shape.iter().product::<usize>() * dtype.size();
    Ok(Tensor::from_cuda(Buffer::empty(device, bytes)?, shape, dtype))
}

/// `tensor` as `dtype`, both floats; itself if it already is.
pub(crate) fn cast(operator: &'static str, tensor: &Tensor, dtype: DType) -> Result<Tensor> {
    let function = match (tensor.dtype(), dtype) {
        (from, to) if from == to => return Ok(tensor.clone()),
        (DType::BF16, DType::F32) => "cast_bf16_f32",
        (DType::F32, DType::BF16) => "cast_f32_bf16",
        (from, to) => return Err(Error::argument(operator, format!("no cast of {from:?} to {to:?}"))),
    };
    let device = tensor.cuda(operator)?.device();
    let out = empty(&device, tensor.shape(), dtype)?;
    let count = tensor.count();
    let arguments =
        [pointer(operator, tensor, tensor.dtype())?, pointer(operator, &out, dtype)?, Argument::long(count)];
    // SAFETY: both hold `count` elements of the kernel's types.
    unsafe { device.launch("cuda/kernel", function, Grid::elements(count), &arguments)? };
    Ok(out)
}
