//! Downloading: whole, in part, unchanged, not yet, never.

use reqwest::Method;
use wanserve::domain::failure::FailureCode;

use crate::support::{Answer, CLIP, Client, Script, THUMBNAIL, TestApp};

async fn get_with(client: &Client, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = client.request(Method::GET, path);
    Answer::of(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

#[tokio::test]
async fn a_completed_video_is_served_in_all_its_variants() {
    let app = TestApp::start().await;
    let client = app.client();
    let _worker = app.worker(Script::Complete).await;
    let job = client.finish().await;
    let id = job["id"].as_str().unwrap();
    let video = client.get(&format!("/v1/videos/{id}/content")).await;
    assert_eq!((video.status, &video.body[..]), (200, CLIP));
    assert_eq!(video.header("content-type"), Some("video/mp4"));
    assert_eq!(video.header("accept-ranges"), Some("bytes"));
    assert_eq!(
        video.header("etag"),
        Some(format!("\"{}\"", job["assets"][0]["sha256"].as_str().unwrap()).as_str())
    );
    assert_eq!(
        video.header("content-disposition"),
        Some(format!("attachment; filename=\"{id}.mp4\"").as_str())
    );
    assert_eq!(video.header("cache-control"), Some("private, max-age=3600, immutable"));
    assert!(video.header("last-modified").unwrap().ends_with("GMT"));

    let thumbnail = client.get(&format!("/v1/videos/{id}/content?variant=thumbnail")).await;
    assert_eq!((thumbnail.header("content-type"), &thumbnail.body[..]), (Some("image/webp"), THUMBNAIL));
    let sheet = client.get(&format!("/v1/videos/{id}/content?variant=spritesheet")).await;
    assert_eq!(sheet.refusal(), (404, "variant_not_available".to_owned()));
    let wrong = client.get(&format!("/v1/videos/{id}/content?variant=x")).await;
    assert_eq!(wrong.error(), (400, "invalid_value".to_owned(), Some("variant".to_owned())));
    let served = app.metrics.content_served_bytes_total.value(["video"]);
    assert_eq!(served, CLIP.len() as f64);
}

#[tokio::test]
async fn parts_and_conditions_follow_the_standard() {
    let app = TestApp::start().await;
    let client = app.client();
    let _worker = app.worker(Script::Complete).await;
    let job = client.finish().await;
    let path = format!("/v1/videos/{}/content", job["id"].as_str().unwrap());
    let whole = client.get(&path).await;
    let (tag, modified) = (whole.header("etag").unwrap(), whole.header("last-modified").unwrap());
    let length = CLIP.len();

    let part = get_with(&client, &path, &[("range", "bytes=4-7")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &b"ftyp"[..]));
    assert_eq!(part.header("content-range"), Some(format!("bytes 4-7/{length}").as_str()));
    assert_eq!(part.header("content-length"), Some("4"));
    let beyond = get_with(&client, &path, &[("range", "bytes=99999999999-")]).await;
    assert_eq!(beyond.refusal(), (416, "range_not_satisfiable".to_owned()));
    assert_eq!(beyond.header("content-range"), Some(format!("bytes */{length}").as_str()));
    let several = get_with(&client, &path, &[("range", "bytes=0-1,4-5")]).await;
    assert_eq!((several.status, several.body.len()), (200, length));

    for (name, value) in [("if-none-match", tag), ("if-modified-since", modified)] {
        let same = get_with(&client, &path, &[(name, value)]).await;
        assert_eq!((same.status, same.body.len()), (304, 0), "{name}");
        assert_eq!(same.header("etag"), Some(tag));
    }
    for (condition, status) in [(tag, 206), (modified, 206), ("\"other\"", 200)] {
        let answer = get_with(&client, &path, &[("range", "bytes=0-0"), ("if-range", condition)]).await;
        assert_eq!(answer.status, status, "{condition}");
    }

    let head = Answer::of(client.request(Method::HEAD, &path)).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in
        ["content-length", "content-type", "etag", "accept-ranges", "content-disposition", "last-modified"]
    {
        assert_eq!(head.header(name), whole.header(name), "{name}");
    }
}

#[tokio::test]
async fn a_video_that_is_not_there_says_whether_to_come_back() {
    let app = TestApp::start().await;
    let client = app.client();
    let id = client.submit().await;
    let early = client.get(&format!("/v1/videos/{id}/content")).await;
    assert_eq!(early.refusal(), (409, "video_not_ready".to_owned()));
    assert_eq!(early.header("x-should-retry"), Some("false"));
    assert!(early.header("retry-after-ms").unwrap().parse::<u64>().unwrap() <= 60_000);
    let _worker = app.worker(Script::Fail(FailureCode::InvalidOutput)).await;
    client.until(&id, |job| job["status"] == "failed").await;
    let failed = client.get(&format!("/v1/videos/{id}/content")).await;
    assert_eq!(failed.refusal(), (404, "video_not_available".to_owned()));
    let stranger = app.stranger().await.get(&format!("/v1/videos/{id}/content")).await;
    assert_eq!(stranger.refusal(), (404, "video_not_found".to_owned()));
}
