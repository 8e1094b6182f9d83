//! From an upright picture to the first frame of a clip: cropped, padded or stretched to the clip's size.
//! Never decodes files and never chooses the size.

mod fit;
mod resample;

pub use fit::fit;
