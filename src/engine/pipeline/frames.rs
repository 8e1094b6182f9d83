//! Decoded frames on their way to whoever watches the clip: a chunk at a time, in order, each once.

use kernels::Tensor;
use kernels::frame_bytes::{FrameBytes, frame_bytes};

use crate::domain::picture::{Frame, Picture, Planes};
use crate::domain::video::VideoSpec;
use crate::engine::error::EngineError;
use crate::engine::listener::Listener;

/// Hands chunks of frames to a listener.
pub(super) struct Frames<'a> {
    spec: &'a VideoSpec,
    listener: &'a mut dyn Listener,
    /// Frames of all chunks so far.
    count: u32,
    /// On its way from a GPU.
    before: Option<Chunk>,
}

struct Chunk {
    bytes: FrameBytes,
    /// Of each frame, whether it comes as a picture too.
    wanted: Vec<bool>,
}

impl<'a> Frames<'a> {
    pub(super) fn new(spec: &'a VideoSpec, listener: &'a mut dyn Listener) -> Self {
        Self { spec, listener, count: 0, before: None }
    }

    /// Takes the next chunk `[t, H, W, 3]`. A GPU works on it while the frames of the one before are handed over.
    pub(super) fn push(&mut self, chunk: &Tensor) -> Result<(), EngineError> {
        if self.listener.cancelled() {
            return Err(EngineError::Cancelled);
        }
        let frames = chunk.dim(0);
        let next = self.count + frames as u32;
        let wanted: Vec<bool> = (self.count..next).map(|frame| self.listener.wants_picture(frame)).collect();
        self.count = next;
        let pictures: Vec<usize> = (0..frames).filter(|&frame| wanted[frame]).collect();
        let chunk = Chunk { bytes: frame_bytes(chunk, &pictures)?, wanted };
        let arrived = if chunk.bytes.are_on_their_way() { self.before.replace(chunk) } else { Some(chunk) };
        arrived.map_or(Ok(()), |chunk| self.hand_over(&chunk))
    }

    /// Hands over what is still on its way.
    pub(super) fn finish(mut self) -> Result<(), EngineError> {
        self.before.take().map_or(Ok(()), |chunk| self.hand_over(&chunk))
    }

    /// Waits for a chunk and passes it on.
    fn hand_over(&mut self, chunk: &Chunk) -> Result<(), EngineError> {
        let (width, height) = (self.spec.size.width(), self.spec.size.height());
        let broken = |error: &dyn std::fmt::Display| EngineError::Model(error.to_string());
        let (planes, mut pictures) = chunk.bytes.wait()?;
        let mut frames = Vec::with_capacity(chunk.wanted.len());
        for (planes, &wanted) in planes.zip(&chunk.wanted) {
            let planes = Planes::new(width, height, planes.to_vec()).map_err(|error| broken(&error))?;
            let rgb = if wanted { pictures.next() } else { None };
            let picture = rgb.map(|rgb| Picture::new(width, height, rgb.to_vec())).transpose();
            frames.push(Frame { planes, picture: picture.map_err(|error| broken(&error))? });
        }
        self.listener.frames(frames).map_err(|_| EngineError::Cancelled)
    }
}
