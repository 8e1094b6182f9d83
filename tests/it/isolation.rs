//! Every operation of the document against every kind of caller. What belongs to another tenant answers exactly as what
//! never was, what was deleted and what is no id at all; whoever may not ask learns nothing else. Time tells nothing either:
//! for what is not theirs and for what is not there the store is asked the same, operation by operation.
//!
//! Paths, placeholders and security come from the document: a new route is under test as soon as it is described.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use wanserve::domain::clock::Random;
use wanserve::domain::id::OrganizationId;
use wanserve::domain::key::{KeyOwner, Scope};
use wanserve::scheduler::SystemRandom;
use wanserve::store::Asked;

use crate::coverage::operations;
use crate::support::{Answer, Client, Part, Script, Setup, Sink, TestApp};

/// Operations that need no key.
const OPEN: [&str; 8] = [
    "getHealth",
    "getReadiness",
    "getMetrics",
    "getOpenApi",
    "getDocs",
    "getSigningKeys",
    "downloadSigned",
    "headDownloadSigned",
];

/// Operations that any key of a project may call.
const WITHOUT_SCOPE: [&str; 1] = ["getLimits"];

/// Placeholders that name what is the same for all tenants.
const SHARED: [&str; 2] = ["model", "character_id"];

/// What finding out who asks may ask of the store, or not, if it was asked a moment ago.
const OF_IDENTITY: [&str; 2] = [">::key_by_handle:", ">::touch_key:"];
const OF_TENANT: [&str; 3] = [">::organization:", ">::project:", ">::rate_limits:"];

/// One operation of the document.
struct Operation {
    id: String,
    method: Method,
    path: String,
    /// For administrators.
    admin: bool,
    body: Option<Value>,
}

fn all() -> Vec<Operation> {
    let described = operations().into_iter().filter(|(_, path, _)| path.starts_with("/v1/"));
    let operations = described.map(|(method, path, description)| {
        let id = description["operationId"].as_str().unwrap().to_owned();
        let admin = path.starts_with("/v1/organization");
        let body = description["requestBody"].is_object().then(|| body(&id));
        Operation { id, method, path, admin, body }
    });
    operations.filter(|operation| !OPEN.contains(&operation.id.as_str())).collect()
}

/// What the operation takes, so that nothing but the caller and the ids is wrong.
fn body(operation: &str) -> Value {
    match operation {
        "rotate-project-api-key" | "update-project-rate-limits" | "rotateWebhookCallbackSecret" => json!({}),
        "updateWebhookEndpoint" | "rotateWebhookEndpointSecret" | "redeliverWebhook" => json!({}),
        "createToken" => json!({ "scopes": ["videos.read"] }),
        _ if operation.contains("ebhook") => {
            json!({ "url": "https://hook.example/", "events": ["video.completed"] })
        }
        _ if operation.contains('-') => json!({ "name": "x" }),
        _ => json!({ "prompt": "x" }),
    }
}

impl Operation {
    fn placeholders(&self) -> Vec<&str> {
        let parts = self.path.split('{').skip(1).filter_map(|part| part.split('}').next());
        parts.filter(|name| !SHARED.contains(name)).collect()
    }

    /// The answer, and what the store was asked for it.
    async fn trace(
        &self,
        app: &TestApp,
        client: &Client,
        ids: &BTreeMap<&str, String>,
    ) -> (Answer, Vec<&'static str>) {
        app.store.take_asked();
        let answer = self.ask(client, ids).await;
        let from_memory = |name: &str| {
            OF_IDENTITY.iter().any(|own| name.contains(own))
                || !self.admin && OF_TENANT.iter().any(|own| name.contains(own))
        };
        // The server's own rounds run on the thread of the test.
        let by_request = |asked: &Asked| {
            asked.thread.as_deref().is_some_and(|name| name.starts_with("actix"))
                && !from_memory(asked.operation)
        };
        let asked = app.store.take_asked();
        (answer, asked.iter().filter(|asked| by_request(asked)).map(|asked| asked.operation).collect())
    }

