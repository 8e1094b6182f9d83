//! Request bodies: JSON and multipart become one tree of named values, and fields are taken from it one by one,
//! so that both forms obey the same rules and every mistake names its field.

mod faults;
mod fields;
mod image;
mod json;
mod limited;
mod media;
mod multipart;
mod upload;
mod video;

pub(crate) use faults::Faults;
pub(crate) use fields::{Fields, inside};
pub(crate) use image::{ImageInput, Naming, take_image};
pub(crate) use json::fingerprint;
pub(crate) use media::{Accepts, Limits, is_form, read, whole};
pub(crate) use upload::{Upload, UploadChunks};
#[cfg(test)]
pub(crate) use video::VIDEO_FIELDS;
pub(crate) use video::take_video;
