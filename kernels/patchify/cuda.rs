//! One thread an element; the latent is small beside everything else.

use super::{NAME, Patch};
use crate::cuda::{Argument, Device, Grid, cast, empty, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn patchify(device: &Device, parts: &[&Tensor], patch: Patch, dtype: DType) -> Result<Tensor> {
    let function = if dtype == DType::F32 { "patchify_f32" } else { "patchify" };
    let [_, frames, height, width] = parts[0].axes(NAME, "parts")?;
    let volume: usize = patch.iter().product();
    let channels: usize = parts.iter().map(|part| part.dim(0)).sum();
    let (tokens, features) = (frames * height * width / volume, channels * volume);
    let out = empty(device, &[tokens, features], dtype)?;
    let mut first = 0;
    for part in parts {
        let part = cast(NAME, part, DType::F32)?;
        let mut arguments = vec![
            pointer(NAME, &part, DType::F32)?,
            pointer(NAME, &out, dtype)?,
            Argument::long(tokens),
            Argument::int(part.dim(0)),
            Argument::int(first),
            Argument::int(features),
        ];
        arguments.extend([frames, height, width].map(Argument::int));
        arguments.extend(patch.map(Argument::int));
        // SAFETY: the part is `[channels, frames, height, width]` float32 and fills its own columns of every token.
        unsafe { device.launch("patchify/kernel", function, Grid::elements(part.count()), &arguments)? };
        first += part.dim(0);
    }
    Ok(out)
}

pub(super) fn unpatchify(device: &Device, tokens: &Tensor, size: [usize; 3], patch: Patch) -> Result<Tensor> {
    let channels = tokens.dim(1) / patch.iter().product::<usize>();
    let [frames, height, width] = size;
    let out = empty(device, &[channels, frames, height, width], DType::F32)?;
    let tokens = cast(NAME, tokens, DType::F32)?;
    let mut arguments = vec![
        pointer(NAME, &tokens, DType::F32)?,
        pointer(NAME, &out, DType::F32)?,
        Argument::long(tokens.dim(0)),
        Argument::int(channels),
    ];
    arguments.extend(size.map(Argument::int));
    arguments.extend(patch.map(Argument::int));
    // SAFETY: tokens and out hold the same count of float32.
    unsafe { device.launch("patchify/kernel", "unpatchify", Grid::elements(out.count()), &arguments)? };
    Ok(out)
}
