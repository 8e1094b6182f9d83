//! Latent to tokens and back, patches of `time × height × width` latent pixels.
//! Tokens run over (t, h, w) with w fastest; in a token the channel is slowest on the way in and fastest on the way out.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{DType, Device, Error, Result, Tensor};

const NAME: &str = "patchify";

/// Latent pixels of a token: time, height, width.
pub type Patch = [usize; 3];

/// `parts` `[channels, T, H, W]` one after another along the channels; gives `[tokens, channels · patch]` of `dtype` on a GPU,
/// `F32` or `BF16`.
pub fn patchify(parts: &[&Tensor], patch: Patch, dtype: DType) -> Result<Tensor> {
    let first = parts.first().ok_or_else(|| Error::argument(NAME, "no parts"))?;
    let [_, frames, height, width] = first.axes(NAME, "parts")?;
    for part in parts {
        part.check(NAME, "parts", &[part.dim(0), frames, height, width])?;
    }
    check(patch, [frames, height, width])?;
    if !matches!(dtype, DType::F32 | DType::BF16) {
        return Err(Error::argument(NAME, format!("tokens of {dtype:?}")));
    }
    match first.device() {
        Device::Cpu => cpu::patchify(parts, patch),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::patchify(&device, parts, patch, dtype),
    }
}

/// `tokens` `[tokens, patch · channels]` of a latent of `frames × height × width`; gives float32 `[channels, T, H, W]`.
pub fn unpatchify(tokens: &Tensor, size: [usize; 3], patch: Patch) -> Result<Tensor> {
    check(patch, size)?;
    let volume: usize = patch.iter().product();
    let count = size.iter().product::<usize>() / volume;
    let [_, features] = tokens.axes(NAME, "tokens")?;
    tokens.check(NAME, "tokens", &[count, features / volume * volume])?;
    match tokens.device() {
        Device::Cpu => cpu::unpatchify(tokens, size, patch),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::unpatchify(&device, tokens, size, patch),
    }
}

fn check(patch: Patch, size: [usize; 3]) -> Result<()> {
    if patch.iter().zip(size).all(|(&patch, size)| patch > 0 && size > 0 && size.is_multiple_of(patch)) {
        return Ok(());
    }
    Err(Error::argument(NAME, format!("patches of {patch:?} do not tile {size:?}")))
}
