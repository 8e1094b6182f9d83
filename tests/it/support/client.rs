//! A plain HTTP client that shows all of an answer.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::app::PATIENCE;
use super::documented;

/// A caller, with or without a key.
#[derive(Clone)]
pub(crate) struct Client {
    base: String,
    key: Option<String>,
    http: reqwest::Client,
}

/// One part of a form.
pub(crate) enum Part<'a> {
    Text(&'a str, &'a str),
    /// Name, declared file name, bytes.
    File(&'a str, &'a str, &'a [u8]),
}

/// An answer with its body read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(super) fn new(base: &str, key: Option<&str>) -> Self {
        Self { base: base.to_owned(), key: key.map(str::to_owned), http: http() }
    }

    /// Without a key, at any server.
    pub(crate) fn anonymous_at(base: &str) -> Self {
        Self::new(base, None)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base)).timeout(PATIENCE);
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn post_empty(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::POST, path)).await
    }

    pub(crate) async fn post_form(&self, path: &str, parts: &[Part<'_>]) -> Answer {
        Answer::of(self.form(path, parts)).await
    }

    pub(crate) fn form(&self, path: &str, parts: &[Part<'_>]) -> RequestBuilder {
        let boundary = format!("boundary-{}", uuid::Uuid::now_v7().simple());
        let mut body = Vec::new();
        for part in parts {
            body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
            match part {
                Part::Text(name, text) => {
                    let head = format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}");
                    body.extend_from_slice(head.as_bytes());
                }
                Part::File(name, file, bytes) => {
                    let head = format!(
                        "Content-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
                    );
                    body.extend_from_slice(head.as_bytes());
                    body.extend_from_slice(bytes);
                }
            }
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        let content_type = format!("multipart/form-data; boundary={boundary}");
        self.request(Method::POST, path).header("content-type", content_type).body(body)
    }

    /// Submits a small clip and answers its id.
    pub(crate) async fn submit(&self) -> String {
        let answer = self.post("/v1/videos/generations", small()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.id()
    }

    /// Submits a small clip and waits for its end.
    pub(crate) async fn finish(&self) -> Value {
        let id = self.submit().await;
        self.get(&format!("/v1/videos/{id}?wait=30")).await.json()
    }

    /// The job as soon as it is in that state.
    pub(crate) async fn until(&self, id: &str, good: impl Fn(&Value) -> bool) -> Value {
        self.until_at(&format!("/v1/videos/{id}"), good).await
    }

    /// What stands at that path as soon as it is as wanted.
    pub(crate) async fn until_at(&self, path: &str, good: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let found = self.get(path).await.json();
            if good(&found) {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "still waiting for {found}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let (http, request) = request.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = http.execute(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        documented::check(&method, &path, status, &headers);
        Self { status, headers, body: response.bytes().await.unwrap() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(crate) fn id(&self) -> String {
        self.json()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status, code and param; checks the shape of the envelope.
    pub(crate) fn error(&self) -> (u16, String, Option<String>) {
        let body = self.json();
        let error = body["error"].as_object().unwrap_or_else(|| panic!("no envelope: {self:?}"));
        assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "message", "param", "type"]);
        assert!(self.header("content-type").unwrap().starts_with("application/json"), "{self:?}");
        assert!(self.header("x-should-retry").is_some(), "{self:?}");
        let code = error["code"].as_str().unwrap().to_owned();
        (self.status, code, error["param"].as_str().map(str::to_owned))
    }

    /// Status and code alone.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let (status, code, _) = self.error();
        (status, code)
    }
}

/// The smallest clip.
fn small() -> Value {
    serde_json::json!({ "prompt": "A red ball rolls over the green grass.", "num_frames": 17, "num_steps": 1 })
}

#[expect(clippy::disallowed_methods, reason = "a test plays the outside world")]
pub(super) fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}
