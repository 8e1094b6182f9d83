//! What the operator of an installation does with tenants, against the started program without workers.

use reqwest::Method;
use serde_json::{Value, json};

use super::program::{Http, Program, operator_key};
use crate::support::{Answer, Client};

const ORGANIZATIONS: &str = "/admin/v1/organizations";

#[tokio::test]
async fn an_organization_is_made_limited_suspended_and_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &[("WANSERVE_WORKERS_DEVICES", "none")]);
    let operator = Http::new(&program.admin, &operator_key(folder.path()));
    let made = operator.json(Method::POST, ORGANIZATIONS, Some(json!({ "name": "acme" }))).await;
    let path = format!("{ORGANIZATIONS}/{}", made["id"].as_str().unwrap());
    let admin = Http::new(&program.base, made["admin_api_key"]["value"].as_str().unwrap());
    let project = admin.json(Method::POST, "/v1/organization/projects", Some(json!({ "name": "p" }))).await;
    let accounts = format!("/v1/organization/projects/{}/service_accounts", project["id"].as_str().unwrap());
    let account = admin.json(Method::POST, &accounts, Some(json!({ "name": "a" }))).await;
    let client = Http::new(&program.base, account["api_key"]["value"].as_str().unwrap());

    let limits = json!({ "limits": { "max_gpu_seconds_per_1_day": 1 } });
    operator.json(Method::POST, &path, Some(limits)).await;
    let create = json!({ "prompt": "x" });
    assert_eq!(client.status("/v1/videos/generations", &create).await, 429, "a job is expected to take 5 s");
    operator
        .json(Method::POST, &path, Some(json!({ "limits": { "max_gpu_seconds_per_1_day": null } })))
        .await;
    assert_eq!(client.status("/v1/videos/generations", &create).await, 200);

    let suspended = operator.json(Method::POST, &path, Some(json!({ "status": "suspended" }))).await;
    assert_eq!((&suspended["status"], &suspended["name"]), (&json!("suspended"), &json!("acme")));
    client.until_status("/v1/videos", 403).await;
    admin.until_status("/v1/organization/projects", 403).await;
    operator.json(Method::POST, &path, Some(json!({ "status": "active" }))).await;
    client.until_status("/v1/videos", 200).await;
    let log =
        admin.json(Method::GET, "/v1/organization/audit_logs?event_types=organization.updated", None).await;
    assert_eq!(log["data"].as_array().map(Vec::len), Some(4));
    assert_eq!(log["data"][0]["actor"]["type"], "operator");

    for body in [json!({}), json!({ "name": " " }), json!({ "name": "x", "colour": "red" })] {
        assert_eq!(operator.status(ORGANIZATIONS, &body).await, 400, "{body}");
    }
    assert_eq!(operator.status(&format!("{ORGANIZATIONS}/org_x"), &json!({})).await, 404);
    assert_eq!(admin.status("/admin/v1/organizations", &json!({})).await, 404, "another listener");
}

#[tokio::test]
async fn a_token_of_the_operator_opens_for_minutes_and_ends_when_keys_rotate_twice() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &[("WANSERVE_WORKERS_DEVICES", "none")]);
    let operator = Http::new(&program.admin, &operator_key(folder.path()));
    let body = Some(json!({ "expires_in_seconds": 60 }));
    let made = operator.json(Method::POST, "/admin/v1/tokens", body).await;
    let text = made["token"].as_str().unwrap();
    let holder = Http::new(&program.admin, text);
    assert!(holder.json(Method::GET, "/admin/v1/workers", None).await["data"].is_array());
    assert_eq!(holder.status("/admin/v1/tokens", &json!({})).await, 403, "a token makes no token");
    assert_eq!(operator.status("/admin/v1/tokens", &json!({ "expires_in_seconds": 901 })).await, 400);
    let public = Http::new(&program.base, text);
    assert_eq!(public.bytes("/v1/videos", ("accept", "*/*")).await.0, 401, "it is for the operator's API");
    let minted = Http::new(&program.base, &program.key())
        .json(Method::POST, "/v1/tokens", Some(json!({ "scopes": ["videos.read"] })))
        .await;
    let visitor = Http::new(&program.admin, minted["token"].as_str().unwrap());
    assert_eq!(visitor.bytes("/admin/v1/workers", ("accept", "*/*")).await.0, 401, "it is for videos");
    let kid = |keys: &Value| keys["keys"].as_array().unwrap().len();
    let rotate = || operator.json(Method::POST, "/admin/v1/signing_keys/rotate", None);
    rotate().await;
    assert_eq!(kid(&public.json(Method::GET, "/.well-known/jwks.json", None).await), 2);
    assert!(holder.json(Method::GET, "/admin/v1/workers", None).await["data"].is_array());
    rotate().await;
    holder.until_status("/admin/v1/workers", 401).await;
}

