//! Finished files by address: of this server, and of a bucket.

use std::sync::Arc;

use reqwest::Method;
use serde_json::json;
use wanserve::storage::{S3, S3Access, S3Settings};

use crate::support::{
    ACCESS_KEY, Answer, BUCKET, Bucket, CLIP, Client, SECRET_KEY, Script, Setup, THUMBNAIL, TestApp, png,
};

async fn with_bucket() -> (TestApp, Bucket) {
    let bucket = Bucket::start().await;
    let settings = S3Settings {
        endpoint: bucket.endpoint.clone(),
        public_endpoint: None,
        region: "us-east-1".to_owned(),
        bucket: BUCKET.to_owned(),
        prefix: "tests/".to_owned(),
        path_style: true,
        access: S3Access::Keys {
            access_key_id: ACCESS_KEY.to_owned(),
            secret_access_key: SECRET_KEY.to_owned(),
            session_token: None,
        },
    };
    let storage = Arc::new(S3::open(&settings).await.unwrap());
    (TestApp::with(Setup { storage: Some(storage), ..Setup::default() }).await, bucket)
}

/// Without any key.
async fn fetch(url: &str) -> Answer {
    let (base, path) = url.split_at(url[8..].find('/').unwrap() + 8);
    Answer::of(Client::anonymous_at(base).request(Method::GET, path)).await
}

#[tokio::test]
async fn an_address_of_the_server_gives_one_file_for_a_while() {
    let app = TestApp::start().await;
    let client = app.client();
    let id = client.submit().await;
    let early = client.get(&format!("/v1/videos/{id}/download_url")).await;
    assert_eq!(early.refusal(), (409, "video_not_ready".to_owned()));
    let _worker = app.worker(Script::Complete).await;
    let job = client.until(&id, |job| job["status"] == "completed").await;
    let answer = client.get(&format!("/v1/videos/{id}/download_url?variant=thumbnail&expires_in=60")).await;
    let link = answer.json();
    let mut keys: Vec<_> = link.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["expires_at", "object", "url", "variant", "video_id"]);
    assert_eq!((&link["object"], &link["variant"]), (&json!("video.download_url"), &json!("thumbnail")));
    let url = link["url"].as_str().unwrap();
    let file = fetch(url).await;
    assert_eq!((file.status, &file.body[..]), (200, THUMBNAIL));
    assert_eq!(file.header("content-type"), Some("image/webp"));
    let (base, path) = url.split_at(url[8..].find('/').unwrap() + 8);
    let head = Answer::of(Client::anonymous_at(base).request(Method::HEAD, path)).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(THUMBNAIL.len().to_string().as_str()));
    let longest = client.get(&format!("/v1/videos/{id}/download_url?expires_in=604800")).await.json();
    assert_eq!(longest["expires_at"], job["expires_at"], "never past the end of the file");
    assert_eq!(&fetch(longest["url"].as_str().unwrap()).await.body[..], CLIP);
    for (from, to) in
        [("thumbnail?", "video?"), ("expires=", "expires=9"), ("signature=", "signature=A"), (&id, "video_x")]
    {
        assert_ne!(url.replace(from, to), url);
        assert_eq!(fetch(&url.replace(from, to)).await.refusal(), (404, "resource_not_found".to_owned()));
    }
    for wrong in ["expires_in=59", "expires_in=604801", "expires_in=x", "variant=x"] {
        assert_eq!(client.get(&format!("/v1/videos/{id}/download_url?{wrong}")).await.status, 400, "{wrong}");
    }
    let stranger = app.stranger().await.get(&format!("/v1/videos/{id}/download_url")).await;
    assert_eq!(stranger.refusal(), (404, "video_not_found".to_owned()));
    client.delete(&format!("/v1/videos/{id}")).await;
    assert_eq!(fetch(url).await.refusal(), (404, "video_not_found".to_owned()));
}

#[tokio::test]
async fn a_redirect_leads_to_the_bytes() {
    let app = TestApp::start().await;
    let client = app.client();
    let _worker = app.worker(Script::Complete).await;
    let job = client.finish().await;
    let path = format!("/v1/videos/{}/content", job["id"].as_str().unwrap());
    let answer = client.get(&format!("{path}?redirect=true")).await;
    assert_eq!((answer.status, answer.header("cache-control")), (302, Some("no-store")));
    assert_eq!(&fetch(answer.header("location").unwrap()).await.body[..], CLIP);
    assert_eq!(client.get(&format!("{path}?redirect=false")).await.status, 200);
    assert_eq!(client.get(&format!("{path}?redirect=maybe")).await.status, 400);
}

