//! Of several faults the client hears of the first in schema order, whatever their kinds, on every route that makes videos.

use serde_json::{Map, Value, json};

use crate::support::{Client, Part, Script, TestApp, encoded, png};

/// Members in schema order, each with a value of a wrong type and one that is wrong by the rules; null where none is.
fn parameters() -> Vec<(&'static str, Value, Value)> {
    vec![
        ("prompt", json!(5), json!("\u{200b}")),
        ("model", json!(["wan-tiny"]), json!("wan9")),
        ("size", json!(224), json!("1024x1792")),
        ("resolution", json!(128), json!("480p")),
        ("aspect_ratio", json!(1.5), json!("2:1")),
        ("adaptive_resolution", json!("true"), json!(null)),
        ("image_fit", json!(true), json!("zoom")),
        ("seconds", json!([]), json!(8)),
        ("num_frames", json!("17"), json!(18)),
        ("num_steps", json!(1.5), json!(5)),
        ("seed", json!("7"), json!(-1)),
        ("sigma_max", json!("80"), json!(0.5)),
        ("ode", json!(1), json!(null)),
        ("boundary", json!("0.9"), json!(0.9)),
        ("attention_type", json!(1), json!("dense")),
        ("sla_topk", json!(true), json!(1.5)),
        ("quant_linear", json!("true"), json!(true)),
        ("normalize_prompt", json!(0), json!(null)),
        ("asset_ttl_seconds", json!("3600"), json!(3599)),
        ("callback_url", json!(1), json!("https://10.0.0.1/")),
        ("metadata", json!("a"), json!({ "a": 1 })),
    ]
}

/// After the parameters: how to answer, and what is in no schema.
fn endings(answering: bool) -> Vec<(&'static str, Value, Value)> {
    let mut members = vec![("negative_prompt", json!("x"), json!("x")), ("foo", json!(1), json!(1))];
    if answering {
        members.insert(0, ("stream", json!("yes"), json!(null)));
        members.insert(0, ("wait", json!("5"), json!(61)));
    }
    members
}

/// A body in which every member from one on is wrong, of alternating kinds, is refused because of that one.
async fn peel(client: &Client, path: &str, members: &[(&str, Value, Value)], right: &Map<String, Value>) {
    for (from, (first, ..)) in members.iter().enumerate() {
        for parity in 0..2 {
            let mut body = right.clone();
            for (at, (name, kind, value)) in members.iter().enumerate().skip(from) {
                let wrong = if at % 2 == parity || value.is_null() { kind } else { value };
                body.insert((*name).to_owned(), wrong.clone());
            }
            let answer = client.post(path, Value::Object(body.clone())).await;
            let param = &answer.json()["error"]["param"];
            assert_eq!(param, first, "{path} {}", Value::Object(body));
        }
    }
}

