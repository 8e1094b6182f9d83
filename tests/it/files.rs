//! Files: uploaded once, used by many jobs, gone at their time.

use reqwest::Method;
use serde_json::json;
use wanserve::domain::key::Scope;

use crate::support::{Answer, Client, Part, Script, TestApp, png};

async fn upload(client: &Client, bytes: &[u8]) -> String {
    let parts = [Part::File("file", "cat.png", bytes), Part::Text("purpose", "vision")];
    let answer = client.post_form("/v1/files", &parts).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.id()
}

#[tokio::test]
async fn a_file_is_kept_listed_read_and_deleted() {
    let app = TestApp::start().await;
    let client = app.client();
    let picture = png(160, 160);
    let parts = [
        Part::File("file", "Kätzchen 1.png", &picture),
        Part::Text("purpose", "vision"),
        Part::Text("expires_after[anchor]", "created_at"),
        Part::Text("expires_after[seconds]", "3600"),
    ];
    let made = client.post_form("/v1/files", &parts).await.json();
    let mut keys: Vec<_> = made.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = [
        "bytes",
        "created_at",
        "expires_at",
        "filename",
        "id",
        "object",
        "purpose",
        "status",
        "status_details",
    ];
    assert_eq!(keys, expected);
    assert_eq!((&made["object"], &made["status"]), (&json!("file"), &json!("processed")));
    assert_eq!((made["bytes"].as_u64().unwrap(), &made["purpose"]), (picture.len() as u64, &json!("vision")));
    let lives = made["expires_at"].as_u64().unwrap() - made["created_at"].as_u64().unwrap();
    assert_eq!(lives, 3600);
    let id = made["id"].as_str().unwrap();
    assert_eq!(client.get(&format!("/v1/files/{id}")).await.json(), made);

    let content = client.get(&format!("/v1/files/{id}/content")).await;
    assert_eq!((content.status, &content.body[..]), (200, &picture[..]));
    assert_eq!(content.header("content-type"), Some("image/png"));
    let disposition = "attachment; filename*=UTF-8''K%C3%A4tzchen%201.png";
    assert_eq!(content.header("content-disposition"), Some(disposition));
    let part = client.request(Method::GET, &format!("/v1/files/{id}/content")).header("range", "bytes=1-3");
    assert_eq!(&Answer::of(part).await.body[..], b"PNG");

    let others: Vec<String> = [upload(&client, &picture).await, upload(&client, &picture).await].into();
    let page = client.get("/v1/files?limit=2").await.json();
    assert_eq!((&page["data"][0]["id"], &page["has_more"]), (&json!(others[1]), &json!(true)));
    let rest = client.get(&format!("/v1/files?after={}", page["last_id"].as_str().unwrap())).await.json();
    assert_eq!((&rest["data"][0]["id"], &rest["has_more"]), (&json!(id), &json!(false)));
    assert_eq!(client.get("/v1/files?purpose=user_data").await.json()["data"], json!([]));

    let gone = client.delete(&format!("/v1/files/{id}")).await;
    assert_eq!(gone.json(), json!({ "id": id, "object": "file", "deleted": true }));
    for path in [format!("/v1/files/{id}"), format!("/v1/files/{id}/content")] {
        assert_eq!(client.get(&path).await.refusal(), (404, "file_not_found".to_owned()));
    }
    assert_eq!(client.delete(&format!("/v1/files/{id}")).await.refusal(), (404, "file_not_found".to_owned()));
    let behind = client.get(&format!("/v1/files?order=asc&after={id}")).await.json();
    assert_eq!(behind["data"].as_array().unwrap().len(), 2, "a page goes on behind a deleted file");
}

#[tokio::test]
async fn what_is_no_good_file_is_refused_by_name() {
    let app = TestApp::start().await;
    let client = app.client();
    let (picture, tall) = (png(160, 160), png(100, 600));
    let large = vec![0xff; (10 << 20) + 1];
    let file = |bytes| Part::File("file", "a.png", bytes);
    let vision = || Part::Text("purpose", "vision");
    let anchor = || Part::Text("expires_after[anchor]", "created_at");
    for (parts, code, param) in [
        (vec![vision()], "missing_required_parameter", "file"),
        (vec![file(&picture)], "missing_required_parameter", "purpose"),
        (vec![file(&picture), Part::Text("purpose", "fine-tune")], "invalid_value", "purpose"),
        (vec![Part::Text("file", "not a file"), vision()], "invalid_type", "file"),
        (
            vec![file(b"GIF89a and then enough bytes to be a file"), vision()],
            "unsupported_image_format",
            "file",
        ),
        (vec![file(b"twenty bytes of text"), vision()], "invalid_image", "file"),
        (vec![file(&large), vision()], "image_too_large", "file"),
        (vec![file(&tall), vision()], "image_aspect_ratio", "file"),
        (vec![file(&tall), Part::Text("purpose", "user_data")], "image_aspect_ratio", "file"),
        (vec![file(b""), Part::Text("purpose", "user_data")], "invalid_value", "file"),
        (vec![file(&picture), vision(), Part::Text("foo", "1")], "unknown_parameter", "foo"),
        (
            vec![file(&picture), vision(), anchor(), Part::Text("expires_after[seconds]", "3599")],
            "invalid_value",
            "expires_after.seconds",
        ),
        (vec![file(&picture), vision(), anchor()], "missing_required_parameter", "expires_after.seconds"),
        (
            vec![file(&picture), vision(), Part::Text("expires_after[anchor]", "now")],
            "invalid_value",
            "expires_after.anchor",
        ),
    ] {
        let error = client.post_form("/v1/files", &parts).await.error();
        assert_eq!(error, (400, code.to_owned(), Some(param.to_owned())));
    }
    let long = "x".repeat(200 << 10);
    let texts = ["a", "b", "c", "d", "e", "f"].map(|name| Part::Text(name, &long));
    let refusal = client.post_form("/v1/files", &texts).await.refusal();
    assert_eq!(refusal, (413, "request_too_large".to_owned()), "the texts are too long together");
    let json = client.post("/v1/files", json!({ "purpose": "vision" })).await;
    assert_eq!(json.refusal(), (415, "unsupported_media_type".to_owned()));
    assert_eq!(client.get("/v1/files").await.json()["data"], json!([]), "nothing of it was kept");
}

