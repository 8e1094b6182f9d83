//! A storage that counts what it does. What is stored where is the inner one's business.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::metrics::Metrics;
use crate::storage::{
    Body, Chunks, Key, Pending, ReadLink, Storage, StorageError, Stored, WriteLink, WriteTerms,
};

/// Wraps another storage.
pub(super) struct Measured<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S: Storage> Measured<S> {
    pub(super) fn new(inner: S, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }

    fn note<T>(&self, operation: &str, began: Instant, result: &Result<T, StorageError>) {
        let outcome = result.as_ref().map_or_else(StorageError::kind, |_| "ok");
        let seconds = began.elapsed().as_secs_f64();
        self.metrics.storage_operation_duration_seconds.observe([operation, outcome], seconds);
        // In the span of whoever asks, so that the line names the trace.
        tracing::debug!(operation, outcome, seconds, "the storage was asked");
    }
}

impl<S: Storage> Storage for Measured<S> {
    fn put<'a>(&'a self, key: &'a Key, body: Body) -> Pending<'a, Stored> {
        Box::pin(async move {
            let began = Instant::now();
            let result = self.inner.put(key, body).await;
            self.note("put", began, &result);
            result
        })
    }

    /// Until the first byte can be read.
    fn get<'a>(&'a self, key: &'a Key, range: Option<Range<u64>>) -> Pending<'a, Chunks> {
        Box::pin(async move {
            let began = Instant::now();
            let result = self.inner.get(key, range).await;
            self.note("get", began, &result);
            result
        })
    }

    fn head<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<u64>> {
        self.inner.head(key)
    }

    fn delete<'a>(&'a self, key: &'a Key) -> Pending<'a, ()> {
        Box::pin(async move {
            let began = Instant::now();
            let result = self.inner.delete(key).await;
            self.note("delete", began, &result);
            result
        })
    }

    fn probe(&self) -> Pending<'_, ()> {
        self.inner.probe()
    }

    fn read_link<'a>(&'a self, key: &'a Key, link: ReadLink<'a>) -> Pending<'a, Option<String>> {
        Box::pin(async move {
            let began = Instant::now();
            let result = self.inner.read_link(key, link).await;
            if !matches!(result, Ok(None)) {
                self.note("presign", began, &result);
            }
            result
        })
    }

    fn write_link<'a>(&'a self, key: &'a Key, terms: WriteTerms) -> Pending<'a, Option<WriteLink>> {
        Box::pin(async move {
            let began = Instant::now();
            let result = self.inner.write_link(key, terms).await;
            if !matches!(result, Ok(None)) {
                self.note("presign", began, &result);
            }
            result
        })
    }
}
