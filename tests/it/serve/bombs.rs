//! Hostile pictures against the running program, and an honest one after them.

use reqwest::Method;
use serde_json::{Value, json};

use super::program::{Http, Program};
use crate::picture_bombs::bombs;
use crate::support::{encoded, png};

/// Uploads of up to 10 MiB in base64 come and go, a few copies at a time; a bomb that went off would be hundreds more.
const MAY_GROW_BYTES: u64 = 150 << 20;

fn request(picture: &[u8]) -> Value {
    json!({ "prompt": "a red ball rolls to the right", "num_frames": 17, "num_steps": 1, "image": encoded(picture) })
}

#[tokio::test]
async fn the_server_stays_small_under_bombs_and_animates_an_honest_picture() {
    let folder = tempfile::tempdir().unwrap();
    let server = Program::start(folder.path(), &[]);
    let http = Http::new(&server.base, &server.key());
    let before = server.peak_memory();
    for (name, bomb) in bombs() {
        let status = http.status("/v1/videos/from-image", &request(&bomb)).await;
        assert!(status == 400 || name.contains("profile"), "{name}: {status}");
    }
    let grown = server.peak_memory() - before;
    assert!(grown < MAY_GROW_BYTES, "the server grew by {grown} bytes");

    let job = http.json(Method::POST, "/v1/videos/from-image", Some(request(&png(160, 160)))).await;
    let done = http.ended(job["id"].as_str().unwrap()).await;
    assert_eq!(done["status"], "completed", "{done}");
}
