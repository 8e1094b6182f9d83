//! `wanserve generate` with the bundled model: a whole clip through every network, small.

use std::path::Path;
use std::process::{Command, Output};

use shiguredo_mp4::TrackKind;
use shiguredo_mp4::boxes::SampleEntry;
use shiguredo_mp4::demux::{Input, Mp4FileDemuxer};

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

/// Frames, width and height of the clip's one H.264 High track at 16 frames a second.
fn inspect(file: &[u8]) -> (u32, u16, u16) {
    let place = |name: &[u8]| file.windows(4).position(|bytes| bytes == name).unwrap();
    assert!(place(b"moov") < place(b"mdat"), "the index stands in front");
    let mut demuxer = Mp4FileDemuxer::new();
    demuxer.handle_input(Input { position: 0, data: file });
    let tracks = demuxer.tracks().unwrap();
    assert_eq!((tracks.len(), tracks[0].kind), (1, TrackKind::Video));
    let timescale = tracks[0].timescale.get();
    let (mut frames, mut size) = (0, (0, 0));
    while let Some(sample) = demuxer.next_sample().unwrap() {
        assert_eq!(sample.duration * 16, timescale);
        if let Some(SampleEntry::Avc1(entry)) = sample.sample_entry {
            assert_eq!(entry.avcc_box.avc_profile_indication, 100, "H.264 High");
            size = (entry.visual.width, entry.visual.height);
        }
        frames += 1;
    }
    (frames, size.0, size.1)
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
    assert_eq!(inspect(&first), (17, 224, 128));
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
    let (frames, width, height) = inspect(&std::fs::read(folder.path().join("c.mp4")).unwrap());
    assert_eq!((frames, width), (17, height));
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
