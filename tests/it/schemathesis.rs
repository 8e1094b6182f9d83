//! The documents against the server, as a tool from outside sees both. `tests/openapi/run.sh` brings the tool and runs this;
//! the main API is in this process, with a worker that follows a script and without limits.

use std::process::Command;

use wanserve::domain::clock::Random;
use wanserve::domain::id::OrganizationId;
use wanserve::domain::key::{KeyOwner, Scope};
use wanserve::scheduler::SystemRandom;

use crate::serve::program::{Program, operator_key};
use crate::support::{Script, TestApp};

/// Requests tried for each operation, and where the choice of them starts.
const EXAMPLES: &str = "25";
const SEED: &str = "20261126";

/// What must hold of every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,allow_header_conformance";

/// Streams do not end for a client that only reads, and pages and metrics are not the API's.
const LEFT_OUT: [&str; 5] = ["streamVideoEvents", "getMetrics", "getDocs", "getReadiness", "getOpenApi"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs schemathesis: tests/openapi/run.sh"]
async fn schemathesis_finds_nothing() {
    let app = TestApp::start().await;
    let _worker = app.worker(Script::Complete).await;
    let organization = OrganizationId::new(1, SystemRandom.id_bytes());
    let admin = app.key_of(KeyOwner::Admin { organization }, vec![Scope::All]).await;
    let key = app.new_key(app.scope, vec![Scope::All]).await;
    for (key, side) in [(key, "--exclude-tag"), (admin, "--include-tag")] {
        ask(&app.base, &key, &[side, "Administration"]).await;
    }
}

/// The operator's listener needs the whole program. Orders to its worker would only keep it restarting: there is none.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs schemathesis: tests/openapi/run.sh"]
async fn schemathesis_finds_nothing_at_the_operators() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &[("WANSERVE_WORKERS_DEVICES", "none")]);
    ask(&program.admin, &operator_key(folder.path()), &[]).await;
}

/// Tries every operation of the document that the server at `base` shows.
#[expect(clippy::disallowed_methods, reason = "how the script tells the test where the tool is")]
async fn ask(base: &str, key: &str, which: &[&str]) {
    let tool = std::env::var("SCHEMATHESIS").expect("SCHEMATHESIS names the program");
    let mut command = Command::new(tool);
    command.args(["run", &format!("{base}/openapi.json")]).args(which);
    command.args(["--header", &format!("Authorization: Bearer {key}"), "--seed", SEED]);
    command.args(["--max-examples", EXAMPLES, "--phases", "examples,coverage,fuzzing", "--checks", CHECKS]);
    command.args(["--suppress-health-check", "all", "--warnings", "off", "--continue-on-failure"]);
    for operation in LEFT_OUT {
        command.args(["--exclude-operation-id", operation]);
    }
    // It leaves files where it runs.
    let folder = tempfile::tempdir().unwrap();
    command.current_dir(folder.path());
    let status = tokio::task::spawn_blocking(move || command.status()).await.unwrap().unwrap();
    assert!(status.success(), "schemathesis found failures, listed above");
}
