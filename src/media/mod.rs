//! Pixels and files: an uploaded picture in, the clip's MP4, thumbnail and contact sheet out.
//! Never generates, resizes for a model or talks to the network.
//!
//! Read in this order: what comes in (`upload`, elsewhere by `sandbox`), the clip (`mp4`), and the pictures of it.

mod mp4;
mod sandbox;
mod spritesheet;
mod thumbnail;
mod upload;

pub use mp4::{EncodeError, Mp4Encoder};
pub use sandbox::{DECODE_COMMAND, PictureDecoder, SandboxError, decode_piped};
pub use spritesheet::{SHEET_COLUMNS, SHEET_ROWS, SheetGeometry, Spritesheet};
pub use thumbnail::{Thumbnail, thumbnail};
pub use upload::{MAX_PICTURE_BYTES, PictureError, decode_picture};
