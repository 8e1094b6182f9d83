//! Creating from text, in a form as the SDKs send it and in JSON.

use serde_json::{Value, json};

use wanserve::scheduler::Policy as Scheduling;

use crate::support::{Part, Script, Setup, TestApp};

#[tokio::test]
async fn a_form_of_the_sdk_becomes_a_job() {
    let app = TestApp::start().await;
    let parts = [
        Part::Text("prompt", "一只猫跃起"),
        Part::Text("model", "sora-2"),
        Part::Text("num_steps", "1"),
        Part::Text("seed", "7"),
        Part::Text("ode", "false"),
        Part::Text("metadata[team]", "blue"),
        Part::Text("quant_linear", "null"),
        Part::Text("size", ""),
    ];
    let answer = app.client().post_form("/v1/videos", &parts).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let job = answer.json();
    assert_eq!(answer.header("location"), Some(format!("/v1/videos/{}", answer.id()).as_str()));
    assert_eq!(job["object"], "video");
    assert_eq!(job["status"], "queued");
    assert_eq!(job["progress"], 0);
    assert_eq!(job["stage"], "waiting");
    assert_eq!((&job["model"], &job["requested_model"]), (&json!("wan-tiny"), &json!("sora-2")));
    assert_eq!((&job["size"], &job["seconds"]), (&json!("224x128"), &json!("2")));
    assert_eq!(job["operation"], "text_to_video");
    assert_eq!(job["metadata"], json!({ "team": "blue" }));
    assert_eq!(job["parameters"]["seed"], 7);
    assert_eq!(job["parameters"]["num_frames"], 33);
    assert_eq!(job["parameters"]["boundary"], Value::Null);
    assert_eq!(job["warnings"][0]["code"], "prompt_not_english");
    assert_eq!(job["queue_position"], 1);
    assert_eq!(job["eta_seconds"], Value::Null, "nothing was measured yet");
    assert_eq!(answer.header("openai-poll-after-ms"), Some("1000"));
    assert_eq!(job["assets"], json!([]));
    assert_eq!(job["project_id"], app.scope.project.to_string());
}

#[tokio::test]
async fn every_field_of_the_contract_is_always_there() {
    let app = TestApp::start().await;
    let _worker = app.worker(Script::Complete).await;
    let job = app.client().finish().await;
    let fields = [
        "id",
        "object",
        "status",
        "progress",
        "model",
        "prompt",
        "size",
        "seconds",
        "created_at",
        "completed_at",
        "expires_at",
        "error",
        "remixed_from_video_id",
        "operation",
        "requested_model",
        "source_video_id",
        "stage",
        "attempt",
        "queue_position",
        "eta_seconds",
        "started_at",
        "cancel_requested",
        "parameters",
        "input_image",
        "warnings",
        "assets",
        "usage",
        "timings",
        "callback_url",
        "metadata",
        "project_id",
    ];
    let mut expected = fields.to_vec();
    expected.sort_unstable();
    assert_eq!(job.as_object().unwrap().keys().collect::<Vec<_>>(), expected);
    assert_eq!(job["parameters"].as_object().unwrap().len(), 16);
    assert_eq!(job["timings"].as_object().unwrap().len(), 10);
    assert_eq!(job["usage"].as_object().unwrap().len(), 5);
    let video = job["assets"][0].as_object().unwrap();
    assert_eq!(
        video.keys().collect::<Vec<_>>(),
        [
            "bytes",
            "content_type",
            "duration_seconds",
            "fps",
            "height",
            "num_frames",
            "sha256",
            "variant",
            "width"
        ]
    );
}

#[tokio::test]
async fn wrong_parameters_are_named_in_json() {
    let app = TestApp::start().await;
    let client = app.client();
    let cases = [
        (json!({ "prompt": "x", "num_steps": 5 }), 400, "invalid_value", Some("num_steps")),
        (json!({ "prompt": "x", "num_steps": "4" }), 400, "invalid_type", Some("num_steps")),
        (json!({ "prompt": "x", "num_steps": 1.5 }), 400, "invalid_type", Some("num_steps")),
        (json!({ "prompt": "x", "boundary": 0.9 }), 400, "unsupported_parameter", Some("boundary")),
        (
            json!({ "prompt": "x", "negative_prompt": "y" }),
            400,
            "unsupported_parameter",
            Some("negative_prompt"),
        ),
        (
            json!({ "prompt": "x", "input_reference": {} }),
            400,
            "unsupported_parameter",
            Some("input_reference"),
        ),
        (json!({ "prompt": "x", "foo": 1 }), 400, "unknown_parameter", Some("foo")),
        (json!({}), 400, "missing_required_parameter", Some("prompt")),
        (json!({ "prompt": null }), 400, "missing_required_parameter", Some("prompt")),
        (json!({ "prompt": 5 }), 400, "invalid_type", Some("prompt")),
        (
            json!({ "prompt": "x", "size": "224x128", "aspect_ratio": "1:1" }),
            400,
            "invalid_value",
            Some("size"),
        ),
        (json!({ "prompt": "x", "seconds": 8 }), 400, "invalid_value", Some("seconds")),
        (json!({ "prompt": "x", "metadata": { "a": 1 } }), 400, "invalid_value", Some("metadata")),
        (json!({ "prompt": "x", "metadata": { "a": null } }), 400, "invalid_value", Some("metadata")),
        (json!({ "prompt": "x", "wait": 61 }), 400, "invalid_value", Some("wait")),
        (
            json!({ "prompt": "x", "callback_url": "https://10.0.0.1/" }),
            400,
            "callback_url_not_allowed",
            Some("callback_url"),
        ),
        (json!({ "prompt": "x", "model": "wan9" }), 404, "model_not_found", Some("model")),
        (json!({ "prompt": "x".repeat(32_001) }), 400, "string_above_max_length", Some("prompt")),
        (json!({ "prompt": "x", "wait": 5, "stream": true }), 400, "invalid_value", Some("stream")),
        (json!([]), 400, "invalid_type", None),
    ];
    for (body, status, code, param) in cases {
        let seen = client.post("/v1/videos/generations", body.clone()).await.error();
        assert_eq!(seen, (status, code.to_owned(), param.map(str::to_owned)), "{body}");
    }
}

