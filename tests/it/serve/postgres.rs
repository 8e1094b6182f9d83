//! The server on PostgreSQL: the commands beside it, one server at a time, and what happens when that one ends or is cut off.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::program::{DEADLINE, Http, Program, command, new_key};
use crate::crash::worker;
use crate::support::postgres::Database;

/// In the address of the database; it must not be seen anywhere.
const PASSWORD: &str = "canary-of-a-password";

/// What several hosts must have in common, besides the database and the storage.
const SECRETS: [(&str, &str); 2] = [
    ("WANSERVE_AUTH_PEPPER", "pepper-of-both-servers-0123456789"),
    ("WANSERVE_AUTH_SIGNING_KEY", "signing-key-of-both-servers-01234"),
];

const NO_DEVICES: [(&str, &str); 2] =
    [("WANSERVE_WORKERS_DEVICES", "none"), ("WANSERVE_WORKERS_TOKEN", worker::TOKEN)];

fn url(database: &Database) -> String {
    database.url().replace("postgres@", &format!("postgres:{PASSWORD}@"))
}

/// Runs a command to its good end; what it printed.
fn ran(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let done = command(arguments).envs(variables.iter().copied()).output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{arguments:?}: {errors}");
    assert!(!errors.contains(PASSWORD), "{errors}");
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_work_beside_a_server_and_one_that_was_superseded_ends() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let database = Database::new();
    let url = url(&database);
    let variables = [&NO_DEVICES[..], &[("WANSERVE_STORE_URL", &url)]].concat();
    let migrated = ran(&["migrate", "--data-dir", &data], &variables);
    assert_eq!(migrated.trim(), "the PostgreSQL database is up to date");

    let mut server = Program::start(folder.path(), &variables);
    assert!(!folder.path().join("data/wanserve.db").exists(), "nothing lies in a file");
    let admin = new_key(folder.path(), "admin", &variables);
    let projects = Http::new(&server.base, &admin).json(Method::GET, "/v1/organization/projects", None).await;
    assert_eq!(projects["data"].as_array().unwrap().len(), 1, "{projects}");
    let chains = ran(&["audit", "verify", "--data-dir", &data], &variables);
    assert!(chains.contains("entries, sealed"), "{chains}");
    let looked = ran(&["doctor", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"], &variables);
    assert!(looked.contains("database: PostgreSQL "), "{looked}");

    let made = Http::new(&server.base, &server.key()).submit(1).await;
    assert!(made.starts_with("video_"), "{made}");
    database.statement("update server set generation = generation + 1");
    let ended = server.ended();
    let log = server.log();
    assert!(!ended.success() && log.contains("another server has taken the database over"), "{log}");
    assert!(!log.contains(PASSWORD), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_waits_takes_over_and_knows_all_that_was_acknowledged() {
    let places = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let database = Database::new();
    let url = url(&database);
    let own = [("WANSERVE_STORE_URL", url.as_str()), ("WANSERVE_STORE_STANDBY", "true")];
    let variables = [&NO_DEVICES[..], &SECRETS, &own].concat();
    let mut first = Program::start(places[0].path(), &variables);
    let http = Http::new(&first.base, &first.key());
    let made = create(&http).await;

    let (address, second) = stand_by(places[1].path(), &variables);
    let base = format!("http://{address}");
    let waiting = Http::new(&base, &first.key());
    waiting.until_status("/readyz", 503).await;
    let (status, told) = waiting.bytes("/readyz", ("accept", "*/*")).await;
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!((status, &told["reasons"]), (503, &json!(["standby"])));
    assert_eq!(waiting.bytes("/healthz", ("accept", "*/*")).await.0, 200);
    let (status, refusal) = waiting.refusal("/v1/videos/generations", &json!({"prompt": "a ball"})).await;
    assert!(status == 503 && refusal.contains("\"error\""), "{status}: {refusal}");

    assert!(database.cut() > 0);
    assert_eq!(http.json(Method::GET, &format!("/v1/videos/{made}"), None).await["status"], "queued");
    first.signal(Signal::KILL);
    first.ended();
    let second = second.join().unwrap();
    assert_eq!(second.base, base);

    assert_eq!(create(&waiting).await, made, "the key is known to whoever comes after");
    worker::tell_address(places[1].path(), &base);
    let mut hand = worker::start(places[1].path(), 0);
    let ended = waiting.ended(&made).await;
    hand.kill();
    assert_eq!(ended["status"], "completed", "{ended}");
    let listed = waiting.json(Method::GET, "/v1/videos", None).await;
    assert_eq!(listed["data"][0]["id"], made.as_str());
    waiting.json(Method::DELETE, &format!("/v1/videos/{made}"), None).await;
    assert_eq!(waiting.bytes(&format!("/v1/videos/{made}"), ("accept", "*/*")).await.0, 404);
    assert!(!second.log().contains(PASSWORD) && !first.log().contains(PASSWORD));
}

/// The same request under the same key.
async fn create(http: &Http) -> String {
    let request = http.request(Method::POST, "/v1/videos/generations");
    let body = json!({"prompt": "a ball", "num_frames": 17, "num_steps": 1});
    let answer = request.header("idempotency-key", "one-and-the-same").json(&body).send().await.unwrap();
    let job: Value = answer.json().await.unwrap();
    job["id"].as_str().unwrap_or_else(|| panic!("{job}")).to_owned()
}

/// Starts a server that is not expected to serve before long; where it will.
fn stand_by(folder: &Path, variables: &[(&str, &str)]) -> (String, std::thread::JoinHandle<Program>) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (folder, listen) = (folder.to_owned(), address.clone());
    let starting = std::thread::spawn(move || {
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Program::start_on(&listen, &folder, &variables)
    });
    let deadline = std::time::Instant::now() + DEADLINE;
    while std::net::TcpStream::connect(&address).is_err() {
        assert!(std::time::Instant::now() < deadline, "nobody answers at {address}");
        std::thread::sleep(Duration::from_millis(50));
    }
    (address, starting)
}
