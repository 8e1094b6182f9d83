//! What was booked, as the project reads it.

use serde_json::{Value, json};
use wanserve::domain::failure::FailureCode;
use wanserve::domain::key::Scope;

use crate::support::{Script, TestApp};

fn sum(page: &Value, field: &str) -> f64 {
    let buckets = page["data"].as_array().unwrap().iter();
    let results = buckets.flat_map(|bucket| bucket["results"].as_array().unwrap());
    results.map(|result| result[field].as_f64().unwrap()).sum()
}

#[tokio::test]
async fn sums_are_the_same_over_any_grouping() {
    let app = TestApp::start().await;
    let client = app.client();
    let worker = app.worker(Script::Complete).await;
    client.finish().await;
    let job = client.finish().await;
    worker.follow(Script::Fail(FailureCode::InternalError));
    client.finish().await;
    let start = job["created_at"].as_u64().unwrap() - 10;
    for group in [
        "",
        "&group_by=model",
        "&group_by[]=size&group_by[]=operation",
        "&group_by=api_key_id&bucket_width=1h",
    ] {
        let page = client.get(&format!("/v1/usage?start_time={start}{group}")).await.json();
        assert_eq!(
            (&page["object"], &page["has_more"], &page["next_page"]),
            (&json!("page"), &json!(false), &Value::Null)
        );
        assert_eq!(
            (sum(&page, "videos"), sum(&page, "failed_videos"), sum(&page, "num_model_requests")),
            (2.0, 1.0, 3.0)
        );
        assert_eq!((sum(&page, "gpu_seconds"), sum(&page, "frames")), (1.5, 34.0), "{group}");
    }
    let page = client.get(&format!("/v1/usage?start_time={start}&group_by=model")).await.json();
    let result = page["data"].as_array().unwrap().iter().find_map(|bucket| bucket["results"].get(0)).unwrap();
    assert_eq!((&result["model"], &result["size"]), (&json!("wan-tiny"), &Value::Null));
    let none = client.get(&format!("/v1/usage?start_time={start}&models=other")).await.json();
    assert_eq!(sum(&none, "videos"), 0.0);
    let foreign = app.stranger().await.get(&format!("/v1/usage?start_time={start}")).await.json();
    assert_eq!(sum(&foreign, "videos"), 0.0);
}

#[tokio::test]
async fn pages_of_buckets_follow_one_another() {
    let app = TestApp::start().await;
    let client = app.client();
    let path = "/v1/usage?start_time=120&end_time=420&bucket_width=1m&limit=2";
    let first = client.get(path).await.json();
    let starts: Vec<_> =
        first["data"].as_array().unwrap().iter().map(|bucket| bucket["start_time"].clone()).collect();
    assert_eq!((starts, &first["has_more"]), (vec![json!(120), json!(180)], &json!(true)));
    let next = first["next_page"].as_str().unwrap();
    let second = client.get(&format!("{path}&page={next}")).await.json();
    assert_eq!(second["data"][0]["start_time"], 240);
    let table = client.get(&format!("{path}&format=csv")).await;
    assert_eq!(table.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(
        table.header("x-next-page"),
        Some(next),
        "where there is no JSON the header says how to go on"
    );
    assert_eq!(table.header("content-disposition"), Some("attachment; filename=\"usage.csv\""));
    assert!(table.body.starts_with(b"start_time,end_time,") && table.body.ends_with(b"\r\n"));
    let last = client.get(&format!("{path}&page=360&format=csv")).await;
    assert_eq!((last.status, last.header("x-next-page")), (200, None));
    for (query, code, param) in [
        ("start_time=1&format=xml", "invalid_value", "format"),
        ("", "missing_required_parameter", "start_time"),
        ("start_time=x", "invalid_value", "start_time"),
        ("start_time=1&bucket_width=2d", "invalid_value", "bucket_width"),
        ("start_time=1&limit=32", "invalid_value", "limit"),
        ("start_time=1&group_by=seed", "invalid_value", "group_by"),
    ] {
        let seen = client.get(&format!("/v1/usage?{query}")).await.error();
        assert_eq!(seen, (400, code.to_owned(), Some(param.to_owned())), "{query}");
    }
    let reader = app.limited_to(vec![Scope::VideosRead]).await;
    assert_eq!(reader.get("/v1/usage?start_time=1").await.refusal(), (403, "insufficient_scope".to_owned()));
}
