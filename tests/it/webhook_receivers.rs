//! The receivers that `docs/webhooks.md` shows, cut out of it and run: they take what the server sends and nothing else.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Client, Setup, TestApp};

/// Interpreters start slowly on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Ends with the test.
struct Receiver(Child);

impl Drop for Receiver {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The first block of that language.
fn block(language: &str) -> String {
    let page = include_str!("../../docs/webhooks.md");
    let start = page.find(&format!("```{language}\n")).expect("the page has such a block");
    let code = &page[start + language.len() + 4..];
    code[..code.find("\n```").expect("the block ends")].to_owned()
}

fn is_installed(interpreter: &str) -> bool {
    Command::new(interpreter).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn start(interpreter: &str, file: &Path, port: u16, secret: &str) -> Receiver {
    let mut command = Command::new(interpreter);
    command.arg(file).env("PORT", port.to_string()).env("WEBHOOK_SECRET", secret);
    Receiver(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// Sends a test event until the receiver listens; answers the status it gave.
async fn test(client: &Client, endpoint: &str) -> Value {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let delivery = client.post_empty(&format!("/v1/webhook_endpoints/{endpoint}/test")).await.json();
        let status = delivery["attempts"][0]["status_code"].clone();
        if !status.is_null() {
            return status;
        }
        assert!(Instant::now() < deadline, "the receiver does not start: {delivery}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn runs(interpreter: &str, language: &str, file: &str) {
    if !is_installed(interpreter) {
        eprintln!("{interpreter} is not installed: the receiver of the page was not run");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(file);
    std::fs::write(&file, block(language)).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let app = TestApp::with(Setup { reachable_ports: vec![port], ..Setup::default() }).await;
    let client = app.client();
    let body = json!({ "url": format!("http://127.0.0.1:{port}/"), "events": ["video.completed"] });
    let made = client.post("/v1/webhook_endpoints", body).await.json();
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());

    let receiver = start(interpreter, &file, port, secret);
    assert_eq!(test(&client, id).await, 204, "what was signed with its secret");
    let rotate = format!("/v1/webhook_endpoints/{id}/rotate_secret");
    client.post(&rotate, json!({})).await;
    assert_eq!(test(&client, id).await, 204, "while both secrets sign");
    client.post(&rotate, json!({ "overlap_seconds": 0 })).await;
    assert_eq!(test(&client, id).await, 400, "when its secret signs no more");
    drop(receiver);
}

#[tokio::test]
async fn the_receiver_in_python_takes_what_is_signed_and_nothing_else() {
    runs("python3", "python", "receiver.py").await;
}

#[tokio::test]
async fn the_receiver_in_node_takes_what_is_signed_and_nothing_else() {
    runs("node", "js", "receiver.mjs").await;
}
