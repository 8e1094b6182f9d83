//! Every warning of the contract, each where it is due and nowhere else.

use serde_json::{Value, json};
use wanserve::domain::model::Capabilities;
use wanserve::domain::size::Resolution;
use wanserve::domain::video::Operation;

use crate::support::{Client, Script, Setup, TestApp, capabilities, deployed, encoded, png};

/// Neither too short nor too long nor in another script.
const PLAIN: &str = "A red ball rolls slowly over the green grass";

/// The warnings of a job as `(code, param)`, in order; each has a message.
fn warnings(job: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{job}")).to_owned();
    let one = |warning: &Value| {
        assert!(
            !text(&warning["message"]).is_empty() && warning.as_object().unwrap().len() == 3,
            "{warning}"
        );
        (text(&warning["code"]), text(&warning["param"]))
    };
    job["warnings"].as_array().unwrap().iter().map(one).collect()
}

async fn made(client: &Client, path: &str, body: Value) -> Vec<(String, String)> {
    let answer = client.post(path, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    warnings(&answer.json())
}

fn one(code: &str, param: &str) -> Vec<(String, String)> {
    vec![(code.to_owned(), param.to_owned())]
}

#[tokio::test]
async fn the_length_of_a_prompt_is_remarked_on_by_whoever_has_the_tokenizer() {
    let app = TestApp::start().await;
    let _worker = app.worker(Script::Complete).await;
    let client = app.client();
    let long = vec!["word"; 129].join(" ");
    let whole = vec!["word"; 128].join(" ");
    for (prompt, expected) in [
        (PLAIN, vec![]),
        ("a red ball", one("prompt_short", "prompt")),
        (whole.as_str(), vec![]),
        (long.as_str(), one("prompt_truncated", "prompt")),
    ] {
        let body = json!({ "prompt": prompt, "num_frames": 17, "wait": 30 });
        let answer = client.post("/v1/videos/generations", body).await.json();
        assert_eq!((&answer["status"], warnings(&answer)), (&json!("completed"), expected), "{prompt}");
        let again = client.get(&format!("/v1/videos/{}", answer["id"].as_str().unwrap())).await.json();
        assert_eq!(again["warnings"], answer["warnings"]);
    }
    // Those of the request stand before those of the worker.
    let body = json!({ "prompt": "小船向右航行", "sla_topk": 0.05, "num_frames": 17, "wait": 30 });
    let codes = made(&client, "/v1/videos/generations", body).await;
    let codes: Vec<_> = codes.iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!(codes, ["prompt_not_english", "sla_topk_low", "prompt_short"]);
}

#[tokio::test]
async fn what_is_doubtful_about_a_request_is_said_with_the_answer() {
    let rows = vec![Resolution::P480, Resolution::P720];
    let text = Capabilities {
        operations: vec![Operation::TextToVideo],
        best_resolution: Resolution::P480,
        resolutions: rows.clone(),
        ..capabilities()
    };
    let image = Capabilities {
        operations: vec![Operation::ImageToVideo],
        best_resolution: Resolution::P720,
        resolutions: rows,
        experts: 2,
        ..capabilities()
    };
    let models = vec![deployed("text-480p", text), deployed("pair-720p", image)];
    let app = TestApp::with(Setup { models, ..Setup::default() }).await;
    let client = app.client();
    let generations = "/v1/videos/generations";
    let at = |resolution: &str| json!({ "prompt": PLAIN, "model": "text-480p", "resolution": resolution });
    assert_eq!(made(&client, generations, at("480p")).await, []);
    assert_eq!(made(&client, generations, at("720p")).await, one("resolution_not_best", "resolution"));
    let foreign = json!({ "prompt": "夜里一条黄色的鱼向右游", "model": "wan-tiny" });
    assert_eq!(made(&client, generations, foreign).await, one("prompt_not_english", "prompt"));
    let sparse = |share: f64| json!({ "prompt": PLAIN, "model": "wan-tiny", "sla_topk": share });
    assert_eq!(made(&client, generations, sparse(0.1)).await, []);
    assert_eq!(made(&client, generations, sparse(0.09)).await, one("sla_topk_low", "sla_topk"));

    let picture = encoded(&png(160, 200));
    let pair = |steps: u32, boundary: f64| json!({ "prompt": PLAIN, "model": "pair-720p", "image": picture, "num_steps": steps, "boundary": boundary });
    let from_image = "/v1/videos/from-image";
    assert_eq!(made(&client, from_image, pair(4, 0.9)).await, []);
    assert_eq!(made(&client, from_image, pair(2, 0.9)).await, one("low_noise_model_unused", "boundary"));
    assert_eq!(made(&client, from_image, pair(3, 0.7)).await, one("low_noise_model_unused", "boundary"));
    let fitted = |fit: &str, size: &str| json!({ "prompt": PLAIN, "model": "wan-tiny", "image": picture, "image_fit": fit, "size": size });
    assert_eq!(made(&client, from_image, fitted("crop", "160x160")).await, []);
    assert_eq!(
        made(&client, from_image, fitted("stretch", "160x160")).await,
        one("aspect_changed", "image_fit")
    );
    // 160x200 is 0.8, and 144x192 is 0.75: 6 % off.
    assert_eq!(
        made(&client, from_image, fitted("stretch", "144x192")).await,
        one("aspect_changed", "image_fit")
    );
}
