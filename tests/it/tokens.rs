//! Tokens: what they open, what they do not, and where they may stand.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use wanserve::domain::key::Scope;

use crate::support::{Answer, Client, Part, Script, TestApp};

async fn token(client: &Client, body: Value) -> String {
    let answer = client.post("/v1/tokens", body).await;
    assert_eq!((answer.status, &answer.json()["object"]), (200, &json!("token")), "{answer:?}");
    answer.json()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_reads_the_videos_it_names_and_does_nothing_else() {
    let app = TestApp::start().await;
    let client = app.client();
    let (named, other) = (client.submit().await, client.submit().await);
    let body = json!({ "scopes": ["videos.read"], "videos": [named], "expires_in_seconds": 60 });
    let reader = app.client_with(&token(&client, body).await);
    assert_eq!(reader.get(&format!("/v1/videos/{named}")).await.status, 200);
    for path in [
        format!("/v1/videos/{other}"),
        format!("/v1/videos/{other}/content"),
        format!("/v1/videos/{other}/events"),
    ] {
        assert_eq!(reader.get(&path).await.refusal(), (404, "video_not_found".to_owned()), "{path}");
    }
    let list = reader.get("/v1/videos").await.json();
    assert_eq!((list["data"].as_array().unwrap().len(), &list["data"][0]["id"]), (1, &json!(named)));
    let create = reader.post("/v1/videos/generations", json!({ "prompt": "x" })).await;
    assert_eq!(create.refusal(), (403, "insufficient_scope".to_owned()));
    let answer = reader.get("/v1/limits").await;
    assert_eq!(answer.header("openai-project"), Some(app.scope.project.to_string().as_str()));
    let more = reader.post("/v1/tokens", json!({ "scopes": ["videos.read"] })).await;
    assert_eq!(more.refusal(), (403, "insufficient_scope".to_owned()));
}

#[tokio::test]
async fn a_token_has_less_than_its_key_and_dies_with_it() {
    let app = TestApp::start().await;
    let minter = app.new_key(app.scope, vec![Scope::VideosWrite, Scope::TokensMint]).await;
    let client = app.client_with(&minter);
    for (body, param) in [
        (json!({ "scopes": ["videos.delete"] }), "scopes"),
        (json!({ "scopes": ["tokens.mint"] }), "scopes"),
        (json!({ "scopes": [] }), "scopes"),
        (json!({ "scopes": ["videos.read"], "expires_in_seconds": 59 }), "expires_in_seconds"),
        (json!({ "scopes": ["videos.read"], "expires_in_seconds": 3601 }), "expires_in_seconds"),
        (json!({ "scopes": ["videos.read"], "videos": ["x"] }), "videos"),
        (json!({ "scopes": ["videos.read"], "limits": { "max_active_jobs": 0 } }), "limits.max_active_jobs"),
    ] {
        let seen = client.post("/v1/tokens", body.clone()).await.error();
        assert_eq!(seen, (400, "invalid_value".to_owned(), Some(param.to_owned())), "{body}");
    }
    let unnamed = client.post("/v1/tokens", json!({})).await.error();
    assert_eq!(unnamed, (400, "missing_required_parameter".to_owned(), Some("scopes".to_owned())));
    let all = client.post("/v1/tokens", json!({ "scopes": ["all"] })).await.json();
    assert_eq!(all["scopes"], json!(["videos.read", "videos.write"]));
    let body = json!({ "scopes": ["videos.write"], "limits": { "max_active_jobs": 1 }, "subject": "user 7" });
    let holder = app.client_with(&token(&client, body).await);
    holder.submit().await;
    let full = holder.post("/v1/videos/generations", json!({ "prompt": "x" })).await;
    assert_eq!(full.refusal(), (429, "concurrency_limit_exceeded".to_owned()), "the token lowers the limit");
    client.submit().await;
    let record = app.keys.check(&minter.parse().unwrap()).await.unwrap().unwrap();
    app.keys.revoke(record.id).await.unwrap();
    assert_eq!(holder.get("/v1/videos").await.refusal(), (401, "invalid_token".to_owned()));
    let reader = app.limited_to(vec![Scope::VideosRead]).await;
    let refused = reader.post("/v1/tokens", json!({ "scopes": ["videos.read"] })).await;
    assert_eq!(refused.refusal(), (403, "insufficient_scope".to_owned()));
}

#[tokio::test]
async fn a_forged_token_is_refused_and_counted() {
    let app = TestApp::start().await;
    let text = token(&app.client(), json!({ "scopes": ["videos.read"] })).await;
    let parts: Vec<_> = text.split('.').collect();
    let mut header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();
    for algorithm in ["none", "HS256", "RS256"] {
        header["alg"] = json!(algorithm);
        let forged = format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), parts[1], parts[2]);
        let answer = app.client_with(&forged).get("/v1/videos").await;
        assert_eq!(answer.refusal(), (401, "invalid_token".to_owned()), "{algorithm}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
}

#[tokio::test]
async fn a_token_that_expired_half_a_minute_ago_is_told_so() {
    let app = TestApp::start().await;
    let body = json!({ "scopes": ["videos.read"], "expires_in_seconds": 60 });
    let holder = app.client_with(&token(&app.client(), body).await);
    app.put_forward(Duration::from_secs(60));
    assert_eq!(holder.get("/v1/videos").await.status, 200, "clocks may differ by 30 s");
    app.put_forward(Duration::from_secs(31));
    let late = holder.get("/v1/videos").await;
    assert_eq!(late.refusal(), (401, "token_expired".to_owned()));
    assert_eq!(late.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn a_token_may_stand_in_the_query_of_downloads_and_streams_only() {
    let app = TestApp::start().await;
    let _worker = app.worker(Script::Complete).await;
    let client = app.client();
    let id = client.finish().await["id"].as_str().unwrap().to_owned();
    let text = token(&client, json!({ "scopes": ["videos.read"] })).await;
    let anonymous = app.anonymous();
    for path in ["content", "events"] {
        let answer = anonymous.get(&format!("/v1/videos/{id}/{path}?access_token={text}")).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    let head = anonymous.request(Method::HEAD, &format!("/v1/videos/{id}/content?access_token={text}"));
    assert_eq!(Answer::of(head).await.status, 200);
    let job = anonymous.get(&format!("/v1/videos/{id}?access_token={text}")).await;
    assert_eq!(job.refusal(), (401, "invalid_api_key".to_owned()));
    let key = app.new_key(app.scope, vec![Scope::All]).await;
    let by_key = anonymous.get(&format!("/v1/videos/{id}/content?access_token={key}")).await;
    assert_eq!(by_key.refusal(), (401, "invalid_api_key".to_owned()), "never a key");
}

#[tokio::test]
async fn the_public_keys_are_there_for_everybody() {
    let app = TestApp::start().await;
    let text = token(&app.client(), json!({ "scopes": ["videos.read"] })).await;
    let header = URL_SAFE_NO_PAD.decode(text.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header["alg"], "EdDSA");
    let answer = app.anonymous().get("/.well-known/jwks.json").await;
    let keys = answer.json()["keys"].clone();
    let key = &keys[0];
    assert_eq!((keys.as_array().unwrap().len(), &key["kid"]), (1, &header["kid"]));
    assert_eq!(
        (&key["kty"], &key["crv"], &key["alg"], &key["use"]),
        (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"), &json!("sig"))
    );
    assert_eq!(URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap().len(), 32);
    assert!(key["d"].is_null());
}

#[tokio::test]
async fn a_token_is_shown_no_answer_that_its_key_or_another_holder_got() {
    let app = TestApp::start().await;
    let client = app.client();
    let path = "/v1/webhook_endpoints/callback/rotate_secret";
    let send = async |client: &Client, key: &str| {
        Answer::of(client.request(Method::POST, path).header("idempotency-key", key).json(&json!({}))).await
    };
    assert_eq!(send(&client, "k").await.status, 200);
    assert_eq!(send(&client, "k").await.header("idempotent-replayed"), Some("true"));
    let writer = json!({ "scopes": ["webhooks.write"], "subject": "one" });
    let first = app.client_with(&token(&client, writer.clone()).await);
    assert_eq!(send(&first, "t").await.status, 200);
    let renewed = app.client_with(&token(&client, writer).await);
    assert_eq!(send(&renewed, "t").await.header("idempotent-replayed"), Some("true"), "the same rights");
    for body in [
        json!({ "scopes": ["videos.read"] }),
        json!({ "scopes": ["webhooks.write"], "subject": "two" }),
        json!({ "scopes": ["webhooks.write"], "subject": "one", "videos": [] }),
        json!({ "scopes": ["webhooks.write"], "subject": "one", "limits": { "max_active_jobs": 1 } }),
    ] {
        let other = app.client_with(&token(&client, body.clone()).await);
        for key in ["k", "t"] {
            let refusal = send(&other, key).await.refusal();
            assert_eq!(refusal, (422, "idempotency_key_reused".to_owned()), "{body} {key}");
        }
    }
    assert_eq!(send(&client, "t").await.refusal(), (422, "idempotency_key_reused".to_owned()));
}

#[tokio::test]
async fn an_upload_is_shown_again_to_the_token_that_made_it_only() {
    let app = TestApp::start().await;
    let client = app.client();
    let parts = [Part::File("file", "a.bin", b"data"), Part::Text("purpose", "user_data")];
    let send = async |client: &Client| {
        Answer::of(client.form("/v1/files", &parts).header("idempotency-key", "k")).await
    };
    assert_eq!(send(&client).await.status, 200);
    let holder = app.client_with(&token(&client, json!({ "scopes": ["files.write"] })).await);
    assert_eq!(send(&holder).await.refusal(), (422, "idempotency_key_reused".to_owned()));
}
