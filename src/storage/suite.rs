//! The contract of `Storage`, run by every implementer.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use sha2::Digest;

use super::{Body, Key, ReadLink, Sha256, Storage, StorageError, WriteTerms};
use crate::domain::asset::Variant;
use crate::domain::id::{ID_RANDOM_BYTES, OrganizationId, ProjectId, VideoId};

/// Stamps out the suite for one implementer; `$make` gives it and whatever must live as long.
macro_rules! storage_suite {
    (@when asked $make:expr) => {
        crate::storage::suite::storage_suite!(@all asked $make);
    };
    (@all $when:ident $make:expr) => {
        crate::storage::suite::storage_suite!(@each $when $make;
            what_is_put_is_got_whole_and_in_ranges,
            attempts_do_not_overwrite_one_another,
            a_second_put_replaces_the_first,
            a_wrong_length_stores_nothing,
            a_failing_sender_stores_nothing,
            what_is_deleted_is_gone,
            a_range_outside_is_refused,
            a_large_file_comes_back_as_it_went,
            a_link_to_read_gives_the_file_and_needs_nothing_else,
            a_link_to_write_takes_that_file_and_no_other,
        );
    };
    (@each always $make:expr; $($case:ident,)+) => {$(
        #[tokio::test]
        async fn $case() {
            let (storage, _keep) = $make;
            crate::storage::suite::$case(&storage).await;
        }
    )+};
    (@each asked $make:expr; $($case:ident,)+) => {$(
        #[tokio::test]
        #[ignore = "a script starts its server and runs it"]
        async fn $case() {
            let (storage, _keep) = $make;
            crate::storage::suite::$case(&storage).await;
        }
    )+};
    ($make:expr) => {
        crate::storage::suite::storage_suite!(@all always $make);
    };
}
pub(super) use storage_suite;

pub(super) fn result_key(epoch: u32) -> Key {
    let random = [3; ID_RANDOM_BYTES];
    Key::Result {
        organization: OrganizationId::new(1, random),
        project: ProjectId::new(2, random),
        video: VideoId::new(3, random),
        epoch,
        variant: Variant::Video,
    }
}

pub(super) async fn what_is_put_is_got_whole_and_in_ranges(storage: &dyn Storage) {
    let (key, content) = (result_key(1), content(700_001));
    let chunks: Vec<_> = content.chunks(100_000).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let body = Body::stream(content.len() as u64, futures_util::stream::iter(chunks));
    let stored = storage.put(&key, body).await.unwrap();
    assert_eq!(stored.bytes, 700_001);
    assert_eq!(storage.head(&key).await.unwrap(), Some(700_001));
    assert_eq!(read(storage, &key, None).await, content);
    for range in [0..1, 0..700_001, 299_999..300_001, 700_000..700_001, 5..5] {
        let expected = &content[range.start as usize..range.end as usize];
        assert_eq!(read(storage, &key, Some(range.clone())).await, expected, "{range:?}");
    }
    let abc = storage.put(&key, Bytes::from_static(b"abc").into()).await.unwrap();
    let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(abc.sha256, known.parse::<Sha256>().unwrap());
}

pub(super) async fn attempts_do_not_overwrite_one_another(storage: &dyn Storage) {
    storage.put(&result_key(1), Bytes::from_static(b"first").into()).await.unwrap();
    storage.put(&result_key(2), Bytes::from_static(b"second").into()).await.unwrap();
    assert_eq!(read(storage, &result_key(1), None).await, b"first");
}

pub(super) async fn a_second_put_replaces_the_first(storage: &dyn Storage) {
    storage.put(&result_key(1), content(1000).into()).await.unwrap();
    storage.put(&result_key(1), Bytes::from_static(b"short").into()).await.unwrap();
    assert_eq!(read(storage, &result_key(1), None).await, b"short");
}

pub(super) async fn a_wrong_length_stores_nothing(storage: &dyn Storage) {
    let body = |bytes| Body::stream(bytes, futures_util::stream::iter([Ok(Bytes::from_static(b"12345"))]));
    let long = storage.put(&result_key(1), body(4)).await;
    assert!(matches!(long, Err(StorageError::TooLong { wanted: 4, got: 5 })));
    let short = storage.put(&result_key(1), body(6)).await;
    assert!(matches!(short, Err(StorageError::TooShort { wanted: 6, got: 5 })));
    assert_eq!(storage.head(&result_key(1)).await.unwrap(), None);
}

pub(super) async fn a_failing_sender_stores_nothing(storage: &dyn Storage) {
    let (sender, body) = Body::channel(10);
    let send = async move {
        assert!(sender.send(Ok(Bytes::from_static(b"half"))).await);
        sender.send(Err(io::ErrorKind::ConnectionReset.into())).await;
    };
    let key = result_key(1);
    let (put, ()) = tokio::join!(storage.put(&key, body), send);
    assert!(matches!(put, Err(StorageError::Sender(_))));
    assert_eq!(storage.head(&key).await.unwrap(), None);
    storage.probe().await.unwrap();
}

