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
        access_key_id: ACCESS_KEY.to_owned(),
        secret_access_key: SECRET_KEY.to_owned(),
        session_token: None,
    }
}

async fn started() -> (S3, Bucket) {
    let bucket = Bucket::start().await;
    // Short: the server makes file names of its keys, and those have limits.
    (S3::new(&settings(&bucket.endpoint, "p/")).unwrap(), bucket)
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
        let storage = S3::new(&settings(&endpoint, &prefix)).unwrap();
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
        secret_access_key: "another-secret-9876543210".to_owned(),
        ..settings(&bucket.endpoint, "")
    };
    let error = S3::new(&forged).unwrap().probe().await.unwrap_err();
    assert_eq!(error.kind(), "refused");
    assert!(!format!("{error} {error:?}").contains(ACCESS_KEY), "{error:?}");
}

#[tokio::test]
async fn clients_are_given_the_public_address() {
    let public = S3Settings {
        public_endpoint: Some("https://files.example.com".to_owned()),
        ..settings("http://127.0.0.1:9", "p/")
    };
    let storage = S3::new(&public).unwrap();
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
