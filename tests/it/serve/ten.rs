//! Ten clients at once, each with a wish of its own: each gets its own video, and the same one as if it had come alone.
//! Eleven of the shortest clips, one after the other on the one device: half a minute.

use std::collections::HashSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::program::{Http, Program};
use crate::support::{ClipFacts, clip_facts};

const CLIENTS: usize = 10;

const SIZES: [&str; 5] = ["224x128", "128x224", "192x144", "144x192", "160x160"];
const THINGS: [&str; 5] = ["red ball", "blue balloon", "yellow fish", "white boat", "green car"];

/// No two clients want the same.
fn wish(client: usize) -> Value {
    json!({
        "prompt": format!("A {} moves slowly to the right over the calm water.", THINGS[client % THINGS.len()]),
        "size": SIZES[client % SIZES.len()],
        "num_frames": if client < CLIENTS / 2 { 17 } else { 21 },
        "num_steps": 1,
        "seed": 1000 + client,
        "metadata": { "client": client.to_string() },
    })
}

/// The finished job, after its file was held against it.
async fn made(server: &Program, client: usize) -> Value {
    let http = Http::new(&server.base, &server.key());
    let wish = wish(client);
    let job = http.json(Method::POST, "/v1/videos/generations", Some(wish.clone())).await;
    let id = job["id"].as_str().unwrap();
    let done = http.ended(id).await;
    assert_eq!(done["status"], "completed", "{done}");
    for field in ["prompt", "size", "metadata"] {
        assert_eq!(done[field], wish[field], "{field} of client {client}");
    }
    for field in ["num_frames", "num_steps", "seed"] {
        assert_eq!(done["parameters"][field], wish[field], "{field} of client {client}");
    }
    let (status, file) = http.bytes(&format!("/v1/videos/{id}/content"), ("accept", "*/*")).await;
    assert_eq!(status, 200);
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&file);
    assert_eq!(done["assets"][0]["sha256"], wanserve::storage::Sha256(digest.into()).to_string());
    let facts = ClipFacts {
        size: wish["size"].as_str().unwrap().to_owned(),
        frames: wish["num_frames"].as_u64().unwrap() as u32,
        profile: 100,
    };
    assert_eq!(clip_facts(&file), facts, "client {client}");
    done
}

#[tokio::test]
async fn ten_clients_at_once_get_ten_right_videos() {
    let folder = tempfile::tempdir().unwrap();
    let server = Program::start(folder.path(), &[("WANSERVE_LIMITS_READS_PER_MINUTE", "0")]);
    let jobs = join_all((0..CLIENTS).map(|client| made(&server, client))).await;
    let files: HashSet<_> = jobs.iter().map(|job| job["assets"][0]["sha256"].to_string()).collect();
    assert_eq!(files.len(), CLIENTS, "no two clients have the same video");
    let began = |job: &Value| job["started_at"].as_u64().unwrap();
    let ended = |job: &Value| job["completed_at"].as_u64().unwrap();
    let (last, first) = (jobs.iter().map(began).max().unwrap(), jobs.iter().map(ended).min().unwrap());
    assert!(
        jobs.iter().all(|job| job["created_at"].as_u64().unwrap() <= first) && last >= first,
        "all at once"
    );

    let alone = made(&server, 7).await;
    assert_eq!(alone["assets"][0]["sha256"], jobs[7]["assets"][0]["sha256"], "company changes nothing");
}