#[tokio::test]
async fn with_a_bucket_files_go_to_it_and_come_from_it_without_our_keys() {
    let (app, bucket) = with_bucket().await;
    let client = app.client();
    let _worker = app.worker(Script::Complete).await;
    let body = json!({ "prompt": "x", "num_frames": 17, "num_steps": 1, "image": crate::support::encoded(&png(160, 160)) });
    let id = client.post("/v1/videos/from-image", body).await.id();
    let job = client.until(&id, |job| job["status"] == "completed").await;
    let uploads: Vec<_> =
        bucket.asked().into_iter().filter(|asked| asked.uri.contains("X-Amz-Signature")).collect();
    assert_eq!(uploads.len(), 2, "the worker puts both files itself: {uploads:?}");
    assert!(
        uploads.iter().all(|asked| asked.method == "PUT"
            && !asked.authorized
            && asked.uri.contains(&format!("{id}/1/")))
    );
    let project = format!("/{BUCKET}/tests/{}/{}/", app.scope.organization, app.scope.project);
    assert!(bucket.asked().iter().all(|asked| asked.uri.starts_with(&project)), "{:?}", bucket.asked());

    let path = format!("/v1/videos/{id}/content");
    let whole = client.get(&path).await;
    assert_eq!((whole.status, &whole.body[..]), (200, CLIP));
    assert_eq!(
        whole.header("etag"),
        Some(format!("\"{}\"", job["assets"][0]["sha256"].as_str().unwrap()).as_str())
    );
    let part = Answer::of(client.request(Method::GET, &path).header("range", "bytes=4-7")).await;
    assert_eq!((part.status, &part.body[..]), (206, &b"ftyp"[..]));
    let sent_to = client.get(&format!("{path}?redirect=true")).await;
    let location = sent_to.header("location").unwrap();
    assert!(location.starts_with(&bucket.endpoint) && location.contains("X-Amz-Expires=300&"), "{location}");
    let direct = fetch(location).await;
    assert_eq!((direct.status, &direct.body[..]), (200, CLIP));
    assert_eq!(
        direct.header("content-disposition"),
        Some(format!("attachment; filename=\"{id}.mp4\"").as_str())
    );
    assert!(!bucket.asked().last().unwrap().authorized);
    let link = client.get(&format!("/v1/videos/{id}/download_url?variant=thumbnail")).await.json();
    assert_eq!(&fetch(link["url"].as_str().unwrap()).await.body[..], THUMBNAIL);

    client.delete(&format!("/v1/videos/{id}")).await;
    let erased = bucket.asked().iter().filter(|asked| asked.method == "DELETE").count();
    assert_eq!(erased, 4, "three results that may be there, and the input");
    assert_eq!(fetch(location).await.status, 404);
}

#[tokio::test]
async fn a_bucket_in_trouble_delays_and_loses_nothing() {
    use crate::support::Mood;
    for mood in [Mood::Down, Mood::Full, Mood::Refuses] {
        let (app, bucket) = with_bucket().await;
        let client = app.client();
        let worker = app.worker(Script::Hold).await;
        let id = client.submit().await;
        client.until(&id, |job| job["status"] == "in_progress").await;
        bucket.turn(mood);
        worker.follow(Script::Complete);
        bucket.until_asked(2).await;
        let waiting = client.get(&format!("/v1/videos/{id}")).await.json();
        assert_eq!((&waiting["status"], &waiting["attempt"]), (&json!("in_progress"), &json!(1)), "{mood:?}");
        let image =
            json!({ "prompt": "x", "num_frames": 17, "image": crate::support::encoded(&png(160, 160)) });
        let refused = client.post("/v1/videos/from-image", image).await;
        assert_eq!(refused.refusal(), (503, "server_is_overloaded".to_owned()), "{mood:?}");
        assert_eq!(refused.header("x-should-retry"), Some("true"));
        let text = client.submit().await;
        bucket.turn(Mood::Works);
        for id in [id, text] {
            let done = client.until(&id, |job| job["status"] == "completed").await;
            assert_eq!(done["attempt"], 1, "{mood:?}");
            assert_eq!(&client.get(&format!("/v1/videos/{id}/content")).await.body[..], CLIP);
        }
    }
}
