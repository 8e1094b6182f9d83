//! Creating from a picture in every form, and what is refused about pictures.

use serde_json::json;

use crate::support::{Part, Script, Setup, Sink, TestApp, encoded, jpeg, png};

#[tokio::test]
async fn every_form_of_a_picture_is_taken() {
    let app = TestApp::start().await;
    let client = app.client();
    let picture = png(160, 200);
    let url = encoded(&picture);
    let answers = [
        client
            .post_form(
                "/v1/videos/from-image",
                &[Part::Text("prompt", "x"), Part::File("image", "a.png", &picture)],
            )
            .await,
        client
            .post_form(
                "/v1/videos/from-image",
                &[Part::Text("prompt", "x"), Part::Text("image[image_url]", &url)],
            )
            .await,
        client
            .post_form("/v1/videos/from-image", &[Part::Text("prompt", "x"), Part::Text("image", &url)])
            .await,
        client.post("/v1/videos/from-image", json!({ "prompt": "x", "image": url })).await,
        client.post("/v1/videos/from-image", json!({ "prompt": "x", "image": { "image_url": url } })).await,
        client.post("/v1/videos/from-image", json!({ "prompt": "x", "input_reference": url })).await,
        client
            .post_form(
                "/v1/videos",
                &[Part::Text("prompt", "x"), Part::File("input_reference", "upload", &picture)],
            )
            .await,
        client.post("/v1/videos", json!({ "prompt": "x", "input_reference": { "image_url": url } })).await,
    ];
    for answer in answers {
        assert_eq!(answer.status, 200, "{answer:?}");
        let job = answer.json();
        assert_eq!(job["operation"], "image_to_video");
        assert_eq!((&job["input_image"]["width"], &job["input_image"]["height"]), (&json!(160), &json!(200)));
        assert_eq!(job["input_image"]["content_type"], "image/png");
        assert_eq!(job["parameters"]["adaptive_resolution"], true);
        assert_eq!(job["parameters"]["ode"], true);
        assert_eq!(job["size"], "144x192");
    }
}

#[tokio::test]
async fn the_worker_gets_the_picture() {
    let app = TestApp::start().await;
    let _worker = app.worker(Script::Complete).await;
    let picture = jpeg(300, 300);
    let parts =
        [Part::Text("prompt", "x"), Part::Text("size", "160x160"), Part::File("image", "a", &picture)];
    let answer = app.client().post_form("/v1/videos/from-image?wait=30", &parts).await;
    let job = answer.json();
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(job["parameters"]["image_fit"], "crop");
    assert_eq!(job["input_image"]["content_type"], "image/jpeg");
}

#[tokio::test]
async fn unusable_pictures_fail_the_request_and_not_the_job() {
    let app = TestApp::start().await;
    let client = app.client();
    let gif =
        b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\0\0\0!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"
            .to_vec();
    let mut large = png(64, 64);
    large.resize(11 << 20, 0);
    let mut broken = png(100, 100);
    broken.truncate(80);
    let cases = [
        (gif, "unsupported_image_format"),
        (b"GIF89a\x01\0\x01\0".to_vec(), "unsupported_image_format"),
        (vec![7; 20], "invalid_image"),
        (broken, "invalid_image"),
        (large, "image_too_large"),
        (png(500, 63), "image_dimensions"),
        (png(1000, 125), "image_aspect_ratio"),
    ];
    for (bytes, code) in cases {
        let parts = [Part::Text("prompt", "x"), Part::File("image", "a", &bytes)];
        let seen = client.post_form("/v1/videos/from-image", &parts).await.error();
        assert_eq!(seen, (400, code.to_owned(), Some("image".to_owned())));
    }
}

#[tokio::test]
async fn what_is_no_picture_is_named() {
    let app = TestApp::start().await;
    let client = app.client();
    let data = encoded(&png(64, 64));
    let cases = [
        (json!({ "prompt": "x" }), "missing_required_parameter", "image"),
        (json!({ "prompt": "x", "image": 5 }), "invalid_type", "image"),
        (json!({ "prompt": "x", "image": "http://169.254.169.254/x" }), "image_url_not_allowed", "image"),
        (json!({ "prompt": "x", "image": "file:///etc/passwd" }), "image_url_not_allowed", "image"),
        (
            json!({ "prompt": "x", "image": { "image_url": "data:text/plain,x" } }),
            "invalid_image",
            "image.image_url",
        ),
        (
            json!({ "prompt": "x", "image": data, "input_reference": data }),
            "invalid_value",
            "input_reference",
        ),
        (
            json!({ "prompt": "x", "image": data, "adaptive_resolution": true, "size": "160x160" }),
            "invalid_value",
            "adaptive_resolution",
        ),
        (json!({ "prompt": "x", "image": data, "boundary": 0.5 }), "unsupported_parameter", "boundary"),
    ];
    for (body, code, param) in cases {
        let seen = client.post("/v1/videos/from-image", body).await.error();
        assert_eq!(seen, (400, code.to_owned(), Some(param.to_owned())));
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_cut_off() {
    let app = TestApp::start().await;
    let huge = vec![0; 17 << 20];
    let parts = [Part::Text("prompt", "x"), Part::File("image", "a", &huge)];
    let seen = app.client().post_form("/v1/videos/from-image", &parts).await.refusal();
    assert_eq!(seen, (413, "request_too_large".to_owned()));
    let long = "x".repeat(257 << 10);
    let seen = app.client().post_form("/v1/videos", &[Part::Text("prompt", &long)]).await.refusal();
    assert_eq!(seen, (413, "request_too_large".to_owned()));
    let body = json!({ "prompt": "x", "metadata": { "a": "x".repeat(2 << 20) } });
    let seen = app.client().post("/v1/videos/generations", body).await.refusal();
    assert_eq!(seen, (413, "request_too_large".to_owned()));
}

#[tokio::test]
async fn a_picture_is_fetched_by_url_within_the_limits() {
    let picture = png(160, 200);
    let whole = |head: &str, body: &[u8]| [head.as_bytes(), body].concat();
    let good = whole(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", picture.len()), &picture);
    let sink = Sink::start(vec![
        good,
        whole("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", b""),
        whole("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n", b"x"),
        whole("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n", b""),
        whole("HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n", &[b'<'; 40]),
    ])
    .await;
    let app = TestApp::with(Setup { reachable_ports: vec![sink.port], ..Setup::default() }).await;
    let client = app.client();
    let body = json!({ "prompt": "x", "image": { "image_url": sink.url("/a.png") } });
    let made = client.post("/v1/videos/from-image", body.clone()).await;
    assert_eq!((made.status, &made.json()["input_image"]["width"]), (200, &json!(160)));
    for code in ["image_fetch_failed", "image_too_large", "image_url_not_allowed", "unsupported_image_format"]
    {
        let answer = client.post("/v1/videos/from-image", body.clone()).await;
        assert!(!String::from_utf8_lossy(&answer.body).contains("127.0.0.1"), "{answer:?}");
        assert_eq!(answer.error(), (400, code.to_owned(), Some("image.image_url".to_owned())));
    }
    assert_eq!(app.metrics.outbound_blocked_total.value(["image"]), 1.0);
}
