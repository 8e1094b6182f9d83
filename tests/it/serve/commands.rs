//! The other subcommands, and starts that fail.

use serde_json::Value;

use super::program::{Program, command};

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (bool, String, String) {
    let output = command(arguments).envs(variables.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn every_mistake_of_the_configuration_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wanserve.toml");
    std::fs::write(&file, "[server]\nlisten = \"nowhere\"\n[jobs]\nmax_attempt = 2\n").unwrap();
    let variables = [("WANSERVE_CONFIG", file.to_str().unwrap()), ("WANSERVE_METRICS_TOKEN", "short")];
    let (good, _, errors) = run(&["serve", "--workers", "tpu"], &variables);
    assert!(!good);
    for part in [
        "4 mistake(s)",
        "server.listen: \"nowhere\"",
        "jobs.max_attempt: no such setting",
        "\"tpu\"",
        "WANSERVE_METRICS_TOKEN: a secret needs at least 16 characters",
    ] {
        assert!(errors.contains(part), "{part} is not in {errors}");
    }
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Program::start(folder.path(), &[("WANSERVE_WORKERS_DEVICES", "none")]);
    let data = folder.path().join("data").display().to_string();
    let listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir", &data];
    let (good, _, errors) = run(&listen, &[]);
    assert!(!good && errors.contains("another server uses the data folder"), "{errors}");
}

#[test]
fn keys_of_every_kind_are_made_in_a_folder_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    for (kind, prefix) in [("project", "vk_proj_"), ("admin", "vk_admin_"), ("operator", "vk_op_")] {
        let (good, out, errors) =
            run(&["keys", "create", "--kind", kind, "--json", "--data-dir", &data], &[]);
        assert!(good, "{errors}");
        let key: Value = serde_json::from_str(&out).unwrap();
        assert!(key["value"].as_str().unwrap().starts_with(prefix), "{key}");
        assert_eq!(key["project_id"].is_string(), kind == "project", "{key}");
    }
}

#[test]
fn the_doctor_names_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let free = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir", &data];
    let (good, out, errors) = run(&[&["doctor"], &free[..]].concat(), &[]);
    assert!(good && out.contains("ok    model: wan-tiny"), "{out}{errors}");
    assert!(out.contains("ok    data folder: "), "{out}");
    assert!(!folder.path().join("data").exists(), "looking makes nothing");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let inside = file.join("data").display().to_string();
    let (good, out, _) = run(&["doctor", "--data-dir", &inside, free[0], free[1], free[2], free[3]], &[]);
    assert!(!good && out.contains("FAIL  data folder: "), "{out}");
    let (good, out, _) = run(&[&["doctor", "--models", "no-such-model"], &free[..]].concat(), &[]);
    assert!(!good && out.contains("FAIL  model: no-such-model"), "{out}");
}

#[test]
fn the_database_is_brought_up_to_date_without_serving() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let (good, out, errors) = run(&["migrate", "--data-dir", &data], &[]);
    assert!(good && out.contains("is up to date"), "{errors}");
}