#[tokio::test]
async fn every_route_answers_as_its_document_says_and_to_operators_only() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &[("WANSERVE_WORKERS_DEVICES", "none")]);
    let (operator, project) = (operator_key(folder.path()), program.key());
    let client = Client::anonymous_at(&program.admin);
    let document = client.get("/openapi.json").await.json();
    for (path, item) in document["paths"].as_object().unwrap() {
        if !path.starts_with("/admin/") {
            continue;
        }
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let nowhere = path.replace("{organization_id}", "org_x").replace("{worker}", "..%2Fx");
            let ask = async |key: Option<&str>| {
                let request = client.request(method.clone(), &nowhere);
                let answer =
                    Answer::of(if let Some(key) = key { request.bearer_auth(key) } else { request }).await;
                let described = &operation["responses"][answer.status.to_string()];
                for name in ["x-request-id", "x-content-type-options", "cache-control"] {
                    assert!(
                        answer.header(name).is_some() && described["headers"][name].is_object(),
                        "{path} {name}"
                    );
                }
                answer
            };
            assert_eq!(ask(None).await.refusal(), (401, "invalid_api_key".to_owned()), "{path}");
            assert_eq!(ask(Some(&project)).await.refusal(), (403, "insufficient_scope".to_owned()), "{path}");
            let answer = ask(Some(&operator)).await;
            match answer.status {
                200 => assert!(answer.json()["object"].is_string(), "{path}"),
                400 => assert_eq!(answer.error().1, "missing_required_parameter", "{path}"),
                _ => assert_eq!(answer.refusal(), (404, "resource_not_found".to_owned()), "{path}"),
            }
        }
    }
}

#[tokio::test]
async fn what_an_operator_gets_wrong_is_named_in_the_envelope() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &[("WANSERVE_WORKERS_DEVICES", "none")]);
    let key = operator_key(folder.path());
    let client = Client::anonymous_at(&program.admin);
    let ask = |method, path: &str| client.request(method, path).bearer_auth(&key);
    let wrong = async |path: &str, body: Value| Answer::of(ask(Method::POST, path).json(&body)).await.error();
    let bad = |status, code: &str, param: Option<&str>| (status, code.to_owned(), param.map(str::to_owned));
    let made = Answer::of(ask(Method::POST, ORGANIZATIONS).json(&json!({ "name": "acme" }))).await.json();
    let path = format!("{ORGANIZATIONS}/{}", made["id"].as_str().unwrap());
    for (body, expected) in [
        (json!({ "colour": "red" }), bad(400, "unknown_parameter", Some("colour"))),
        (json!({ "name": 5 }), bad(400, "invalid_type", Some("name"))),
        (json!({ "name": " " }), bad(400, "invalid_value", Some("name"))),
        (json!({ "status": "gone" }), bad(400, "invalid_value", Some("status"))),
        (
            json!({ "limits": { "max_gpu_seconds_per_1_day": 0 } }),
            bad(400, "invalid_value", Some("limits.max_gpu_seconds_per_1_day")),
        ),
        (json!({ "limits": { "x": 1 } }), bad(400, "unknown_parameter", Some("limits.x"))),
    ] {
        assert_eq!(wrong(&path, body.clone()).await, expected, "{body}");
    }
    let life = json!({ "expires_in_seconds": 59 });
    assert_eq!(wrong("/admin/v1/tokens", life).await, bad(400, "invalid_value", Some("expires_in_seconds")));
    let broken = ask(Method::POST, &path).header("content-type", "application/json").body("{");
    assert_eq!(Answer::of(broken).await.refusal(), (400, "invalid_json".to_owned()));
    let text = ask(Method::POST, &path).header("content-type", "text/plain").body("x");
    assert_eq!(Answer::of(text).await.refusal(), (415, "unsupported_media_type".to_owned()));
    let long = ask(Method::POST, &path).json(&json!({ "name": "x".repeat(2 << 20) }));
    assert_eq!(Answer::of(long).await.refusal(), (413, "request_too_large".to_owned()));
    let removed = Answer::of(ask(Method::DELETE, &path)).await;
    assert_eq!(removed.refusal(), (405, "method_not_allowed".to_owned()));
    assert_eq!(removed.header("allow"), Some("GET, POST"));
    assert_eq!(Answer::of(ask(Method::GET, "/admin/v1/x")).await.refusal(), (404, "unknown_url".to_owned()));

    let document = client.get("/openapi.json").await.json();
    let mut examples = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let example = &item["post"]["requestBody"]["content"]["application/json"]["example"];
        // Restarts need a worker, and are asked for where there is one.
        if example.is_object() && !path.contains("{worker}") {
            let path = path.replace("{organization_id}", made["id"].as_str().unwrap());
            assert_eq!(Answer::of(ask(Method::POST, &path).json(example)).await.status, 200, "{path}");
            examples += 1;
        }
    }
    assert_eq!(examples, 3, "each is answered with success");

    let page = Answer::of(ask(Method::GET, &format!("{ORGANIZATIONS}?limit=1&order=asc"))).await.json();
    assert_eq!((&page["has_more"], &page["first_id"]), (&json!(true), &page["last_id"]));
    let after = page["last_id"].as_str().unwrap();
    let next = Answer::of(ask(Method::GET, &format!("{ORGANIZATIONS}?order=asc&after={after}"))).await.json();
    assert_eq!((&next["data"][0]["id"], &next["has_more"]), (&made["id"], &json!(false)));
}

#[tokio::test]
async fn guessing_operator_keys_becomes_slow() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("WANSERVE_WORKERS_DEVICES", "none"), ("WANSERVE_LIMITS_WRONG_KEYS_PER_MINUTE", "2")];
    let program = Program::start(folder.path(), &variables);
    let guess = || Client::anonymous_at(&program.admin).request(Method::GET, "/admin/v1/queue");
    let mut seen = Vec::new();
    for _ in 0..3 {
        // Well formed, and nobody's: the shape alone is told apart without a look-up.
        let key = wanserve::domain::key::KeyText::new(
            wanserve::domain::key::KeyKind::Operator,
            &[seen.len() as u8; wanserve::domain::key::KEY_RANDOM_BYTES],
        );
        seen.push(Answer::of(guess().bearer_auth(key.reveal())).await.status);
    }
    assert_eq!(seen, [401, 401, 429]);
}
