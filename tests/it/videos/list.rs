//! Listing: pages in both orders, filters, and other projects' absence.

use serde_json::{Value, json};

use crate::support::{Client, Script, TestApp};

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

async fn walk(client: &Client, order: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = client.get(&format!("/v1/videos?limit=2&order={order}{after}")).await.json();
        assert_eq!(
            page.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["data", "first_id", "has_more", "last_id", "object"]
        );
        seen.extend(ids(&page));
        if page["has_more"] == false {
            return seen;
        }
        after = format!("&after={}", page["last_id"].as_str().unwrap());
    }
}

#[tokio::test]
async fn pages_follow_one_another_without_gap_or_repetition() {
    let app = TestApp::start().await;
    let client = app.client();
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(client.submit().await);
    }
    // Two of the same millisecond are ordered by the rest of their ids.
    made.sort();
    assert_eq!(walk(&client, "asc").await, made);
    made.reverse();
    assert_eq!(walk(&client, "desc").await, made);
    let none = client.get("/v1/videos?limit=0").await.json();
    assert_eq!((ids(&none), &none["first_id"], &none["last_id"]), (Vec::new(), &Value::Null, &Value::Null));
}

#[tokio::test]
async fn filters_narrow_the_list() {
    let app = TestApp::start().await;
    let client = app.client();
    let worker = app.worker(Script::Complete).await;
    let done = client.finish().await["id"].as_str().unwrap().to_owned();
    worker.follow(Script::Hold);
    let body = json!({ "prompt": "x", "seed": 99, "metadata": { "team": "blue" } });
    let marked = client.post("/v1/videos/generations", body).await.id();
    client.until(&marked, |job| job["status"] == "in_progress").await;
    for (query, expected) in [
        ("status=completed", vec![&done]),
        ("status=in_progress", vec![&marked]),
        ("status=queued", vec![]),
        ("seed=99", vec![&marked]),
        ("metadata[team]=blue", vec![&marked]),
        ("metadata[team]=red", vec![]),
        ("model=WAN-TINY&operation=text_to_video", vec![&marked, &done]),
        ("operation=remix", vec![]),
        ("created_before=1", vec![]),
        ("created_after=1", vec![&marked, &done]),
        ("created_after=18446744073709551615", vec![]),
        ("created_before=18446744073709551615", vec![&marked, &done]),
        ("unknown=1", vec![&marked, &done]),
    ] {
        let page = client.get(&format!("/v1/videos?{query}")).await.json();
        assert_eq!(ids(&page).iter().collect::<Vec<_>>(), expected, "{query}");
    }
}

#[tokio::test]
async fn wrong_pages_are_refused() {
    let app = TestApp::start().await;
    let client = app.client();
    let foreign = app.stranger().await.submit().await;
    for (query, param) in [
        ("limit=101".to_owned(), "limit"),
        ("limit=x".to_owned(), "limit"),
        ("order=up".to_owned(), "order"),
        ("status=cancelled".to_owned(), "status"),
        ("after=video_x".to_owned(), "after"),
        (format!("after={foreign}"), "after"),
    ] {
        let seen = client.get(&format!("/v1/videos?{query}")).await.error();
        assert_eq!(seen, (400, "invalid_value".to_owned(), Some(param.to_owned())), "{query}");
    }
}

#[tokio::test]
async fn a_page_may_begin_behind_a_deleted_video() {
    let app = TestApp::start().await;
    let client = app.client();
    let first = client.submit().await;
    let _worker = app.worker(Script::Complete).await;
    let second = client.finish().await["id"].as_str().unwrap().to_owned();
    assert_eq!(client.delete(&format!("/v1/videos/{second}")).await.status, 200);
    let page = client.get(&format!("/v1/videos?after={second}")).await.json();
    assert_eq!(ids(&page), [first]);
}
