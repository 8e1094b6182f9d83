//! Decoded frames to bytes: `trunc(255·(1 + clamp(x, −1, 1))/2 + 0.5)`.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Result, Tensor};

const NAME: &str = "rgb8";

/// Bytes of frames one after another, perhaps still on their way to the host.
pub struct FrameBytes(Place);

enum Place {
    Here(Vec<u8>),
    #[cfg(feature = "cuda")]
    Arriving(crate::cuda::Arrival),
}

impl FrameBytes {
    /// Whether there is something to wait for.
    pub fn are_on_their_way(&self) -> bool {
        !matches!(self.0, Place::Here(_))
    }

    /// Waits until they are there.
    pub fn wait(&self) -> Result<&[u8]> {
        match &self.0 {
            Place::Here(bytes) => Ok(bytes),
            #[cfg(feature = "cuda")]
            Place::Arriving(arrival) => Ok(arrival.wait()?),
        }
    }
}

/// `x` `[T, H, W, 3]`; what is not a number becomes 0. On a GPU nothing is waited for: the bytes cross to the host while the
/// device goes on.
pub fn rgb8(x: &Tensor) -> Result<FrameBytes> {
    let [_, _, _, _] = x.axes(NAME, "x")?;
    Ok(FrameBytes(match x.device() {
        Device::Cpu => Place::Here(cpu::rgb8(x)?),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => Place::Arriving(cuda::rgb8(&device, x)?),
    }))
}