#[tokio::test]
async fn wrong_parameters_are_named_in_a_form() {
    let app = TestApp::start().await;
    let client = app.client();
    let cases: [(&[Part<'_>], &str, &str); 8] = [
        (&[Part::Text("num_steps", "abc")], "invalid_type", "num_steps"),
        (&[Part::Text("ode", "True")], "invalid_type", "ode"),
        (&[Part::Text("num_steps", "1"), Part::Text("num_steps", "2")], "invalid_value", "num_steps"),
        (&[Part::Text("input_reference", "https://a.example/x.png")], "invalid_type", "input_reference"),
        (&[Part::Text("video[id]", "video_1")], "unknown_parameter", "video"),
        (&[Part::Text("metadata[a][b]", "1")], "invalid_value", "metadata"),
        (&[Part::Text("metadata", "x"), Part::Text("metadata[a]", "1")], "invalid_value", "metadata.a"),
        (&[Part::Text("seed", "s"), Part::File("seed", "f", b"7")], "invalid_value", "seed"),
    ];
    for (parts, code, param) in cases {
        let mut form = vec![Part::Text("prompt", "x")];
        form.extend(parts.iter().map(|part| match part {
            Part::Text(name, text) => Part::Text(name, text),
            Part::File(name, file, bytes) => Part::File(name, file, bytes),
        }));
        let seen = client.post_form("/v1/videos", &form).await.error();
        assert_eq!(seen, (400, code.to_owned(), Some(param.to_owned())));
    }
}

#[tokio::test]
async fn a_waiting_create_answers_the_end() {
    let app = TestApp::start().await;
    let _worker = app.worker(Script::Complete).await;
    let body = json!({ "prompt": "x", "wait": 30, "num_frames": 17 });
    let answer = app.client().post("/v1/videos/generations", body).await;
    assert_eq!(answer.header("preference-applied"), Some("wait=30"));
    assert_eq!(answer.json()["status"], "completed");
    assert_eq!(answer.json()["progress"], 100);
    assert_eq!(answer.header("openai-poll-after-ms"), None);
}

#[tokio::test]
async fn what_the_models_cannot_do_is_refused_for_good() {
    let app = TestApp::start().await;
    let client = app.client();
    for path in ["/v1/videos/edits", "/v1/videos/extensions", "/v1/videos/characters"] {
        let answer = client.post_form(path, &[Part::Text("prompt", "x")]).await;
        assert_eq!(answer.refusal(), (400, "operation_not_supported".to_owned()), "{path}");
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
    let character = client.get("/v1/videos/characters/char_1").await;
    assert_eq!(character.refusal(), (400, "operation_not_supported".to_owned()));
}

#[tokio::test]
async fn a_server_about_to_stop_sends_clients_elsewhere() {
    let app = TestApp::start().await;
    app.drain();
    let answer = app.client().post("/v1/videos/generations", json!({ "prompt": "x" })).await;
    assert_eq!(answer.refusal(), (503, "server_draining".to_owned()));
    assert_eq!((answer.header("x-should-retry"), answer.header("retry-after")), (Some("true"), Some("5")));
}

#[tokio::test]
async fn a_server_with_enough_to_do_says_when_to_come_back() {
    let scheduling = Scheduling { max_queued: 1, ..Scheduling::default() };
    let app = TestApp::with(Setup { scheduling, ..Setup::default() }).await;
    app.client().submit().await;
    let answer = app.client().post("/v1/videos/generations", json!({ "prompt": "x" })).await;
    assert_eq!(answer.refusal(), (503, "server_is_overloaded".to_owned()));
    assert_eq!((answer.header("x-should-retry"), answer.header("retry-after")), (Some("true"), Some("1")));
    assert_eq!(answer.json()["error"]["type"], "service_unavailable_error");
}
