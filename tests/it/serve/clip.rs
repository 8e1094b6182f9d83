//! The main job: one prompt in, one MP4 out, and what is told about it on the way.

use reqwest::Method;
use serde_json::json;

use super::program::{Http, Program};
use crate::support::{ClipFacts, clip_facts};

#[tokio::test]
async fn a_prompt_becomes_a_video_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let server = Program::start(folder.path(), &[]);
    let http = Http::new(&server.base, &server.key());
    let body = json!({"prompt": "a red ball rolls to the right", "num_frames": 17, "num_steps": 1});
    let job = http.json(Method::POST, "/v1/videos/generations", Some(body)).await;
    assert_eq!(job["parameters"]["num_frames"], 17);
    let id = job["id"].as_str().unwrap();
    let done = http.ended(id).await;
    assert_eq!(
        (&done["status"], &done["progress"], &done["attempt"]),
        (&json!("completed"), &json!(100), &json!(1))
    );
    for stage in ["text_encode", "denoise", "decode", "mux", "upload", "total"] {
        assert!(done["timings"][stage].as_f64().is_some(), "{stage} in {}", done["timings"]);
    }
    let timings = done["timings"].as_object().unwrap();
    let seconds = |name: &str| timings[name].as_f64().unwrap_or(0.0);
    let accounted: f64 = timings.keys().filter(|name| *name != "total").map(|name| seconds(name)).sum();
    // Generous for a busy machine; a hand-out that got lost on its way would take 5 s.
    assert!(
        seconds("total") - accounted < 2.0,
        "{} s are nobody's: {timings:?}",
        seconds("total") - accounted
    );
    assert!(done["usage"]["gpu_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(done["warnings"], json!([]));

    let content = format!("/v1/videos/{id}/content");
    let (status, video) = http.bytes(&content, ("accept", "*/*")).await;
    assert_eq!(status, 200);
    assert_eq!(&video[4..8], b"ftyp");
    let facts = ClipFacts { size: "224x128".to_owned(), frames: 17, profile: 100 };
    assert_eq!(clip_facts(&video), facts);
    assert_eq!(done["assets"][0]["bytes"], video.len());
    let (status, part) = http.bytes(&content, ("range", "bytes=4-7")).await;
    assert_eq!((status, part.as_slice()), (206, b"ftyp".as_slice()));
    let (status, picture) = http.bytes(&format!("{content}?variant=thumbnail"), ("accept", "*/*")).await;
    assert_eq!((status, &picture[8..12]), (200, b"WEBP".as_slice()));

    let (_, metrics) = http.bytes("/metrics", ("accept", "*/*")).await;
    let metrics = String::from_utf8(metrics).unwrap();
    for line in [
        "wanserve_frames_generated_total{model=\"wan-tiny\",resolution=\"128p\"} 17",
        "wanserve_worker_state{state=\"idle\",worker=\"cpu\"} 1",
        "wanserve_model_loaded{model=\"wan-tiny\",quant_linear=\"false\",worker=\"cpu\"} 1",
        "wanserve_gpu_busy_seconds_total{gpu=\"0\",worker=\"cpu\"}",
        "wanserve_queue_depth{model=\"wan-tiny\"} 0",
        // At the start, before any job.
        "wanserve_model_load_duration_seconds_count{model=\"wan-tiny\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in:\n{metrics}");
    }
    let build = metrics.lines().find(|line| line.starts_with("wanserve_build_info{")).unwrap();
    assert!(build.contains("rustc=\"1.") && build.contains("commit=\""), "{build}");
    assert!(!metrics.contains("\nwanserve_gpu_memory"), "a CPU has no device memory to tell of");
    let log = server.log();
    // One trace from the request that made the job to the process that worked on it.
    let made = log.lines().find(|line| line.contains("/v1/videos/generations") && line.contains("answered"));
    let trace = made.unwrap().split("trace_id=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit()), "{trace}");
    let worked = log.lines().any(|line| line.contains("how the job ended") && line.contains(trace));
    assert!(worked, "no line of the worker's names {trace}:\n{log}");
    assert!(
        !log.contains("red ball") && !log.contains(&server.key()),
        "the log tells a prompt or a key:\n{log}"
    );
}

#[tokio::test]
async fn a_cancel_takes_effect_within_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let server = Program::start(folder.path(), &[]);
    let http = Http::new(&server.base, &server.key());
    let id = http.submit(4).await;
    let running = http.job_until(&id, |job| job["stage"] == "denoising").await;
    assert_eq!(running["queue_position"], json!(null));
    http.json(Method::POST, &format!("/v1/videos/{id}/cancel"), None).await;
    let ended = http.ended(&id).await;
    assert_eq!(ended["error"]["code"], "cancelled", "{ended}");
    // The step under way may end, and one more may have begun before the cancel reached the worker.
    let steps = |job: &serde_json::Value| (job["progress"].as_u64().unwrap() - 15) / 15;
    assert!(steps(&ended) <= steps(&running) + 2, "from {} to {}", running["progress"], ended["progress"]);
    assert!(ended["progress"].as_u64().unwrap() < 75);
    // What it took until then is told and charged.
    for stage in ["queue", "prepare", "text_encode", "denoise", "total"] {
        assert!(ended["timings"][stage].is_number(), "{stage} in {}", ended["timings"]);
    }
    assert!(ended["timings"]["decode"].is_null(), "{}", ended["timings"]);
    let (charged, sampled) = (&ended["usage"]["gpu_seconds"], &ended["timings"]["denoise"]);
    assert!(sampled.as_f64() > Some(0.0) && charged.as_f64() >= sampled.as_f64(), "{ended}");
}
