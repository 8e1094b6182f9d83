//! A bucket of an S3 service. What it holds for a project lies under `<prefix><organization>/<project>/`.
//! Holds at most one part of a file in memory; credentials and signed addresses appear in no error.

mod credentials;
mod fault;
mod multipart;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use s3::{AddressingStyle, AsyncTlsRootStore, Auth, Client};

use super::body::{Chunks, Intake};
use super::{Body, Key, Pending, ReadLink, Storage, StorageError, Stored, WriteLink, WriteTerms};
pub use credentials::S3Access;
use fault::{is_missing, range_unsatisfiable, storage_error};

/// One request with its body; a part is a few MB, so a bucket that takes longer is as good as down.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Tries of one request. Whoever waits longer waits outside: workers and clients come again.
const TRIES: u32 = 2;

/// Length of a part, and the most bytes of a file that go in one request.
const PART_BYTES: usize = 8 << 20;

/// What readiness writes and removes.
const PROBE: &str = "probe";

/// Longest life of a signed address, by the signature's rules.
const LONGEST_LINK: Duration = Duration::from_secs(7 * 24 * 3600);

/// Which bucket, and as whom.
#[derive(Clone)]
pub struct S3Settings {
    /// Such as `https://s3.eu-central-1.amazonaws.com`.
    pub endpoint: String,
    /// The same as clients reach it; `None` if they use the same address.
    pub public_endpoint: Option<String>,
    pub region: String,
    pub bucket: String,
    /// Before every key; empty or ending in a slash.
    pub prefix: String,
    /// The bucket in the path and not in the host name.
    pub path_style: bool,
    pub access: S3Access,
}

/// Storage in a bucket. Several servers may share one.
pub struct S3 {
    client: Client,
    /// Signs what clients are given.
    public: Client,
    auth: Auth,
    bucket: String,
    prefix: String,
}

impl S3 {
    /// Fails if the settings make no sense or there are no credentials. Reaches the bucket with the first operation.
    pub async fn open(settings: &S3Settings) -> Result<Self, StorageError> {
        Self::with(settings, credentials::auth(&settings.access).await?)
    }

    fn with(settings: &S3Settings, auth: Auth) -> Result<Self, StorageError> {
        let client = client(settings, &settings.endpoint, auth.clone())?;
        let public = match &settings.public_endpoint {
            Some(endpoint) => self::client(settings, endpoint, auth.clone())?,
            None => client.clone(),
        };
        Ok(Self { client, public, auth, bucket: settings.bucket.clone(), prefix: settings.prefix.clone() })
    }

    fn name(&self, key: &Key) -> String {
        format!("{}{}", self.prefix, key.path())
    }

    async fn write(&self, key: &Key, body: Body) -> Result<Stored, StorageError> {
        let name = self.name(key);
        let mut intake = Intake::new(body);
        if intake.announced() > PART_BYTES as u64 {
            return multipart::upload(self, &name, key.content_type(), intake).await;
        }
        let mut whole = Vec::with_capacity(intake.announced() as usize);
        while let Some(chunk) = intake.next().await? {
            whole.extend_from_slice(&chunk);
        }
        let stored = intake.finish()?;
        let put = self.client.objects().put(&self.bucket, name).content_type(key.content_type());
        put.body_bytes(whole).send().await.map_err(storage_error)?;
        Ok(stored)
    }

    async fn read(&self, key: &Key, range: Option<Range<u64>>) -> Result<Chunks, StorageError> {
        let get = self.client.objects().get(&self.bucket, self.name(key));
        let missing = || StorageError::NotFound { path: key.path() };
        let Some(Range { start, end }) = range else {
            let got = get
                .send()
                .await
                .map_err(|error| if is_missing(&error) { missing() } else { storage_error(error) })?;
            return Ok(chunks(got.body));
        };
        let outside = |bytes| StorageError::OutOfRange { start, end, bytes };
        if start >= end {
            let bytes = self.length(key).await?.ok_or_else(missing)?;
            let empty = start == end && end <= bytes;
            return if empty { Ok(Box::pin(futures_util::stream::empty())) } else { Err(outside(bytes)) };
        }
        match get.range_bytes(start, end - 1).send().await {
            // A service cuts a range at the end of the file instead of refusing it.
            Ok(got) => match got.content_length {
                Some(length) if length < end - start => Err(outside(start + length)),
                Some(_) | None => Ok(chunks(got.body)),
            },
            Err(error) if range_unsatisfiable(&error) => {
                let bytes = self.length(key).await?.ok_or_else(missing)?;
                Err(outside(bytes))
            }
            Err(error) if is_missing(&error) => Err(missing()),
            Err(error) => Err(storage_error(error)),
        }
    }

