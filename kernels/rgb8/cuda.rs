//! Bytes are made on the GPU, so that a quarter of the float32 video crosses to the host.

use super::NAME;
use crate::cuda::{Argument, Arrival, Buffer, Device, Grid, cast, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn rgb8(device: &Device, x: &Tensor) -> Result<Arrival> {
    let x = cast(NAME, x, DType::BF16)?;
    // It is read while the next frames are made.
    let out = device.apart(|| Buffer::empty(device, x.count()))?;
    let arguments =
        [pointer(NAME, &x, DType::BF16)?, Argument::Pointer(out.address()), Argument::long(x.count())];
    // SAFETY: out holds a byte for each element.
    unsafe { device.launch("rgb8/kernel", "rgb8", Grid::elements(x.count()), &arguments)? };
    Ok(Arrival::begin(&out)?)
}
