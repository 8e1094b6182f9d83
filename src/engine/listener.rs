//! Whoever watches a clip being made: told of stages, steps and frames, and asked whether to go on.

use crate::domain::picture::Frame;
use crate::domain::stage::Stage;

/// Told what happens, on the engine's own thread and in order.
pub trait Listener {
    /// A stage begins.
    fn stage(&mut self, stage: Stage);
    /// `done` of `of` denoising steps are done.
    fn step(&mut self, done: u32, of: u32);
    /// Whether the frame of that number, from 0, is wanted as a picture too.
    fn wants_picture(&self, frame: u32) -> bool;
    /// The next frames of the clip, while later ones are still to be decoded. [`Stop`] ends the clip.
    fn frames(&mut self, frames: Vec<Frame>) -> Result<(), Stop>;
    /// Asked between steps and between chunks of frames.
    fn cancelled(&self) -> bool;
}

/// The listener cannot take any more frames; it knows why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;
