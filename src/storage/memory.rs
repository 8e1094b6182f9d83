//! Files in memory, for tests and as the model that the others are compared with. Gone with the process.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::stream;

use super::body::{Chunks, Intake};
use super::{Body, Key, Pending, ReadLink, Storage, StorageError, Stored, WriteLink, WriteTerms};

/// Storage in a map.
#[derive(Default)]
pub struct Memory {
    files: Mutex<HashMap<Key, Bytes>>,
}

impl Memory {
    fn with<T>(&self, use_files: impl FnOnce(&mut HashMap<Key, Bytes>) -> T) -> T {
        use_files(&mut self.files.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Storage for Memory {
    fn put<'a>(&'a self, key: &'a Key, body: Body) -> Pending<'a, Stored> {
        Box::pin(async move {
            let mut intake = Intake::new(body);
            let mut file = BytesMut::new();
            while let Some(chunk) = intake.next().await? {
                file.extend_from_slice(&chunk);
            }
            let stored = intake.finish()?;
            self.with(|files| files.insert(*key, file.freeze()));
            Ok(stored)
        })
    }

    fn get<'a>(&'a self, key: &'a Key, range: Option<Range<u64>>) -> Pending<'a, Chunks> {
        Box::pin(async move {
            let file = self.with(|files| files.get(key).cloned());
            let file = file.ok_or_else(|| StorageError::NotFound { path: key.path() })?;
            let bytes = file.len() as u64;
            let Range { start, end } = range.unwrap_or(0..bytes);
            if start > end || end > bytes {
                return Err(StorageError::OutOfRange { start, end, bytes });
            }
            let part = file.slice(start as usize..end as usize);
            Ok(Box::pin(stream::once(async { Ok(part) })) as Chunks)
        })
    }

    fn head<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<u64>> {
        Box::pin(async move { Ok(self.with(|files| files.get(key).map(|file| file.len() as u64))) })
    }

    fn delete<'a>(&'a self, key: &'a Key) -> Pending<'a, ()> {
        Box::pin(async move {
            self.with(|files| files.remove(key));
            Ok(())
        })
    }

    fn probe(&self) -> Pending<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn read_link<'a>(&'a self, _: &'a Key, _: ReadLink<'a>) -> Pending<'a, Option<String>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn write_link<'a>(&'a self, _: &'a Key, _: WriteTerms) -> Pending<'a, Option<WriteLink>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::storage::suite::storage_suite!((Memory::default(), ()));
}