    async fn ask(&self, client: &Client, ids: &BTreeMap<&str, String>) -> Answer {
        let mut path = self.path.replace("{model}", "wan-tiny").replace("{character_id}", "char_x");
        for (name, id) in ids {
            path = path.replace(&format!("{{{name}}}"), id);
        }
        assert!(!path.contains('{'), "teach this test what {path} means");
        let request = client.request(self.method.clone(), &path);
        Answer::of(match &self.body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }
}

/// One tenant's things, by placeholder.
pub(crate) struct Things {
    pub(crate) client: Client,
    pub(crate) admin: Client,
    pub(crate) ids: BTreeMap<&'static str, String>,
}

pub(crate) async fn things(app: &TestApp, sink: &Sink) -> Things {
    let organization = OrganizationId::new(1, SystemRandom.id_bytes());
    let admin = app.client_with(&app.key_of(KeyOwner::Admin { organization }, vec![Scope::All]).await);
    let projects = "/v1/organization/projects";
    let project = admin.post(projects, json!({ "name": "p" })).await.id();
    let accounts = format!("{projects}/{project}/service_accounts");
    let account = admin.post(&accounts, json!({ "name": "a" })).await.json();
    let client = app.client_with(account["api_key"]["value"].as_str().unwrap());
    let own = admin.post("/v1/organization/admin_api_keys", json!({ "name": "k" })).await;
    let hook = json!({ "url": sink.url("/hook"), "events": ["video.completed"] });
    let endpoint = client.post("/v1/webhook_endpoints", hook).await.id();
    let parts = [Part::Text("purpose", "user_data"), Part::File("file", "notes.txt", b"some notes")];
    let file = client.post_form("/v1/files", &parts).await.id();
    let video = client.finish().await["id"].as_str().unwrap().to_owned();
    let sent = client
        .until_at("/v1/webhook_deliveries", |page| {
            page["data"].as_array().is_some_and(|data| !data.is_empty())
        })
        .await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let ids = BTreeMap::from([
        ("video_id", video),
        ("file_id", file),
        ("endpoint_id", endpoint),
        ("delivery_id", text(&sent["data"][0]["id"])),
        ("project_id", project),
        ("service_account_id", text(&account["id"])),
        ("api_key_id", text(&account["api_key"]["id"])),
        ("key_id", own.id()),
        ("rate_limit_id", "rl_default".to_owned()),
    ]);
    Things { client, admin, ids }
}

/// Ids that never were, in the form of these.
fn absent(ids: &BTreeMap<&'static str, String>) -> BTreeMap<&'static str, String> {
    let other = |id: &String| {
        let (prefix, _) = id.rsplit_once('_').unwrap();
        format!("{prefix}_019b76da000070008000000000000000")
    };
    ids.iter().map(|(name, id)| (*name, other(id))).collect()
}

/// What a caller can tell two answers apart by.
fn visible(answer: &Answer) -> (u16, String, Vec<String>) {
    // Of the connection, not of the answer: a body that nobody read ends it.
    let names = answer.headers.keys().filter(|name| *name != "connection");
    let names = names.map(ToString::to_string).collect();
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned(), names)
}

pub(crate) async fn start() -> (TestApp, Sink) {
    let sink = Sink::of_statuses(&[200]).await;
    let app = TestApp::with(Setup { reachable_ports: vec![sink.port], ..Setup::default() }).await;
    (app, sink)
}

#[tokio::test]
async fn what_belongs_to_others_looks_like_what_is_not_there() {
    let (app, sink) = start().await;
    let _worker = app.worker(Script::Complete).await;
    let (mine, theirs) = (things(&app, &sink).await, things(&app, &sink).await);
    let never = absent(&theirs.ids);
    let (mut asked, mut operations_seen) = (0, 0);
    for operation in all().iter().filter(|operation| !operation.placeholders().is_empty()) {
        let client = if operation.admin { &mine.admin } else { &mine.client };
        // Each placeholder in turn, with what stands before it being the caller's own.
        for (place, name) in operation.placeholders().into_iter().enumerate() {
            let with = |id: &str| {
                let names = operation.placeholders();
                let ids = names.iter().enumerate().map(|(index, other)| {
                    let own = if index < place { &mine.ids } else { &theirs.ids };
                    (*other, if index == place { id.to_owned() } else { own[other].clone() })
                });
                ids.collect::<BTreeMap<_, _>>()
            };
            let foreign = if name == "rate_limit_id" { "rl_other-model" } else { theirs.ids[name].as_str() };
            let (absent, looked_up) = operation.trace(&app, client, &with(&never[name])).await;
            let expected = visible(&absent);
            assert_eq!(expected.0, 404, "{} {name}: {expected:?}", operation.id);
            let (_, of_theirs) = operation.trace(&app, client, &with(foreign)).await;
            assert_eq!(of_theirs, looked_up, "{} {name}", operation.id);
            operations_seen += looked_up.len();
            for id in [foreign, "x", "..%2Fx", "%00", &foreign.to_uppercase()] {
                let seen = visible(&operation.ask(client, &with(id)).await);
                assert_eq!(seen, expected, "{} {name}={id}", operation.id);
            }
            asked += 1;
        }
    }
    assert!(asked > 30, "only {asked} places were asked for");
    assert!(operations_seen > asked, "the store was looked at: {operations_seen}");
    let kept = theirs.client.get(&format!("/v1/videos/{}", theirs.ids["video_id"])).await;
    assert_eq!(kept.json()["status"], "completed", "nothing of it was touched");
}

#[tokio::test]
async fn what_was_deleted_looks_like_what_never_was() {
    let (app, sink) = start().await;
    let _worker = app.worker(Script::Complete).await;
    let mine = things(&app, &sink).await;
    let never = absent(&mine.ids);
    let gone = ["video_id", "file_id", "endpoint_id", "service_account_id"];
    for operation in all().iter().filter(|operation| operation.method == Method::DELETE) {
        if operation.placeholders().last().is_some_and(|last| gone.contains(last)) {
            let client = if operation.admin { &mine.admin } else { &mine.client };
            // The account goes last: its key is the caller's.
            if !operation.admin {
                assert_eq!(operation.ask(client, &mine.ids).await.status, 200, "{}", operation.id);
            }
        }
    }
    let account = format!(
        "/v1/organization/projects/{}/service_accounts/{}",
        mine.ids["project_id"], mine.ids["service_account_id"]
    );
    for operation in all() {
        let Some(last) = operation.placeholders().last().copied() else { continue };
        if !gone.contains(&last) || operation.admin {
            continue;
        }
        let ids = BTreeMap::from([(last, never[last].clone())]);
        let expected = visible(&operation.ask(&mine.client, &ids).await);
        let ids = BTreeMap::from([(last, mine.ids[last].clone())]);
        let seen = visible(&operation.ask(&mine.client, &ids).await);
        assert_eq!((seen.0, &seen), (404, &expected), "{}", operation.id);
    }
    assert_eq!(mine.admin.delete(&account).await.status, 200);
    assert_eq!(mine.admin.get(&account).await.refusal(), (404, "resource_not_found".to_owned()));
    assert_eq!(mine.client.get("/v1/videos").await.refusal(), (401, "invalid_api_key".to_owned()));
}

#[tokio::test]
async fn who_may_not_ask_is_told_so_and_no_more() {
    let (app, sink) = start().await;
    let _worker = app.worker(Script::Complete).await;
    let own = things(&app, &sink).await;
    let organization = OrganizationId::new(1, SystemRandom.id_bytes());
    let anonymous = app.anonymous();
    let weak = app.new_key(app.scope, Vec::new()).await;
    let weak = app.client_with(&weak);
    let weak_admin = app.client_with(&app.key_of(KeyOwner::Admin { organization }, Vec::new()).await);
    let operator = app.client_with(&app.key_of(KeyOwner::Operator, vec![Scope::All]).await);
    for operation in all() {
        let nobody = operation.ask(&anonymous, &own.ids).await;
        let refused =
            if operation.method == Method::HEAD { (401, None) } else { (401, Some("invalid_api_key")) };
        assert_eq!((nobody.status, code(&nobody).as_deref()), refused, "{}", operation.id);
        let (weak, other) = if operation.admin { (&weak_admin, &own.client) } else { (&weak, &own.admin) };
        for client in [weak, other, &operator] {
            if WITHOUT_SCOPE.contains(&operation.id.as_str()) && std::ptr::eq(client, weak) {
                continue;
            }
            let answer = operation.ask(client, &own.ids).await;
            assert_eq!(answer.status, 403, "{}", operation.id);
            if operation.method != Method::HEAD {
                assert_eq!(code(&answer).as_deref(), Some("insufficient_scope"), "{}", operation.id);
            }
        }
    }
}

fn code(answer: &Answer) -> Option<String> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    Some(body["error"]["code"].as_str()?.to_owned())
}
