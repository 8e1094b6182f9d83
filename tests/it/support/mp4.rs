//! What an MP4 file says about itself, read by another library than the one that writes ours.

use shiguredo_mp4::TrackKind;
use shiguredo_mp4::boxes::SampleEntry;
use shiguredo_mp4::demux::{Input, Mp4FileDemuxer};

/// The one track of a clip.
#[derive(Debug, PartialEq)]
pub(crate) struct ClipFacts {
    pub(crate) size: String,
    pub(crate) frames: u32,
    /// 100 is High.
    pub(crate) profile: u8,
}

/// Fails unless the file is one H.264 track of 16 frames a second and nothing else, with its index in front.
pub(crate) fn clip_facts(file: &[u8]) -> ClipFacts {
    let place = |name: &[u8]| file.windows(4).position(|bytes| bytes == name).unwrap();
    assert!(place(b"moov") < place(b"mdat"), "the index stands in front");
    let mut demuxer = Mp4FileDemuxer::new();
    demuxer.handle_input(Input { position: 0, data: file });
    let tracks = demuxer.tracks().unwrap();
    assert_eq!((tracks.len(), tracks[0].kind), (1, TrackKind::Video), "one track, no sound");
    let timescale = tracks[0].timescale.get();
    let (mut frames, mut picture) = (0, None);
    while let Some(sample) = demuxer.next_sample().unwrap() {
        assert_eq!(sample.duration * 16, timescale, "16 frames a second");
        if let Some(SampleEntry::Avc1(entry)) = sample.sample_entry {
            let size = format!("{}x{}", entry.visual.width, entry.visual.height);
            picture = Some((size, entry.avcc_box.avc_profile_indication));
        }
        frames += 1;
    }
    let (size, profile) = picture.unwrap();
    ClipFacts { size, frames, profile }
}
