//! The corpus of hostile URLs through the API, as pictures and as callbacks: each is refused by its code, before any
//! connection, and the answer says nothing of where it leads. The verdicts themselves are judged beside the policy.

use serde_json::json;

use crate::support::{Client, TestApp};

const CORPUS: &str = include_str!("../fixtures/outgoing_urls.txt");

/// A text this short may stand in any message.
const SHORT: usize = 8;

/// Refused URLs of one column.
fn refused(column: usize) -> Vec<String> {
    let lines = CORPUS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let unescaped = |url: &str| url.replace("\\t", "\t").replace("\\n", "\n").replace("\\0", "\0");
    let urls = lines.filter_map(|line| {
        let columns: Vec<&str> = line.splitn(3, ' ').collect();
        (columns[column] != "yes").then(|| unescaped(columns[2]))
    });
    urls.collect()
}

async fn each(
    client: &Client,
    path: &str,
    column: usize,
    body: impl Fn(&str) -> serde_json::Value,
    good: &[&str],
) -> usize {
    let urls = refused(column);
    let mut wrong = Vec::new();
    for url in &urls {
        let answer = client.post(path, body(url)).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let (status, code) = answer.refusal();
        if status != 400 || !good.contains(&code.as_str()) || url.len() > SHORT && text.contains(url.as_str())
        {
            wrong.push(format!("{status} {code} {url:?}: {text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    urls.len()
}

#[tokio::test]
async fn no_hostile_url_is_fetched_or_called() {
    let app = TestApp::start().await;
    let client = app.client();
    // What is no URL at all, or of no scheme that is fetched, is refused by its form.
    let picture = |url: &str| json!({ "prompt": "x", "image": { "image_url": url } });
    let codes = ["image_url_not_allowed", "invalid_value", "invalid_image"];
    let pictures = each(&client, "/v1/videos/from-image", 0, picture, &codes).await;
    let callback = |url: &str| json!({ "prompt": "x", "num_frames": 17, "callback_url": url });
    let callbacks = each(&client, "/v1/videos/generations", 1, callback, &["callback_url_not_allowed"]).await;
    assert!(pictures + callbacks >= 200, "{pictures} pictures, {callbacks} callbacks");
    assert!(app.metrics.outbound_blocked_total.value(["image"]) > 50.0);
    assert_eq!(client.get("/v1/videos").await.json()["data"], json!([]), "no job came of it");
}

#[tokio::test]
async fn a_literal_of_any_spelling_is_refused_by_name() {
    let app = TestApp::start().await;
    let client = app.client();
    for (number, url) in [
        "http://169.254.169.254/x",
        "http://127.0.0.1:1/",
        "http://2130706433/",
        "http://[::ffff:10.0.0.1]/",
        "http://0x7f.1/",
        "http://localhost/",
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({ "prompt": "x", "image": url });
        let refused = client.post("/v1/videos/from-image", body).await.refusal();
        assert_eq!(refused, (400, "image_url_not_allowed".to_owned()), "{url}");
        assert_eq!(app.metrics.outbound_blocked_total.value(["image"]), number as f64 + 1.0, "{url}");
    }
}
