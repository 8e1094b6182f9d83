//! `wanserve generate` with the bundled model: a whole clip through every network, small.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::{ClipFacts, clip_facts};

pub(crate) fn generate(folder: &Path, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_wanserve"));
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    program
        .arg("generate")
        .args(arguments)
        .arg("--models-dir")
        .arg(models)
        .current_dir(folder)
        .output()
        .unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_text_becomes_a_clip_and_the_same_seed_alone_the_same_clip() {
    let folder = tempfile::tempdir().unwrap();
    let clip = |name: &str, seed: &str| {
        let arguments = ["A red ball rolls.", "-o", name, "--frames", "17", "--steps", "1", "--seed", seed];
        let made = generate(folder.path(), &arguments);
        assert!(made.status.success(), "{}", stderr(&made));
        assert!(stderr(&made).contains("denoising") && stderr(&made).contains("decoding"));
        std::fs::read(folder.path().join(name)).unwrap()
    };
    let first = clip("a.mp4", "7");
    let facts = ClipFacts { size: "224x128".to_owned(), frames: 17, profile: 100 };
    assert_eq!(clip_facts(&first), facts);
    assert_eq!(first, clip("b.mp4", "7"));
    assert_ne!(first, clip("c.mp4", "8"));
}

#[test]
fn a_picture_gives_the_first_frame_and_the_shape() {
    let folder = tempfile::tempdir().unwrap();
    let pixels = |x: u32, y: u32| image::Rgb([(x / 2) as u8, (y / 2) as u8, 90]);
    image::RgbImage::from_fn(300, 300, pixels).save(folder.path().join("first.png")).unwrap();
    let arguments =
        ["A red ball rolls.", "--image", "first.png", "--frames", "17", "--steps", "1", "-o", "c.mp4"];
    let made = generate(folder.path(), &arguments);
    assert!(made.status.success(), "{}", stderr(&made));
    let made = clip_facts(&std::fs::read(folder.path().join("c.mp4")).unwrap());
    let (width, height) = made.size.split_once('x').unwrap();
    assert_eq!((made.frames, width), (17, height));
}

#[test]
fn what_the_model_cannot_do_is_said_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&["x", "--size", "100x100"], "224x128"),
        (&["x", "--steps", "9"], "steps"),
        (&["x", "--model", "nothing"], "wan-tiny"),
        (&["x", "--image", "missing.png"], "missing.png"),
    ];
    for (arguments, part) in cases {
        let refused = generate(folder.path(), arguments);
        assert!(!refused.status.success());
        assert!(stderr(&refused).contains(part), "{}", stderr(&refused));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
