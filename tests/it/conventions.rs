//! What holds for every answer: headers, the envelope, methods, media types, health and metrics.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Part, Script, Setup, TestApp};

#[tokio::test]
async fn every_answer_carries_the_headers_of_the_contract() {
    let app = TestApp::start().await;
    let client = app.client();
    let id = client.submit().await;
    for path in [
        "/v1/videos".to_owned(),
        format!("/v1/videos/{id}"),
        "/v1/models".to_owned(),
        "/v1/videos/video_x".to_owned(),
    ] {
        let answer = client.get(&path).await;
        let request_id = answer.header("x-request-id").unwrap();
        assert!(request_id.starts_with("req_") && request_id.len() == 36, "{request_id}");
        assert!(answer.header("openai-processing-ms").unwrap().parse::<u64>().is_ok());
        assert_eq!(answer.header("openai-version"), Some("2020-10-01"));
        assert_eq!(answer.header("openai-organization"), Some(app.scope.organization.to_string().as_str()));
        assert_eq!(answer.header("openai-project"), Some(app.scope.project.to_string().as_str()));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let health = client.get("/healthz").await;
    assert!(health.header("x-request-id").is_some() && health.header("openai-version").is_none());
}

#[tokio::test]
async fn what_is_no_route_is_said_in_the_envelope() {
    let app = TestApp::start().await;
    let client = app.client();
    for path in ["/", "/v1", "/v1/nothing", "/v1/videos/a/b/c", "/v2/videos"] {
        assert_eq!(client.get(path).await.refusal(), (404, "unknown_url".to_owned()), "{path}");
    }
    for (method, path, allowed) in [
        (Method::GET, "/v1/videos/generations", "POST"),
        (Method::DELETE, "/v1/videos/from-image", "POST"),
        (Method::PUT, "/v1/videos", "GET, POST"),
        (Method::PATCH, "/v1/videos/video_x", "GET, DELETE"),
        (Method::POST, "/v1/models", "GET"),
    ] {
        let answer = Answer::of(client.request(method, path)).await;
        assert_eq!(answer.refusal(), (405, "method_not_allowed".to_owned()), "{path}");
        assert_eq!(answer.header("allow"), Some(allowed), "{path}");
    }
    assert_eq!(client.get("/v1/videos/").await.status, 200, "a trailing slash is accepted");
    assert_eq!(client.get("/v1/models/?x=1").await.status, 200);
}

#[tokio::test]
async fn bodies_in_other_types_or_pieces_are_refused() {
    let app = TestApp::start().await;
    let client = app.client();
    let send = |path: &'static str, kind: &'static str, body: &'static str| {
        let request = client.request(Method::POST, path).header("content-type", kind).body(body);
        async move { Answer::of(request).await.refusal() }
    };
    let json = "application/json; charset=utf-8";
    assert_eq!(
        send("/v1/videos/generations", "text/plain", "x").await,
        (415, "unsupported_media_type".to_owned())
    );
    assert_eq!(send("/v1/videos", "application/xml", "x").await, (415, "unsupported_media_type".to_owned()));
    assert_eq!(send("/v1/videos/generations", json, "{\"prompt\":").await, (400, "invalid_json".to_owned()));
    assert_eq!(
        send("/v1/videos/generations", json, "").await,
        (400, "missing_required_parameter".to_owned())
    );
    let broken = "--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nx";
    let kind = "multipart/form-data; boundary=b";
    assert_eq!(send("/v1/videos", kind, broken).await, (400, "invalid_multipart".to_owned()));
    assert_eq!(send("/v1/videos", "multipart/form-data", "x").await, (400, "invalid_multipart".to_owned()));
    let form = client.post_form("/v1/videos/generations", &[Part::Text("prompt", "x")]).await;
    assert_eq!(form.refusal(), (415, "unsupported_media_type".to_owned()));
}

#[tokio::test]
async fn models_say_what_they_can() {
    let app = TestApp::start().await;
    let client = app.client();
    let _worker = app.worker(Script::Complete).await;
    client.finish().await;
    // The measurement is written after the job's end, so it may come a moment later than the answer.
    let measured = |model: &Value| model["capabilities"]["typical_seconds"]["128p/1"].is_number();
    client.until_at("/v1/models/wan-tiny", measured).await;
    let list = client.get("/v1/models").await.json();
    assert_eq!((&list["object"], &list["data"][0]["id"]), (&json!("list"), &json!("wan-tiny")));
    let model = client.get("/v1/models/Wan-Tiny").await.json();
    assert_eq!(model, list["data"][0]);
    let able = &model["capabilities"];
    assert_eq!((&able["seconds"], &able["max_frames"]), (&json!(["1", "2"]), &json!(33)));
    assert_eq!((&able["boundary"], &able["num_steps"]), (&json!(false), &json!([1, 2, 3, 4])));
    assert!(able["typical_seconds"]["128p/1"].is_number(), "measured by the job before: {able}");
    let none = client.get("/v1/models/gpt-5").await;
    assert_eq!(none.error(), (404, "model_not_found".to_owned(), Some("model".to_owned())));
}

