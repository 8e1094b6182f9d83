//! What causal layers remember of the frames before: a slot for each, taken in the order in which the layers run.
//! One stream belongs to one video; the layers themselves never change.

use kernels::Tensor;

/// The memory of one video on its way through a decoder.
#[derive(Default)]
pub(super) struct Stream {
    slots: Vec<Slot>,
    next: usize,
}

/// The memory of one layer.
#[derive(Default)]
pub(super) struct Slot {
    /// The last input frames that the next chunk needs.
    pub(super) history: Option<Tensor>,
    /// Whether the video's first frame has passed.
    pub(super) begun: bool,
}

impl Stream {
    /// Starts the next chunk of the same video.
    pub(super) fn rewind(&mut self) {
        self.next = 0;
    }

    /// The slot of the layer that runs next.
    pub(super) fn next(&mut self) -> &mut Slot {
        self.next += 1;
        if self.slots.len() < self.next {
            self.slots.push(Slot::default());
        }
        self.slot()
    }

    /// The slot of the layer that runs now.
    pub(super) fn slot(&mut self) -> &mut Slot {
        &mut self.slots[self.next - 1]
    }
}

impl Slot {
    /// Keeps the last `count` frames of what has passed, `frames` `[T, H, W, C]` being the newest.
    pub(super) fn remember(&mut self, frames: &Tensor, count: usize) -> Result<(), kernels::Error> {
        let have = frames.dim(0);
        self.history = Some(match &self.history {
            Some(before) if have < count => {
                let kept = before.dim(0).min(count - have);
                let before = before.rows(before.dim(0) - kept..before.dim(0))?;
                Tensor::concat(&[&before, frames])?
            }
            _ => {
                let kept = have.min(count);
                // Copied, so that the rest of the chunk's memory is free.
                Tensor::concat(&[&frames.rows(have - kept..have)?])?
            }
        });
        Ok(())
    }
}
