//! Uploaded files as the wire shows them: the fields of OpenAI's `FileObject`.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::file::StoredFile;

/// An uploaded file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = File)]
pub(crate) struct FileObject {
    #[schema(example = "file_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d")]
    id: String,
    #[schema(value_type = String, pattern = "^file$", example = "file")]
    object: &'static str,
    bytes: u64,
    /// Unix seconds.
    created_at: u64,
    /// When it vanishes, Unix seconds.
    expires_at: u64,
    #[schema(example = "cat.png")]
    filename: String,
    /// `vision` or `user_data`.
    #[schema(value_type = String, example = "vision")]
    purpose: &'static str,
    /// Always `processed`: a file is checked before it is kept.
    #[schema(value_type = String, pattern = "^processed$", example = "processed")]
    status: &'static str,
    #[schema(required)]
    status_details: Option<String>,
}

/// The bytes of a file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "the documented form of an answer that is no JSON")]
pub(crate) struct Binary(Vec<u8>);

/// A page of files.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileList {
    #[schema(value_type = String, pattern = "^list$")]
    object: &'static str,
    data: Vec<FileObject>,
    #[schema(required)]
    first_id: Option<String>,
    #[schema(required)]
    last_id: Option<String>,
    has_more: bool,
}

/// A file that is gone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletedFile {
    pub(crate) id: String,
    #[schema(value_type = String, pattern = "^file$")]
    pub(crate) object: &'static str,
    pub(crate) deleted: bool,
}

impl FileObject {
    pub(crate) fn new(file: &StoredFile) -> Self {
        Self {
            id: file.id.to_string(),
            object: "file",
            bytes: file.bytes,
            created_at: file.created_at.seconds(),
            expires_at: file.expires_at.seconds(),
            filename: file.filename.clone(),
            purpose: file.purpose.as_str(),
            status: "processed",
            status_details: None,
        }
    }
}

impl FileList {
    pub(crate) fn new(files: &[StoredFile], has_more: bool) -> Self {
        let data: Vec<_> = files.iter().map(FileObject::new).collect();
        let id = |file: Option<&FileObject>| file.map(|file| file.id.clone());
        Self { object: "list", first_id: id(data.first()), last_id: id(data.last()), data, has_more }
    }
}
