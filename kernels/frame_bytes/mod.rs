//! Decoded frames to bytes. A byte of a colour is `trunc(255·(1 + clamp(x, −1, 1))/2 + 0.5)`, and 0 for what is not a number.
//! The video's frames are I420 of these bytes: BT.709, limited range, chroma averaged over 2×2 pixels, in integers only, so
//! that every device gives the same bytes:
//!
//! `Y = 16 + (11966·R + 40254·G + 4064·B + 2¹⁵) >> 16` of a pixel, and of the sums of four
//! `U = 128 + (−6596·R − 22188·G + 28784·B + 2¹⁷) >> 18`, `V = 128 + (28784·R − 26145·G − 2639·B + 2¹⁷) >> 18`.
//!
//! The coefficients are `219·(0.2126, 0.7152, 0.0722)/255` and 224/255 of `(B − luma)/1.8556` and `(R − luma)/1.5748` with 16
//! binary places; those of a chroma sum to zero, so that grey has no colour.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use std::slice::ChunksExact;

use crate::{Device, Error, Result, Tensor};

const NAME: &str = "frame_bytes";

/// Frames as bytes, perhaps still on their way to the host.
pub struct FrameBytes {
    place: Place,
    size: Size,
}

enum Place {
    Here(Vec<u8>),
    #[cfg(feature = "cuda")]
    Arriving(crate::cuda::Arrival),
}

/// What there is of a run of frames: the planes of all, then the pictures of some.
#[derive(Debug, Clone, Copy)]
struct Size {
    frames: usize,
    height: usize,
    width: usize,
}

impl Size {
    /// Bytes of a frame's three planes.
    fn planes(self) -> usize {
        self.pixels() / 2 * 3
    }

    /// Bytes of a picture.
    fn picture(self) -> usize {
        3 * self.pixels()
    }

    fn pixels(self) -> usize {
        self.height * self.width
    }
}

impl FrameBytes {
    /// Whether there is something to wait for.
    pub fn are_on_their_way(&self) -> bool {
        !matches!(self.place, Place::Here(_))
    }

    /// Waits until they are there: the planes of every frame, Y before U before V, and the RGB of each picture that was asked
    /// for, in the order in which it was.
    pub fn wait(&self) -> Result<(ChunksExact<'_, u8>, ChunksExact<'_, u8>)> {
        let (planes, pictures) = self.bytes()?.split_at(self.size.frames * self.size.planes());
        Ok((planes.chunks_exact(self.size.planes()), pictures.chunks_exact(self.size.picture())))
    }

    fn bytes(&self) -> Result<&[u8]> {
        match &self.place {
            Place::Here(bytes) => Ok(bytes),
            #[cfg(feature = "cuda")]
            Place::Arriving(arrival) => Ok(arrival.wait()?),
        }
    }
}

/// `x` `[T, H, W, 3]` with even sides: I420 of every frame, RGB of the `pictures` among them. On a GPU nothing is waited for:
/// the bytes cross to the host while the device goes on.
pub fn frame_bytes(x: &Tensor, pictures: &[usize]) -> Result<FrameBytes> {
    let [frames, height, width, _] = x.axes(NAME, "x")?;
    x.check(NAME, "x", &[frames, height, width, 3])?;
    if height == 0 || width == 0 || !height.is_multiple_of(2) || !width.is_multiple_of(2) {
        return Err(Error::argument(NAME, format!("frames of {width}×{height}, not even")));
    }
    if let Some(picture) = pictures.iter().find(|picture| **picture >= frames) {
        return Err(Error::argument(NAME, format!("picture {picture} of {frames} frames")));
    }
    let size = Size { frames, height, width };
    let place = match x.device() {
        Device::Cpu => Place::Here(cpu::frame_bytes(x, size, pictures)?),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => Place::Arriving(cuda::frame_bytes(&device, x, size, pictures)?),
    };
    Ok(FrameBytes { place, size })
}
