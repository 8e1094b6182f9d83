//! The trace that a client began goes through the job: to the worker that makes it and to whoever hears of its end.

use reqwest::Method;
use serde_json::{Value, json};
use wanserve::domain::trace::TraceContext;

use crate::support::{Answer, Client, Script, Setup, Sink, TestApp};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// A job that calls back, asked for with these headers.
async fn submit(client: &Client, callback: &str, headers: &[(&str, &str)]) -> Value {
    let body = json!({ "prompt": "x", "num_frames": 17, "callback_url": callback });
    let request = client.request(Method::POST, "/v1/videos/generations?wait=30").json(&body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = Answer::of(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Trace, span and flags.
fn parts(traceparent: &str) -> (String, String, String) {
    let parts: Vec<_> = traceparent.split('-').map(str::to_owned).collect();
    assert_eq!(parts.len(), 4, "{traceparent}");
    assert!(TraceContext::parse(traceparent, std::iter::empty()).is_some(), "{traceparent}");
    (parts[1].clone(), parts[2].clone(), parts[3].clone())
}

#[tokio::test]
async fn a_trace_is_continued_by_workers_and_webhooks() {
    let sink = Sink::of_statuses(&[200]).await;
    let app = TestApp::with(Setup { reachable_ports: vec![sink.port], ..Setup::default() }).await;
    let worker = app.worker(Script::Complete).await;
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let headers = [("traceparent", parent.as_str()), ("tracestate", "vendor=1"), ("tracestate", "other=2")];
    submit(&app.client(), &sink.url("/done"), &headers).await;
    let hook = sink.until(1).await.remove(0);
    let lease = worker.leases().remove(0).trace.expect("a lease says whom it is for");
    let (trace, span, flags) = parts(&lease.traceparent());
    assert_eq!((trace.as_str(), flags.as_str(), lease.tracestate()), (TRACE, "01", Some("vendor=1,other=2")));
    assert_ne!(span, SPAN, "the server's request is a step between");
    let (trace, later, flags) = parts(hook.header("traceparent"));
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "01"));
    assert!(later != span && later != SPAN, "a delivery is a step of its own");
    assert_eq!(hook.header("tracestate"), "vendor=1,other=2");
}

#[tokio::test]
async fn without_a_sound_trace_a_new_one_begins() {
    let sink = Sink::of_statuses(&[200]).await;
    let app = TestApp::with(Setup { reachable_ports: vec![sink.port], ..Setup::default() }).await;
    let worker = app.worker(Script::Complete).await;
    let client = app.client();
    let sound = format!("00-{TRACE}-{SPAN}-01");
    let upper = sound.to_uppercase();
    let cases: [&[(&str, &str)]; 4] = [
        &[],
        &[("traceparent", "00-0-0-0"), ("tracestate", "vendor=1")],
        &[("traceparent", &upper)],
        &[("traceparent", &sound), ("traceparent", &sound)],
    ];
    let mut seen = Vec::new();
    for (count, headers) in cases.iter().enumerate() {
        submit(&client, &sink.url("/done"), headers).await;
        let hook = sink.until(count + 1).await.remove(count);
        let lease = worker.leases().remove(count).trace.unwrap();
        let (trace, ..) = parts(&lease.traceparent());
        assert_eq!((&parts(hook.header("traceparent")).0, lease.tracestate()), (&trace, None));
        seen.push(trace);
    }
    seen.push(TRACE.to_owned());
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 5, "each is another: {seen:?}");
}
