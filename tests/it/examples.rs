//! The examples of the document work as they stand: each is sent to a server and must be answered with success.

use serde_json::Value;

use crate::coverage::operations;
use crate::isolation::{start, things};
use crate::support::{Answer, Script};

/// Tier X of the contract, which answers 400 to everything.
const NOT_SUPPORTED: [&str; 3] = ["createVideoEdit", "CreateVideoEdit", "CreateVideoExtend"];

#[tokio::test]
async fn every_example_is_answered_with_success() {
    let (app, sink) = start().await;
    let _worker = app.worker(Script::Complete).await;
    let mut sent = 0;
    for (method, path, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap();
        let content = &operation["requestBody"]["content"]["application/json"];
        if !content.is_object() || NOT_SUPPORTED.contains(&id) {
            continue;
        }
        let example = &content["example"];
        assert!(example.is_object(), "{id} has no example");
        // Fresh ones for each: some examples revoke what others need.
        let own = things(&app, &sink).await;
        let client = if path.starts_with("/v1/organization") { &own.admin } else { &own.client };
        let path =
            own.ids.iter().fold(path.clone(), |path, (name, id)| path.replace(&format!("{{{name}}}"), id));
        let answer = Answer::of(client.request(method, &path).json(example)).await;
        assert_eq!(answer.status, 200, "{id}: {answer:?}");
        assert!(serde_json::from_slice::<Value>(&answer.body).is_ok(), "{id}");
        sent += 1;
    }
    assert!(sent > 15, "only {sent} examples");
}
