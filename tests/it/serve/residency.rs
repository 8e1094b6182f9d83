//! Models that an operator orders in and out of a worker's memory, with the real program and its real worker.

use reqwest::Method;
use serde_json::{Value, json};

use super::program::{Http, Program, operator_key};
use crate::support::{Answer, Client};

const WORKERS: &str = "/admin/v1/workers";
const LOAD: &str = "/admin/v1/workers/cpu/load";
const UNLOAD: &str = "/admin/v1/workers/cpu/unload";

/// Bytes that a process has in memory now.
fn memory(worker: &Value) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker["process_id"])).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

/// Waits until the worker idles with its model in memory or out of it.
async fn settled(admin: &Http, resident: bool) -> Value {
    let settled = |list: &Value| {
        let (worker, model) = (&list["data"][0], &list["data"][0]["models"][0]);
        worker["state"] == "idle" && model["ordered"].is_null() && model["resident"] == resident
    };
    admin.until(WORKERS, settled).await["data"][0].clone()
}

#[tokio::test]
async fn a_model_leaves_the_memory_of_a_worker_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Program::start(folder.path(), &[]);
    let admin = Http::new(&server.admin, &operator_key(folder.path()));
    let before = settled(&admin, true).await;
    let most = memory(&before);
    let model = json!({ "model": before["models"][0]["id"], "quant_linear": false });
    let told = admin.json(Method::POST, UNLOAD, Some(model.clone())).await;
    assert_eq!((&told["id"], &told["object"]), (&before["id"], &json!("worker")));
    let without = settled(&admin, false).await;
    assert_eq!(without["process_id"], before["process_id"], "it is the same process");
    let least = memory(&without);
    assert!(least < most / 2, "{most} bytes with the model, {least} without");
    let again = admin.json(Method::POST, UNLOAD, Some(model.clone())).await;
    assert_eq!((&again["state"], &again["models"][0]["ordered"]), (&json!("idle"), &Value::Null));

    admin.json(Method::POST, LOAD, Some(model)).await;
    let back = settled(&admin, true).await;
    assert!(memory(&back) > least, "it is there again");
    assert_eq!(back["models"][0]["error"], Value::Null);
    let metrics = String::from_utf8(Http::new(&server.base, "").bytes("/metrics", ("accept", "*/*")).await.1);
    let metrics = metrics.unwrap();
    let loads = "wanserve_model_load_duration_seconds_count{model=\"wan-tiny\"} 2";
    assert!(metrics.contains(loads), "{metrics}");
    drop(server);
    let audit = super::program::command(&["audit", "export", "--data-dir"])
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    let audit = String::from_utf8(audit.stdout).unwrap();
    for kind in ["worker.model_unloaded", "worker.model_loaded"] {
        assert!(audit.lines().any(|line| line.contains(kind) && line.contains("wan-tiny")), "{audit}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Program::start(folder.path(), &[]);
    let key = operator_key(folder.path());
    settled(&Http::new(&server.admin, &key), true).await;
    let client = Client::anonymous_at(&server.admin);
    let refusal = async |path: &str, body: Value| {
        Answer::of(client.request(Method::POST, path).bearer_auth(&key).json(&body)).await.error()
    };
    let bad = |status, code: &str, param: &str| (status, code.to_owned(), Some(param.to_owned()));
    for path in [LOAD, UNLOAD] {
        for (body, expected) in [
            (json!({}), bad(400, "missing_required_parameter", "model")),
            (json!({ "model": 5 }), bad(400, "invalid_type", "model")),
            (json!({ "model": "wan-tiny", "quant_linear": "no" }), bad(400, "invalid_type", "quant_linear")),
            (json!({ "model": "wan-tiny", "vram": 1 }), bad(400, "unknown_parameter", "vram")),
            (json!({ "model": "wan-vast" }), bad(404, "model_not_found", "model")),
            (
                json!({ "model": "wan-tiny", "quant_linear": true }),
                bad(400, "variant_not_available", "quant_linear"),
            ),
        ] {
            assert_eq!(refusal(path, body.clone()).await, expected, "{path} {body}");
        }
    }
    let nobody = "/admin/v1/workers/nobody/load";
    assert_eq!(refusal(nobody, json!({ "model": "wan-tiny" })).await.1, "resource_not_found");
}
