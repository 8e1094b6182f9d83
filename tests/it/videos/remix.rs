//! An earlier video again, with another prompt.

use serde_json::json;

use crate::support::{Part, Script, TestApp, png};

#[tokio::test]
async fn a_remix_keeps_parameters_seed_and_picture() {
    let app = TestApp::start().await;
    let client = app.client();
    let _worker = app.worker(Script::Complete).await;
    let picture = png(160, 200);
    let parts = [Part::Text("prompt", "x"), Part::Text("num_steps", "2"), Part::File("image", "a", &picture)];
    let source = client.post_form("/v1/videos/from-image?wait=30", &parts).await.json();
    assert_eq!(source["status"], "completed");
    let path = format!("/v1/videos/{}/remix", source["id"].as_str().unwrap());
    let answer = client.post(&format!("{path}?wait=30"), json!({ "prompt": "y" })).await;
    let remix = answer.json();
    assert_eq!((&remix["status"], &remix["operation"]), (&json!("completed"), &json!("remix")));
    assert_eq!(remix["remixed_from_video_id"], source["id"]);
    assert_eq!(remix["input_image"], source["input_image"]);
    assert_eq!(remix["prompt"], "y");
    let mut expected = source["parameters"].clone();
    expected["effective_prompt"] = json!("y");
    assert_eq!(remix["parameters"], expected);

    let changed = client.post(&path, json!({ "prompt": "y", "size": "160x160", "seed": 5 })).await.json();
    assert_eq!((&changed["size"], &changed["parameters"]["seed"]), (&json!("160x160"), &json!(5)));
    let form =
        client.post_form(&path, &[Part::Text("prompt", "z"), Part::Text("num_steps", "1")]).await.json();
    assert_eq!((&form["operation"], &form["parameters"]["num_steps"]), (&json!("remix"), &json!(1)));
    let missing = client.post(&path, json!({})).await.error();
    assert_eq!(missing, (400, "missing_required_parameter".to_owned(), Some("prompt".to_owned())));
}

#[tokio::test]
async fn only_a_completed_video_of_mine_can_be_remixed() {
    let app = TestApp::start().await;
    let client = app.client();
    let id = client.submit().await;
    let path = format!("/v1/videos/{id}/remix");
    let early = client.post(&path, json!({ "prompt": "y" })).await;
    assert_eq!(early.refusal(), (409, "source_not_ready".to_owned()));
    assert_eq!(early.header("x-should-retry"), Some("false"));
    let foreign = app.stranger().await.post(&path, json!({ "prompt": "y" })).await;
    assert_eq!(foreign.refusal(), (404, "video_not_found".to_owned()));
}