#[tokio::test]
async fn other_data_is_kept_as_it_is_also_when_it_does_not_fit_in_memory() {
    let app = TestApp::start().await;
    let client = app.client();
    let data: Vec<u8> = (0..5_000_000).map(|index| (index % 249) as u8).collect();
    let parts = [Part::File("file", "data.bin", &data), Part::Text("purpose", "user_data")];
    let id = client.post_form("/v1/files", &parts).await.id();
    let content = client.get(&format!("/v1/files/{id}/content")).await;
    assert_eq!(content.header("content-type"), Some("application/octet-stream"));
    assert_eq!(content.body, data);
    let image = json!({ "prompt": "x", "image": id });
    let refused = client.post("/v1/videos/from-image", image).await.error();
    assert_eq!(refused, (400, "unsupported_image_format".to_owned(), Some("image".to_owned())));
}

#[tokio::test]
async fn a_job_keeps_its_own_copy_of_a_file() {
    let app = TestApp::start().await;
    let client = app.client();
    let id = upload(&client, &png(160, 160)).await;
    let mut jobs = Vec::new();
    for body in [
        json!({ "prompt": "x", "num_frames": 17, "image": id }),
        json!({ "prompt": "x", "num_frames": 17, "image": { "file_id": id } }),
    ] {
        let job = client.post("/v1/videos/from-image", body).await.json();
        assert_eq!(job["input_image"]["file_id"], json!(id), "{job}");
        jobs.push(job["id"].as_str().unwrap().to_owned());
    }
    let sdk = json!({ "prompt": "x", "num_frames": 17, "input_reference": { "file_id": id } });
    assert_eq!(client.post("/v1/videos", sdk).await.json()["operation"], "image_to_video");
    assert_eq!(client.delete(&format!("/v1/files/{id}")).await.status, 200);
    let _worker = app.worker(Script::Complete).await;
    for job in jobs {
        client.until(&job, |job| job["status"] == "completed").await;
    }
    let late = client.post("/v1/videos/from-image", json!({ "prompt": "x", "image": id })).await;
    assert_eq!(late.error(), (404, "file_not_found".to_owned(), Some("image".to_owned())));
}

#[tokio::test]
async fn files_are_for_their_project_and_for_keys_with_the_scope() {
    let app = TestApp::start().await;
    let id = upload(&app.client(), &png(160, 160)).await;
    let stranger = app.stranger().await;
    for path in [format!("/v1/files/{id}"), format!("/v1/files/{id}/content"), "/v1/files/..%2Fx".to_owned()]
    {
        assert_eq!(stranger.get(&path).await.refusal(), (404, "file_not_found".to_owned()));
    }
    let used = stranger.post("/v1/videos/from-image", json!({ "prompt": "x", "image": id })).await;
    assert_eq!(used.refusal(), (404, "file_not_found".to_owned()));
    assert_eq!(stranger.delete(&format!("/v1/files/{id}")).await.status, 404);
    assert_eq!(stranger.get("/v1/files").await.json()["data"], json!([]));
    assert_eq!(stranger.get(&format!("/v1/files?after={id}")).await.status, 400);
    let reader = app.limited_to(vec![Scope::FilesRead]).await;
    assert_eq!(reader.get(&format!("/v1/files/{id}")).await.status, 200);
    assert_eq!(
        reader.delete(&format!("/v1/files/{id}")).await.refusal(),
        (403, "insufficient_scope".to_owned())
    );
    let videos = app.limited_to(vec![Scope::VideosWrite]).await;
    assert_eq!(videos.get("/v1/files").await.refusal(), (403, "insufficient_scope".to_owned()));
}

#[tokio::test]
async fn an_upload_sent_twice_with_one_key_is_one_file() {
    let app = TestApp::start().await;
    let client = app.client();
    let picture = png(64, 64);
    let send = async |client: &Client, parts: &[Part<'_>]| {
        Answer::of(client.form("/v1/files", parts).header("idempotency-key", "k")).await
    };
    let first =
        send(&client, &[Part::File("file", "a.png", &picture), Part::Text("purpose", "vision")]).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (200, None));
    let turned = [Part::Text("purpose", "vision"), Part::File("file", "b.png", &picture)];
    let again = send(&client, &turned).await;
    assert_eq!((again.json(), again.header("idempotent-replayed")), (first.json(), Some("true")));
    let other = send(&client, &[Part::File("file", "a.txt", b"x"), Part::Text("purpose", "user_data")]).await;
    assert_eq!(other.refusal(), (422, "idempotency_key_reused".to_owned()));
    assert_eq!(client.get("/v1/files").await.json()["data"], json!([first.json()]), "one file");
    let elsewhere = send(&app.stranger().await, &turned).await;
    assert_eq!((elsewhere.status, elsewhere.header("idempotent-replayed")), (200, None));
    let refused = Answer::of(
        client.form("/v1/files", &[Part::Text("purpose", "vision")]).header("idempotency-key", "r"),
    );
    assert_eq!(refused.await.status, 400);
    let retried = client.form("/v1/files", &turned).header("idempotency-key", "r");
    assert_eq!(Answer::of(retried).await.status, 200, "a refusal uses no key up");
}
