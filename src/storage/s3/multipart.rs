//! A large file, part by part. One that breaks off leaves nothing: its parts are given up, and it never had a name.

use bytes::Bytes;

use super::fault::storage_error;
use super::{PART_BYTES, S3};
use crate::storage::body::Intake;
use crate::storage::{StorageError, Stored};

/// Sends all of it. At most one part is in memory.
pub(super) async fn upload(
    bucket: &S3,
    name: &str,
    content_type: &str,
    intake: Intake,
) -> Result<Stored, StorageError> {
    let objects = bucket.client.objects();
    let begun = objects.create_multipart_upload(&bucket.bucket, name).content_type(content_type).send().await;
    let id = begun.map_err(storage_error)?.upload_id;
    let sent = send(bucket, name, &id, intake).await;
    if sent.is_err()
        && let Err(error) = objects.abort_multipart_upload(&bucket.bucket, name, &id).send().await
    {
        tracing::warn!(error = %storage_error(error), "parts of an upload that broke off could not be given up");
    }
    sent
}

async fn send(bucket: &S3, name: &str, id: &str, mut intake: Intake) -> Result<Stored, StorageError> {
    let objects = bucket.client.objects();
    let mut parts = Vec::new();
    let mut part = Vec::with_capacity(PART_BYTES);
    loop {
        let chunk = intake.next().await?;
        let last = chunk.is_none();
        let mut chunk = chunk.unwrap_or_default();
        while part.len() + chunk.len() >= PART_BYTES || last && !part.is_empty() {
            let room = (PART_BYTES - part.len()).min(chunk.len());
            part.extend_from_slice(&chunk.split_to(room));
            let number = parts.len() as u32 + 1;
            let whole = Bytes::from(std::mem::replace(&mut part, Vec::with_capacity(PART_BYTES)));
            let sent = objects.upload_part(&bucket.bucket, name, id, number).body_bytes(whole).send().await;
            let tag = sent.map_err(storage_error)?.etag;
            let untagged = || StorageError::Refused("a part got no tag".to_owned());
            parts.push((number, tag.ok_or_else(untagged)?));
        }
        part.extend_from_slice(&chunk);
        if last {
            break;
        }
    }
    let stored = intake.finish()?;
    let mut complete = objects.complete_multipart_upload(&bucket.bucket, name, id);
    for (number, tag) in parts {
        complete = complete.part(number, tag);
    }
    complete.send().await.map_err(storage_error)?;
    Ok(stored)
}