#[tokio::test]
async fn a_model_says_what_memory_its_jobs_needed_on_gpus() {
    let app = TestApp::start().await;
    let client = app.client();
    let worker = app.worker(Script::Complete).await;
    let needed = async || {
        client.finish().await;
        // A worker has told all about one job before it takes the next.
        client.finish().await;
        client.get("/v1/models/wan-tiny").await.json()["capabilities"]["min_vram_bytes"].clone()
    };
    assert_eq!(needed().await, json!({}), "a CPU has none");
    for (bytes, told) in
        [(6_000_000_000_u64, 6_000_000_000_u64), (7_000_000_000, 7_000_000_000), (5, 7_000_000_000)]
    {
        worker.needs_memory(bytes);
        assert_eq!(needed().await, json!({ "false": told }), "the most that one needed, by variant");
    }
}

#[tokio::test]
async fn a_model_without_a_worker_is_not_listed() {
    let app = TestApp::start().await;
    let client = app.client();
    assert_eq!(client.get("/v1/models").await.json()["data"], json!([]));
    let missing = client.get("/v1/models/wan-tiny").await;
    assert_eq!(missing.error(), (404, "model_not_found".to_owned(), Some("model".to_owned())));
    let _worker = app.worker(Script::Complete).await;
    client.until_at("/v1/models", |list| list["data"][0]["id"] == "wan-tiny").await;
    assert_eq!(client.get("/v1/models/wan-tiny").await.status, 200);
}

#[tokio::test]
async fn health_and_readiness_tell_life_from_work() {
    let app = TestApp::start().await;
    let anonymous = app.anonymous();
    assert_eq!(anonymous.get("/healthz").await.json(), json!({ "status": "ok" }));
    let idle = anonymous.get("/readyz").await;
    assert_eq!((idle.status, &idle.json()["status"]), (503, &json!("not_ready")));
    assert_eq!(idle.json()["reasons"], json!(["no_ready_worker"]));
    let _worker = app.worker(Script::Complete).await;
    app.client().finish().await;
    let ready = anonymous.get("/readyz").await;
    assert_eq!(ready.status, 200);
    let checks = json!({ "database": "ok", "storage": "ok", "gpu_workers": { "ready": 1, "total": 1 } });
    assert_eq!(ready.json(), json!({ "status": "ready", "checks": checks }));
}

#[tokio::test]
async fn metrics_need_their_token_and_count_by_route() {
    let setup = Setup { metrics_token: Some("secret".to_owned()), ..Setup::default() };
    let app = TestApp::with(setup).await;
    let id = app.client().submit().await;
    app.client().get(&format!("/v1/videos/{id}")).await;
    assert_eq!(app.anonymous().get("/metrics").await.status, 401);
    let page = Answer::of(app.anonymous().request(Method::GET, "/metrics").bearer_auth("secret")).await;
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    let line =
        "wanserve_http_requests_total{method=\"GET\",route=\"/v1/videos/{video_id}\",status=\"200\"} 1";
    assert!(text.contains(line), "{text}");
    assert!(!text.contains(&id));
}

#[tokio::test]
async fn the_documentation_is_in_the_program() {
    let app = TestApp::start().await;
    let anonymous = app.anonymous();
    let document = anonymous.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let docs = anonymous.get("/docs").await;
    assert_eq!((docs.status, docs.header("location")), (302, Some("/docs/")));
    let page = anonymous.get("/docs/").await;
    assert!(page.status == 200 && String::from_utf8_lossy(&page.body).contains("swagger-ui"), "{page:?}");
}

#[tokio::test]
async fn pages_of_listed_origins_alone_may_call_from_a_browser() {
    let app = TestApp::start().await;
    let ask = async |method: Method, origin: &str| {
        let request = app.client().request(method, "/v1/videos").header("origin", origin);
        let request = request
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "Authorization, x-stainless-os, cookie");
        Answer::of(request).await
    };
    let origin = "https://app.example.com";
    let preflight = ask(Method::OPTIONS, origin).await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, Some(origin)));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("Authorization, x-stainless-os"));
    assert_eq!(preflight.header("access-control-max-age"), Some("600"));
    let answer = ask(Method::GET, origin).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(origin)));
    assert!(answer.header("access-control-expose-headers").unwrap().contains("openai-poll-after-ms"));
    assert_eq!(answer.header("vary"), Some("Origin"));
    for method in [Method::OPTIONS, Method::GET] {
        let stranger = ask(method, "https://app.example.com.evil.example").await;
        assert_eq!(stranger.header("access-control-allow-origin"), None);
    }
    assert_eq!(ask(Method::OPTIONS, "https://evil.example").await.refusal().0, 405);
}
