//! `wanserve models` as a user calls it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/wan-tiny")
}

fn models(arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_wanserve"));
    program.arg("models").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The shapes of the bundled model, as `--config` takes them.
fn describe(file: &Path) {
    let manifest = std::fs::read(bundled().join("model.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let shapes = serde_json::json!({
        "transformer": manifest["transformer"]["config"], "vae": manifest["vae"]["config"],
        "text_encoder": manifest["text_encoder"]["config"], "max_tokens": manifest["text_encoder"]["max_tokens"],
        "capabilities": manifest["capabilities"],
    });
    std::fs::write(file, shapes.to_string()).unwrap();
}

fn import(folder: &Path, transformer: &Path) -> Output {
    let shapes = folder.join("shapes.json");
    describe(&shapes);
    let bundled = |name: &str| bundled().join(name).display().to_string();
    models(&[
        "import",
        "--dit",
        &transformer.display().to_string(),
        "--vae",
        &bundled("vae.safetensors"),
        "--text-encoder",
        &bundled("text_encoder.safetensors"),
        "--tokenizer",
        &bundled("tokenizer.json"),
        "--id",
        "copy",
        "--models-dir",
        &folder.join("models").display().to_string(),
        "--config",
        &shapes.display().to_string(),
    ])
}

#[test]
fn the_bundled_model_is_listed_and_whole() {
    let listed = models(&["list"]);
    assert!(listed.status.success());
    assert!(
        text(&listed.stdout).contains("wan-tiny") && text(&listed.stdout).contains("synth:wan2.2-i2v-a14b")
    );
    let verified = models(&["verify", "wan-tiny"]);
    assert!(verified.status.success(), "{}", text(&verified.stdout));
    assert_eq!(text(&verified.stdout).matches("ok ").count(), 4);
}

#[test]
fn an_imported_model_is_verified_until_a_byte_changes() {
    let folder = tempfile::tempdir().unwrap();
    let imported = import(folder.path(), &bundled().join("transformer.safetensors"));
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    let models_folder = folder.path().join("models");
    let verify = || models(&["verify", "copy", "--models-dir", &models_folder.display().to_string()]);
    assert!(verify().status.success());

    let vae = models_folder.join("copy/vae.safetensors");
    let mut bytes = std::fs::read(&vae).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&vae, bytes).unwrap();
    let broken = verify();
    assert!(!broken.status.success());
    assert!(text(&broken.stdout).contains("broken") && text(&broken.stdout).contains("SHA-256"));
}

#[test]
fn a_hostile_checkpoint_ends_the_import_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let legacy = folder.path().join("legacy.pth");
    std::fs::write(&legacy, [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19])
        .unwrap();
    let refused = import(folder.path(), &legacy);
    assert!(!refused.status.success());
    assert!(
        text(&refused.stderr).contains("legacy.pth") && text(&refused.stderr).contains("legacy (non-zip)")
    );
    assert!(!folder.path().join("models/copy").exists());
}