    async fn length(&self, key: &Key) -> Result<Option<u64>, StorageError> {
        match self.client.objects().head(&self.bucket, self.name(key)).send().await {
            Ok(head) => match head.content_length {
                Some(length) => Ok(Some(length)),
                None => Err(StorageError::Unreachable("the bucket does not tell a file's length".to_owned())),
            },
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(storage_error(error)),
        }
    }

    async fn remove(&self, name: String) -> Result<(), StorageError> {
        match self.client.objects().delete(&self.bucket, name).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(storage_error(error)),
        }
    }

    /// Nothing where the address would die with the credentials that signed it, before its time.
    async fn sign_read(&self, key: &Key, link: &ReadLink<'_>) -> Result<Option<String>, StorageError> {
        if credentials::remaining(&self.auth).await?.is_some_and(|left| left <= link.lives) {
            return Ok(None);
        }
        let signed = self
            .public
            .objects()
            .presign_get(&self.bucket, self.name(key))
            .expires_in(link.lives.min(LONGEST_LINK))
            .query_param("response-content-type", link.content_type)
            .query_param("response-content-disposition", link.disposition)
            .build_async()
            .await
            .map_err(storage_error)?;
        Ok(Some(signed.url.to_string()))
    }

    /// Length and digest are signed: the address takes these bytes under this key and no others.
    async fn sign_write(&self, key: &Key, terms: &WriteTerms) -> Result<WriteLink, StorageError> {
        let left = credentials::remaining(&self.auth).await?;
        // It is used at once, so a shorter life does no harm. A second less, for the clock goes on.
        let lives =
            left.map_or(terms.lives, |left| terms.lives.min(left.saturating_sub(Duration::from_secs(1))));
        let headers = [
            (CONTENT_LENGTH, terms.bytes.to_string()),
            (CONTENT_TYPE, key.content_type().to_owned()),
            (HeaderName::from_static("x-amz-checksum-sha256"), STANDARD.encode(terms.sha256.0)),
        ];
        let mut presign = self
            .client
            .objects()
            .presign_put(&self.bucket, self.name(key))
            .expires_in(lives.min(LONGEST_LINK));
        for (name, value) in &headers {
            let value = HeaderValue::from_str(value).expect("digits, a media type and base64");
            presign = presign.header(name.clone(), value);
        }
        let url = presign.build_async().await.map_err(storage_error)?.url.to_string();
        let headers = headers.into_iter().map(|(name, value)| (name.as_str().to_owned(), value)).collect();
        Ok(WriteLink { url, headers })
    }
}

impl Storage for S3 {
    fn put<'a>(&'a self, key: &'a Key, body: Body) -> Pending<'a, Stored> {
        Box::pin(self.write(key, body))
    }

    fn get<'a>(&'a self, key: &'a Key, range: Option<Range<u64>>) -> Pending<'a, Chunks> {
        Box::pin(self.read(key, range))
    }

    fn head<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<u64>> {
        Box::pin(self.length(key))
    }

    fn delete<'a>(&'a self, key: &'a Key) -> Pending<'a, ()> {
        Box::pin(self.remove(self.name(key)))
    }

    fn probe(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            let name = format!("{}{PROBE}", self.prefix);
            let put = self.client.objects().put(&self.bucket, &name).body_bytes(Bytes::from_static(b"probe"));
            put.send().await.map_err(storage_error)?;
            self.remove(name).await
        })
    }

    fn read_link<'a>(&'a self, key: &'a Key, link: ReadLink<'a>) -> Pending<'a, Option<String>> {
        Box::pin(async move { self.sign_read(key, &link).await })
    }

    fn write_link<'a>(&'a self, key: &'a Key, terms: WriteTerms) -> Pending<'a, Option<WriteLink>> {
        Box::pin(async move { self.sign_write(key, &terms).await.map(Some) })
    }
}

fn client(settings: &S3Settings, endpoint: &str, auth: Auth) -> Result<Client, StorageError> {
    let style = if settings.path_style { AddressingStyle::Path } else { AddressingStyle::Auto };
    let builder = Client::builder(endpoint).map_err(storage_error)?;
    let builder = builder
        .region(settings.region.clone())
        .auth(auth)
        .addressing_style(style)
        .timeout(REQUEST_TIMEOUT)
        .max_attempts(TRIES)
        .tls_root_store(AsyncTlsRootStore::System);
    builder.build().map_err(storage_error)
}

fn chunks(body: s3::types::ByteStream) -> Chunks {
    Box::pin(body.map(|chunk| chunk.map_err(|error| std::io::Error::other(storage_error(error)))))
}