pub(super) async fn what_is_deleted_is_gone(storage: &dyn Storage) {
    storage.put(&result_key(1), content(10).into()).await.unwrap();
    storage.put(&result_key(2), content(10).into()).await.unwrap();
    storage.delete(&result_key(1)).await.unwrap();
    storage.delete(&result_key(1)).await.unwrap();
    assert!(matches!(storage.get(&result_key(1), None).await, Err(StorageError::NotFound { .. })));
    assert_eq!(storage.head(&result_key(2)).await.unwrap(), Some(10));
}

pub(super) async fn a_range_outside_is_refused(storage: &dyn Storage) {
    storage.put(&result_key(1), content(10).into()).await.unwrap();
    let outside = storage.get(&result_key(1), Some(5..11)).await;
    assert!(matches!(outside, Err(StorageError::OutOfRange { start: 5, end: 11, bytes: 10 })));
}

pub(super) async fn a_large_file_comes_back_as_it_went(storage: &dyn Storage) {
    // More than two parts of a bucket, and chunks that end nowhere near their borders.
    let (key, content) = (result_key(1), content(19_000_003));
    let chunks: Vec<_> = content.chunks(777_777).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let body = Body::stream(content.len() as u64, futures_util::stream::iter(chunks));
    let stored = storage.put(&key, body).await.unwrap();
    assert_eq!(stored.sha256, Sha256(sha2::Sha256::digest(&content).into()));
    assert_eq!(read(storage, &key, None).await, content);
    let across = 8_388_600..8_388_700;
    assert_eq!(read(storage, &key, Some(across)).await, content[8_388_600..8_388_700]);
    let (sender, body) = Body::channel(content.len() as u64);
    let send = async move {
        assert!(sender.send(Ok(content.slice(..9_000_000))).await);
        sender.send(Err(io::ErrorKind::ConnectionReset.into())).await;
    };
    let cut = result_key(2);
    let (put, ()) = tokio::join!(storage.put(&cut, body), send);
    assert!(matches!(put, Err(StorageError::Sender(_))));
    assert_eq!(storage.head(&cut).await.unwrap(), None);
}

pub(super) async fn a_link_to_read_gives_the_file_and_needs_nothing_else(storage: &dyn Storage) {
    let key = result_key(1);
    storage.put(&key, content(1000).into()).await.unwrap();
    let disposition = "attachment; filename=\"a.mp4\"";
    let link = ReadLink { lives: Duration::from_secs(60), content_type: "video/mp4", disposition };
    let Some(url) = storage.read_link(&key, link).await.unwrap() else { return };
    let answer = http().get(&url).header("range", "bytes=0-9").send().await.unwrap();
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.headers()["content-type"], "video/mp4");
    assert_eq!(answer.headers()["content-disposition"], disposition);
    assert_eq!(answer.bytes().await.unwrap(), content(10));
    let other = url.replace("/video.mp4", "/thumbnail.webp");
    assert_ne!(other, url);
    assert_eq!(http().get(&other).send().await.unwrap().status(), 403);
    assert_eq!(http().put(&url).body("x").send().await.unwrap().status(), 403);
}

pub(super) async fn a_link_to_write_takes_that_file_and_no_other(storage: &dyn Storage) {
    let (key, content) = (result_key(1), content(1000));
    let sha256 = Sha256(sha2::Sha256::digest(&content).into());
    let terms = WriteTerms { lives: Duration::from_secs(60), bytes: 1000, sha256 };
    let Some(link) = storage.write_link(&key, terms).await.unwrap() else { return };
    let put = async |url: &str, body: Bytes| {
        let request = http().put(url);
        let headers = link.headers.iter().filter(|(name, _)| name != "content-length");
        let request = headers.fold(request, |request, (name, value)| request.header(name, value));
        request.body(body).send().await.unwrap().status()
    };
    // A service may take a shorter file, or keep what it refused: whoever completes a job looks at the length.
    put(&link.url, content.slice(..999)).await;
    assert_ne!(storage.head(&key).await.unwrap(), Some(1000));
    let elsewhere = put(&link.url.replace("/1/video.mp4", "/2/video.mp4"), content.clone()).await;
    assert_eq!(elsewhere, 403);
    assert_eq!(storage.head(&result_key(2)).await.unwrap(), None);
    assert!(put(&link.url, content.clone()).await.is_success());
    assert_eq!(read(storage, &key, None).await, content);
}

#[expect(clippy::disallowed_methods, reason = "a test plays the outside world")]
fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn read(storage: &dyn Storage, key: &Key, range: Option<std::ops::Range<u64>>) -> Vec<u8> {
    let mut chunks = storage.get(key, range).await.unwrap();
    let mut all = Vec::new();
    while let Some(chunk) = chunks.next().await {
        all.extend_from_slice(&chunk.unwrap());
    }
    all
}

fn content(bytes: usize) -> Bytes {
    (0..bytes).map(|index| (index % 251) as u8).collect()
}
