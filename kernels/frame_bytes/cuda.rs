//! Bytes are made on the GPU, so that an eighth of the float32 video crosses to the host.

use super::{NAME, Size};
use crate::cuda::{Argument, Arrival, Buffer, Device, Grid, cast, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn frame_bytes(device: &Device, x: &Tensor, size: Size, pictures: &[usize]) -> Result<Arrival> {
    let x = cast(NAME, x, DType::BF16)?;
    let planes = size.frames * size.planes();
    // It is read while the next frames are made.
    let out = device.apart(|| Buffer::empty(device, planes + pictures.len() * size.picture()))?;
    let squares = size.frames * size.pixels() / 4;
    let arguments = [
        pointer(NAME, &x, DType::BF16)?,
        Argument::Pointer(out.address()),
        Argument::int(size.height),
        Argument::int(size.width),
        Argument::long(squares),
    ];
    // SAFETY: out holds the planes of every frame, a thread's four pixels lie in one of them.
    unsafe { device.launch("frame_bytes/kernel", "i420", Grid::elements(squares), &arguments)? };
    for (nth, &picture) in pictures.iter().enumerate() {
        let arguments = [
            pointer(NAME, &x.row(picture)?, DType::BF16)?,
            Argument::Pointer(out.address() + (planes + nth * size.picture()) as u64),
            Argument::long(size.picture()),
        ];
        // SAFETY: out holds a byte for each element of the pictures behind the planes.
        unsafe { device.launch("frame_bytes/kernel", "rgb8", Grid::elements(size.picture()), &arguments)? };
    }
    Ok(Arrival::begin(&out)?)
}
