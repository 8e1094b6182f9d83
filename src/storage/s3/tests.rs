//! The contract against two real servers: one in this process, and Ceph's gateway where `scripts/radosgw.sh` runs it.

use super::*;
use crate::storage::suite;

#[path = "../../../tests/it/support/bucket.rs"]
#[expect(dead_code, reason = "the tests over HTTP use the rest of it")]
mod bucket;

use bucket::{ACCESS_KEY, BUCKET, Bucket, Mood, SECRET_KEY};

fn settings(endpoint: &str, prefix: &str) -> S3Settings {
    S3Settings {
        endpoint: endpoint.to_owned(),
        public_endpoint: None,
        region: "us-east-1".to_owned(),
        bucket: BUCKET.to_owned(),
        prefix: prefix.to_owned(),
        path_style: true,
        access: keys(ACCESS_KEY, SECRET_KEY),
    }
}

fn keys(id: &str, secret: &str) -> S3Access {
    S3Access::Keys { access_key_id: id.to_owned(), secret_access_key: secret.to_owned(), session_token: None }
}

async fn started() -> (S3, Bucket) {
    let bucket = Bucket::start().await;
    // Short: the server makes file names of its keys, and those have limits.
    (S3::open(&settings(&bucket.endpoint, "p/")).await.unwrap(), bucket)
}

mod in_process {
    crate::storage::suite::storage_suite!(super::started().await);
}

/// `scripts/radosgw.sh` starts it, says where it is, and runs these.
mod radosgw {
    use super::{BUCKET, S3, settings};

    /// With the bucket, and a prefix of its own for each test.
    #[expect(clippy::disallowed_methods, reason = "how the script tells a test where its server is")]
    async fn gateway() -> (S3, ()) {
        let endpoint = std::env::var("RADOSGW_ENDPOINT").expect("scripts/radosgw.sh says where it is");
        let prefix = format!("{}/", uuid::Uuid::now_v7().simple());
        let storage = S3::open(&settings(&endpoint, &prefix)).await.unwrap();
        // Ours already, from the second test on: that is no error there.
        storage.client.buckets().create(BUCKET).send().await.unwrap();
        (storage, ())
    }

    crate::storage::suite::storage_suite!(@when asked gateway().await);
}

#[tokio::test]
async fn each_trouble_of_a_bucket_is_told_apart_and_none_outlasts_it() {
    let (storage, bucket) = started().await;
    for (mood, kind) in [(Mood::Down, "down"), (Mood::Full, "full"), (Mood::Refuses, "refused")] {
        bucket.turn(mood);
        assert_eq!(storage.probe().await.unwrap_err().kind(), kind, "{mood:?}");
        let put = storage.put(&suite::result_key(1), Bytes::from_static(b"x").into()).await;
        assert_eq!(put.unwrap_err().kind(), kind, "{mood:?}");
        bucket.turn(Mood::Works);
        storage.probe().await.unwrap();
    }
    let forged = S3Settings {
        access: keys(ACCESS_KEY, "another-secret-9876543210"),
        ..settings(&bucket.endpoint, "")
    };
    let error = S3::open(&forged).await.unwrap().probe().await.unwrap_err();
    assert_eq!(error.kind(), "refused");
    assert!(!format!("{error} {error:?}").contains(ACCESS_KEY), "{error:?}");
}

#[tokio::test]
async fn clients_are_given_the_public_address() {
    let public = S3Settings {
        public_endpoint: Some("https://files.example.com".to_owned()),
        ..settings("http://127.0.0.1:9", "p/")
    };
    let storage = S3::open(&public).await.unwrap();
    let key = suite::result_key(1);
    let link =
        ReadLink { lives: Duration::from_secs(60), content_type: "video/mp4", disposition: "attachment" };
    let read = storage.read_link(&key, link).await.unwrap().unwrap();
    assert!(read.starts_with(&format!("https://files.example.com/{BUCKET}/p/{}?", key.path())), "{read}");
    let terms =
        WriteTerms { lives: Duration::from_secs(60), bytes: 1, sha256: crate::storage::Sha256([0; 32]) };
    let write = storage.write_link(&key, terms).await.unwrap().unwrap();
    assert!(write.url.starts_with("http://127.0.0.1:9/"), "{}", write.url);
}

fn profile(id: &str, secret: &str) -> String {
    format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n")
}

#[tokio::test]
async fn credentials_of_a_file_are_changed_without_a_restart() {
    let bucket = Bucket::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let by_file = S3Settings { access: S3Access::File(file.clone()), ..settings(&bucket.endpoint, "p/") };
    let refused = S3::open(&by_file).await.err().unwrap();
    assert_eq!(refused.kind(), "refused", "there is no such file: {refused}");
    std::fs::write(&file, profile(ACCESS_KEY, SECRET_KEY)).unwrap();
    let storage = S3::open(&by_file).await.unwrap();
    let key = suite::result_key(1);
    storage.put(&key, Bytes::from_static(b"one").into()).await.unwrap();

    bucket.hand_over("AKIDOFTHETESTS000002", "another-secret-9876543210");
    let late = storage.put(&key, Bytes::from_static(b"two").into()).await.unwrap_err();
    assert_eq!(late.kind(), "refused", "{late}");
    std::fs::write(&file, profile("AKIDOFTHETESTS000002", "another-secret-9876543210")).unwrap();
    storage.put(&key, Bytes::from_static(b"three").into()).await.unwrap();
    let link =
        ReadLink { lives: Duration::from_secs(60), content_type: "video/mp4", disposition: "attachment" };
    let read = storage.read_link(&key, link).await.unwrap().unwrap();
    assert!(read.contains("X-Amz-Credential=AKIDOFTHETESTS000002"), "{read}");

    // Somebody writes it anew, and is not done yet.
    std::fs::write(&file, "[default]\naws_access_key").unwrap();
    storage.put(&key, Bytes::from_static(b"four").into()).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(storage.head(&key).await.unwrap(), Some(4));
}

/// Good for so many seconds from whenever it is asked.
#[derive(Debug)]
struct Ending(i64);

impl s3::CredentialsProvider for Ending {
    fn credentials_async(
        &self,
    ) -> std::pin::Pin<Box<dyn Future<Output = s3::Result<s3::CredentialsSnapshot>> + Send + '_>> {
        let ends = time::OffsetDateTime::now_utc() + time::Duration::seconds(self.0);
        let keys = s3::Credentials::new(ACCESS_KEY, SECRET_KEY);
        Box::pin(async move { Ok(s3::CredentialsSnapshot::new(keys?).with_expires_at(ends)) })
    }
}

#[tokio::test]
async fn no_address_is_given_that_dies_before_its_time() {
    let auth = Auth::provider(std::sync::Arc::new(Ending(100)));
    let storage = S3::with(&settings("http://127.0.0.1:9", "p/"), auth).unwrap();
    let key = suite::result_key(1);
    let read = async |seconds| {
        let lives = Duration::from_secs(seconds);
        let link = ReadLink { lives, content_type: "video/mp4", disposition: "attachment" };
        storage.read_link(&key, link).await.unwrap()
    };
    assert!(read(60).await.is_some_and(|url| url.contains("X-Amz-Expires=60&")));
    assert_eq!(read(300).await, None, "the server gives one of its own");
    let terms =
        WriteTerms { lives: Duration::from_secs(600), bytes: 1, sha256: crate::storage::Sha256([0; 32]) };
    let write = storage.write_link(&key, terms).await.unwrap().unwrap();
    assert!(write.url.contains("X-Amz-Expires=98&"), "{}", write.url);
}
