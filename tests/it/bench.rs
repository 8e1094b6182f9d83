//! `wanserve bench` on the CPU with the bundled model: every stage is measured, and the table and the JSON agree.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(folder: &Path, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_wanserve"));
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    program.arg("bench").args(arguments).arg("--models-dir").arg(models);
    program.current_dir(folder).output().unwrap()
}

#[test]
fn every_stage_is_measured_and_told_twice() {
    let folder = tempfile::tempdir().unwrap();
    let size = ["--size", "224x128", "--frames", "17", "--steps", "1"];
    let rest = ["--attention", "sla,original", "--repeats", "2", "--warm-ups", "0", "--json", "bench.json"];
    let output = bench(folder.path(), &[&size[..], &rest[..]].concat());
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let text = std::fs::read_to_string(folder.path().join("bench.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&report["model"], &report["device"]), (&"wan-tiny".into(), &"cpu".into()));
    assert!(report["load_seconds"].as_f64().unwrap() > 0.0 && report["loaded_bytes"].is_null());
    let rows = report["rows"].as_array().unwrap();
    let named =
        |row: &Value| format!("{} {}", row["stage"].as_str().unwrap(), row["attention"].as_str().unwrap());
    let names: Vec<String> = rows.iter().map(named).collect();
    assert_eq!(
        names,
        [
            "text sla",
            "text_keys sla",
            "step sla",
            "sampling sla",
            "decode sla",
            "clip sla",
            "step original",
            "sampling original",
            "clip original",
        ]
    );
    for row in rows {
        let time = |name: &str| row[name].as_f64().unwrap();
        assert!(0.0 < time("min_ms") && time("min_ms") <= time("median_ms"), "{row}");
        assert!(time("median_ms") <= time("max_ms") && row["milliseconds"].as_array().unwrap().len() == 2);
        let line = format!("| {} | 224x128 17 frames 1 steps | ", row["stage"].as_str().unwrap());
        assert!(table.contains(&line) && table.contains(&format!("{:.1}", time("median_ms"))), "{table}");
    }
    // A whole clip holds its parts.
    let clip = &rows[5];
    for (parts, whole) in
        clip["parts"].as_array().unwrap().iter().zip(clip["milliseconds"].as_array().unwrap())
    {
        let seconds = |name: &str| parts[name].as_f64().unwrap();
        let sum = seconds("text_encode") + seconds("denoise") + seconds("decode");
        assert!(sum > 0.0 && sum * 1e3 <= whole.as_f64().unwrap(), "{clip}");
    }
}

#[test]
fn one_stage_can_be_measured_alone_and_what_the_model_cannot_do_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let few = ["--model", "synth:wan-tiny-int8", "--stages", "text", "--repeats", "1"];
    let output = bench(folder.path(), &few);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && table.contains("| text |") && !table.contains("| step |"), "{table}");
    for (arguments, part) in [
        (["--size", "100x100"], "224x128"),
        (["--attention", "none"], "sagesla"),
        (["--model", "wan9"], "wan9"),
        (["--repeats", "0"], "repeats"),
    ] {
        let output = bench(folder.path(), &arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(part), "{arguments:?}: {said}");
    }
}
