//! `/v1/files…`: pictures that are uploaded once and used by many jobs.

mod create;
mod read;

pub(crate) use create::create_file;
pub(crate) use read::{delete_file, file_content, get_file, list_files};

use crate::api::errors::ApiError;
use crate::domain::id::FileId;

/// A text that is no id names no file.
fn file_id(text: &str) -> Result<FileId, ApiError> {
    text.parse().map_err(|_| ApiError::file_not_found())
}