/// The same as a form, where every wrong type is a member given twice.
async fn peel_form(client: &Client, path: &str, members: &[(&str, Value, Value)], right: &[(&str, &str)]) {
    for (from, (first, ..)) in members.iter().enumerate() {
        for parity in 0..2 {
            let mut texts: Vec<(String, String)> = Vec::new();
            let bad: Vec<&str> = members[from..].iter().map(|(name, ..)| *name).collect();
            for (name, text) in right.iter().filter(|(name, _)| !bad.contains(name)) {
                texts.push(((*name).to_owned(), (*text).to_owned()));
            }
            for (at, (name, _, value)) in members.iter().enumerate().skip(from) {
                let text = value.as_str().map(str::to_owned);
                let text = text.or_else(|| value.as_number().map(ToString::to_string));
                match text.filter(|_| at % 2 != parity) {
                    Some(text) => texts.push(((*name).to_owned(), text)),
                    None => texts.extend(["1", "2"].map(|text| ((*name).to_owned(), text.to_owned()))),
                }
            }
            let parts: Vec<Part<'_>> = texts.iter().map(|(name, text)| Part::Text(name, text)).collect();
            let answer = client.post_form(path, &parts).await;
            assert_eq!(&answer.json()["error"]["param"], first, "{path} {texts:?}");
        }
    }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

#[tokio::test]
async fn text_is_judged_in_schema_order() {
    let app = TestApp::start().await;
    let members = [parameters(), endings(true)].concat();
    let prompt = object(json!({ "prompt": "x" }));
    peel(&app.client(), "/v1/videos/generations", &members, &prompt).await;
    // What only pictures take is refused behind everything that the route has.
    let both = json!({ "prompt": "x", "wait": 61, "image": "x" });
    let answer = app.client().post("/v1/videos/generations", both).await.error();
    assert_eq!(answer, (400, "invalid_value".to_owned(), Some("wait".to_owned())));
}

#[tokio::test]
async fn pictures_are_judged_between_parameters_and_the_way_to_answer() {
    let app = TestApp::start().await;
    let client = app.client();
    let (good, gif) = (encoded(&png(160, 200)), "data:image/gif;base64,R0lGODlhAQABAAAAACw=");
    let picture = vec![("image", json!(5), json!(gif))];
    let members = [parameters(), picture, endings(true)].concat();
    let right = object(json!({ "prompt": "x", "image": good }));
    peel(&client, "/v1/videos/from-image", &members, &right).await;
    let right = [("prompt", "x"), ("image", good.as_str())];
    peel_form(&client, "/v1/videos/from-image", &members, &right).await;
    // A picture that is not there at all, and one whose shape does not go with an adaptive size.
    let missing = json!({ "prompt": "x", "wait": 61 });
    let seen = client.post("/v1/videos/from-image", missing).await.error();
    assert_eq!(seen, (400, "missing_required_parameter".to_owned(), Some("image".to_owned())));
}

#[tokio::test]
async fn the_sdk_route_is_judged_in_schema_order() {
    let app = TestApp::start().await;
    let client = app.client();
    let (good, gif) = (encoded(&png(160, 200)), "data:image/gif;base64,R0lGODlhAQABAAAAACw=");
    let picture = vec![("input_reference", json!("bare"), json!({ "image_url": gif }))];
    let mut members = [parameters(), picture, endings(false)].concat();
    // Of a picture inside an object, the path to it is named.
    let nested = members.iter().position(|(name, ..)| *name == "input_reference").unwrap();
    let refused = client
        .post("/v1/videos", json!({ "prompt": "x", "input_reference": { "image_url": gif }, "foo": 1 }));
    assert_eq!(refused.await.json()["error"]["param"], "input_reference.image_url");
    members[nested].2 = json!(null);
    let right = object(json!({ "prompt": "x", "input_reference": { "image_url": good } }));
    peel(&client, "/v1/videos", &members, &right).await;
    peel(&client, "/v1/videos", &[parameters(), endings(false)].concat(), &object(json!({ "prompt": "x" })))
        .await;
    peel_form(&client, "/v1/videos", &members, &[("prompt", "x")]).await;
    // `wait` of the query stands behind the body's members, and before those that are in no schema.
    let query = client.post("/v1/videos?wait=61", json!({ "prompt": "x", "foo": 1 })).await.error();
    assert_eq!(query, (400, "invalid_value".to_owned(), Some("wait".to_owned())));
    let query = client.post("/v1/videos?wait=61", json!({ "prompt": "x", "seed": "x" })).await.error();
    assert_eq!(query, (400, "invalid_type".to_owned(), Some("seed".to_owned())));
}

#[tokio::test]
async fn a_remix_is_judged_in_schema_order() {
    let app = TestApp::start().await;
    let client = app.client();
    let _worker = app.worker(Script::Complete).await;
    let source = client.finish().await;
    let path = format!("/v1/videos/{}/remix", source["id"].as_str().unwrap());
    let members = [parameters(), endings(false)].concat();
    peel(&client, &path, &members, &object(json!({ "prompt": "x" }))).await;
    peel_form(&client, &path, &members, &[("prompt", "x")]).await;
    let missing = client.post(&path, json!({ "seed": -1 })).await.error();
    assert_eq!(missing, (400, "missing_required_parameter".to_owned(), Some("prompt".to_owned())));
}

#[tokio::test]
async fn conflicts_stand_where_the_blamed_member_stands() {
    let app = TestApp::start().await;
    let client = app.client();
    for (body, param) in [
        (json!({ "prompt": "x", "size": "224x128", "resolution": "480p" }), "size"),
        (json!({ "prompt": "x", "size": "224x128", "aspect_ratio": "1:1", "resolution": 5 }), "size"),
        (json!({ "prompt": "x", "size": "224x128", "aspect_ratio": "2:1" }), "aspect_ratio"),
        (json!({ "prompt": "x", "num_frames": 18, "seconds": "9" }), "seconds"),
        (json!({ "prompt": "x", "num_frames": 18, "seconds": "1", "num_steps": 9 }), "num_frames"),
        (json!({ "prompt": "x", "wait": 5, "stream": true, "foo": 1 }), "stream"),
        (json!({ "prompt": "\u{200b}", "num_steps": 9 }), "prompt"),
        (json!({ "prompt": " ", "seed": "x" }), "prompt"),
    ] {
        let answer = client.post("/v1/videos/generations", body.clone()).await;
        assert_eq!(answer.json()["error"]["param"], param, "{body}");
    }
}
