//! The audit log of a data folder, as somebody at the machine sees it.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::program::{Http, Program, command, operator_key};

/// Whether it went well, and what it printed on both outputs.
fn audit(folder: &Path, arguments: &[&str]) -> (bool, String, String) {
    let data = folder.join("data").display().to_string();
    let output = command(&["audit"]).args(arguments).args(["--data-dir", &data]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn what_was_done_is_chained_exported_and_followed_beside_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &[("WANSERVE_WORKERS_DEVICES", "none")]);
    let operator = Http::new(&program.admin, &operator_key(folder.path()));
    let client = Http::new(&program.base, &program.key());
    let video =
        client.json(Method::POST, "/v1/videos/generations", Some(json!({ "prompt": "secret 4711" }))).await;
    let path = format!("/v1/videos/{}", video["id"].as_str().unwrap());
    client.json(Method::POST, &format!("{path}/cancel"), None).await;
    client.json(Method::DELETE, &path, None).await;
    client.json(Method::POST, "/v1/tokens", Some(json!({ "scopes": ["videos.read"] }))).await;
    operator.json(Method::POST, "/admin/v1/tokens", None).await;
    operator.json(Method::POST, "/admin/v1/signing_keys/rotate", None).await;
    operator.json(Method::POST, "/admin/v1/organizations", Some(json!({ "name": "acme" }))).await;

    let (good, out, errors) = audit(folder.path(), &["export"]);
    assert!(good, "{errors}");
    assert!(!out.contains("4711") && !out.contains("vk_"), "no prompt and no secret: {out}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |chain: &str| -> Vec<(String, Value)> {
        let lines = lines.iter().filter(|line| line["chain"].as_str().unwrap().starts_with(chain));
        let told = |line: &Value| {
            (line["entry"]["kind"].as_str().unwrap().to_owned(), line["entry"]["actor"].clone())
        };
        lines.map(told).collect()
    };
    let kinds = |chain| told(chain).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
    assert_eq!(
        kinds("installation"),
        ["config.changed", "operator_key.created", "token.created", "signing_key.rotated"]
    );
    assert_eq!(told("installation")[1].1, "shell");
    assert_eq!(kinds("org_"), ["organization.created", "organization.created", "admin_api_key.created"]);
    let first = ["project.created", "service_account.created", "api_key.created"];
    let then = ["video.created", "video.cancelled", "video.deleted", "token.created"];
    assert_eq!(kinds("proj_"), [&first[..], &then[..]].concat());
    assert_eq!(told("proj_")[0].1, "server");

    let (good, heads, errors) = audit(folder.path(), &["verify", "--json"]);
    assert!(good && heads.lines().count() == 4, "{heads}{errors}");
    let kept = folder.path().join("heads.jsonl");
    std::fs::write(&kept, heads).unwrap();
    drop(program);

    let _again = Program::start(folder.path(), &[("WANSERVE_WORKERS_DEVICES", "none")]);
    let since = ["verify", "--since", kept.to_str().unwrap()];
    let (good, out, errors) = audit(folder.path(), &since);
    assert!(
        good && out.contains("installation: 4 entries"),
        "the same settings are not told twice: {out}{errors}"
    );
    spoil(folder.path()).await;
    let (good, _, errors) = audit(folder.path(), &since);
    assert!(!good && errors.contains("installation: entry 2 is not what was sealed"), "{errors}");
}

#[test]
fn other_settings_are_told_without_their_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let none = ("WANSERVE_WORKERS_DEVICES", "none");
    drop(Program::start(folder.path(), &[none]));
    drop(Program::start(folder.path(), &[none, ("WANSERVE_METRICS_TOKEN", "a-token-that-nobody-knows")]));
    let (_, out, _) = audit(folder.path(), &["export"]);
    assert_eq!(out.matches("config.changed").count(), 2, "{out}");
    assert!(!out.contains("a-token-that-nobody-knows"), "{out}");
}

/// Somebody with the file in their hands.
async fn spoil(folder: &Path) {
    let file = folder.join("data").join("wanserve.db");
    let mut raw = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    let sql = "drop trigger audit_is_not_changed;
               update audit set record = replace(record, 'shell', 'server') where chain = 'installation'";
    sqlx::raw_sql(sql).execute(&mut raw).await.unwrap();
}
