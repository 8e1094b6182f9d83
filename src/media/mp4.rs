//! Frames → MP4 while later frames are still being made: H.264 High, yuv420p, BT.709, 16 frames a second, the index in
//! front of the data. One thread owns the encoder; frames come over a bounded channel, so a slow encoder slows the decoder
//! down instead of filling memory. Equal frames give equal bytes.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use muxide::api::{Muxer, MuxerBuilder, VideoCodec};
use openh264::encoder::{
    BitRate, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Profile, RateControlMode,
    UsageType, VuiConfig,
};
use openh264::{OpenH264API, Timestamp};
use openh264_sys2::{ENCODER_OPTION_TRACE_LEVEL, WELS_LOG_QUIET};

use super::i420::I420;
use crate::domain::picture::Picture;
use crate::domain::size::Size;
use crate::domain::video::FRAMES_PER_SECOND;

/// Frames that wait for the encoder: a chunk of the decoder is four, so one chunk waits while the next is made.
const QUEUED_FRAMES: usize = 8;
/// Bits a second that any clip gets: small pictures need more for each pixel.
const BASE_BITS_PER_SECOND: u32 = 1_000_000;
/// Bits a second for each pixel: with the base 6 Mbit/s at 832×480 and 12.5 Mbit/s at 1280×720, where the encoder is as
/// good as x264 at crf 18.
const BITS_PER_SECOND_PER_PIXEL: f64 = 12.5;
/// A seek lands at most this far from its goal.
const SECONDS_BETWEEN_KEY_FRAMES: u32 = 2;

/// Why a clip cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("a frame of {found} in a clip of {expected}")]
    FrameSize { expected: Size, found: String },
    #[error("a clip without frames")]
    Empty,
    #[error("the video encoder failed: {0}")]
    Encoder(#[from] openh264::Error),
    #[error("writing the MP4 failed: {0}")]
    Muxer(String),
    #[error("the encoder's thread ended early")]
    Gone,
    #[error("cannot start the encoder's thread: {0}")]
    Thread(std::io::Error),
}

/// A clip being encoded.
pub struct Mp4Encoder {
    frames: Option<SyncSender<Picture>>,
    thread: Option<JoinHandle<Result<Vec<u8>, EncodeError>>>,
}

impl Mp4Encoder {
    /// Starts the thread that encodes frames of `size`.
    pub fn start(size: Size) -> Result<Self, EncodeError> {
        let (frames, queue) = sync_channel(QUEUED_FRAMES);
        let run = move || encode(size, &queue);
        let thread =
            std::thread::Builder::new().name("mp4".to_owned()).spawn(run).map_err(EncodeError::Thread)?;
        Ok(Self { frames: Some(frames), thread: Some(thread) })
    }

    /// Hands over the next frame; waits while the queue is full. After an error the clip is lost.
    pub fn push(&mut self, frame: Picture) -> Result<(), EncodeError> {
        let sent = self.frames.as_ref().is_some_and(|frames| frames.send(frame).is_ok());
        if sent { Ok(()) } else { Err(self.join().err().unwrap_or(EncodeError::Gone)) }
    }

    /// Waits for the last frame; the whole file.
    pub fn finish(mut self) -> Result<Vec<u8>, EncodeError> {
        self.join()
    }

    fn join(&mut self) -> Result<Vec<u8>, EncodeError> {
        self.frames = None;
        let thread = self.thread.take().ok_or(EncodeError::Gone)?;
        thread.join().unwrap_or(Err(EncodeError::Gone))
    }
}

fn encode(size: Size, frames: &Receiver<Picture>) -> Result<Vec<u8>, EncodeError> {
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), settings(size))?;
    silence(&mut encoder);
    let mut file = Vec::new();
    let mut muxer = MuxerBuilder::new(&mut file)
        .video(VideoCodec::H264, size.width(), size.height(), f64::from(FRAMES_PER_SECOND))
        .with_fast_start(true)
        .build()
        .map_err(muxing)?;
    let mut planes = I420::new(size.width(), size.height());
    let mut packet = Vec::new();
    let mut count = 0;
    for frame in frames {
        if (frame.width(), frame.height()) != (size.width(), size.height()) {
            let found = format!("{}x{}", frame.width(), frame.height());
            return Err(EncodeError::FrameSize { expected: size, found });
        }
        planes.fill(&frame);
        let milliseconds = u64::from(count) * 1000 / u64::from(FRAMES_PER_SECOND);
        let encoded = encoder.encode_at(&planes, Timestamp::from_millis(milliseconds))?;
        let key_frame = matches!(encoded.frame_type(), FrameType::IDR);
        packet.clear();
        encoded.write_vec(&mut packet);
        write(&mut muxer, count, &packet, key_frame)?;
        count += 1;
    }
    if count == 0 {
        return Err(EncodeError::Empty);
    }
    muxer.finish().map_err(muxing)?;
    Ok(file)
}

fn write(
    muxer: &mut Muxer<&mut Vec<u8>>,
    at: u32,
    packet: &[u8],
    key_frame: bool,
) -> Result<(), EncodeError> {
    let seconds = f64::from(at) / f64::from(FRAMES_PER_SECOND); // exact: a sixteenth is a binary fraction
    muxer.write_video(seconds, packet, key_frame).map_err(muxing)
}

fn muxing(error: muxide::api::MuxerError) -> EncodeError {
    EncodeError::Muxer(error.to_string())
}

#[expect(
    unsafe_code,
    reason = "the safe interface sets the log level only after the start-up warning was printed"
)]
fn silence(encoder: &mut Encoder) {
    let mut level = WELS_LOG_QUIET;
    // SAFETY: the option reads one int through the pointer, during the call only, and is allowed before the encoder is
    // initialised; no other setting of the encoder depends on it. Its answer does not matter: it is about messages.
    unsafe {
        encoder.raw_api().set_option(ENCODER_OPTION_TRACE_LEVEL, (&raw mut level).cast());
    }
}

fn settings(size: Size) -> EncoderConfig {
    let pixels = f64::from(size.width()) * f64::from(size.height());
    let bits_per_second = BASE_BITS_PER_SECOND + (BITS_PER_SECOND_PER_PIXEL * pixels) as u32;
    EncoderConfig::new()
        .usage_type(UsageType::CameraVideoRealTime)
        .profile(Profile::High)
        .rate_control_mode(RateControlMode::Bitrate)
        .bitrate(BitRate::from_bps(bits_per_second))
        .max_frame_rate(FrameRate::from_hz(FRAMES_PER_SECOND as f32))
        .intra_frame_period(IntraFramePeriod::from_num_frames(SECONDS_BETWEEN_KEY_FRAMES * FRAMES_PER_SECOND))
        .skip_frames(false)
        .scene_change_detect(false)
        .vui(VuiConfig::bt709())
}

#[cfg(test)]
mod tests {
    use shiguredo_mp4::TrackKind;
    use shiguredo_mp4::boxes::SampleEntry;
    use shiguredo_mp4::demux::{Input, Mp4FileDemuxer};

    use super::*;

    fn moving(size: Size, at: u32) -> Picture {
        let pixel = |x: u32, y: u32| [(x + 3 * at) as u8, (y * 2) as u8, ((x ^ y) + at) as u8];
        let rows = (0..size.height()).flat_map(|y| (0..size.width()).flat_map(move |x| pixel(x, y)));
        Picture::new(size.width(), size.height(), rows.collect()).unwrap()
    }

    fn clip(size: Size, frames: u32) -> Vec<u8> {
        let mut encoder = Mp4Encoder::start(size).unwrap();
        (0..frames).for_each(|at| encoder.push(moving(size, at)).unwrap());
        encoder.finish().unwrap()
    }

    #[test]
    fn a_clip_has_every_frame_at_sixteen_a_second_and_its_index_in_front() {
        let size = Size::new(224, 128).unwrap();
        for frames in [5, 33] {
            let file = clip(size, frames);
            let place = |name: &[u8]| file.windows(4).position(|bytes| bytes == name).unwrap();
            assert!(place(b"moov") < place(b"mdat"));
            let mut demuxer = Mp4FileDemuxer::new();
            demuxer.handle_input(Input { position: 0, data: &file });
            let tracks = demuxer.tracks().unwrap();
            assert_eq!((tracks.len(), tracks[0].kind), (1, TrackKind::Video));
            let timescale = u64::from(tracks[0].timescale.get());
            assert_eq!(tracks[0].duration * 16, u64::from(frames) * timescale);
            let (mut samples, mut key_frames) = (0, 0);
            while let Some(sample) = demuxer.next_sample().unwrap() {
                if let Some(SampleEntry::Avc1(entry)) = sample.sample_entry {
                    assert_eq!((entry.visual.width, entry.visual.height), (224, 128));
                    assert_eq!(entry.avcc_box.avc_profile_indication, 100);
                }
                assert_eq!(u64::from(sample.duration) * 16, timescale);
                key_frames += u32::from(sample.keyframe);
                samples += 1;
            }
            assert_eq!((samples, key_frames), (frames, frames.div_ceil(32)));
        }
    }

    #[test]
    fn equal_frames_give_equal_bytes() {
        let size = Size::new(128, 96).unwrap();
        assert_eq!(clip(size, 9), clip(size, 9));
    }

    #[test]
    fn a_wrong_frame_and_an_empty_clip_are_errors() {
        let size = Size::new(64, 64).unwrap();
        let mut encoder = Mp4Encoder::start(size).unwrap();
        encoder.push(moving(Size::new(64, 80).unwrap(), 0)).unwrap();
        assert!(matches!(encoder.finish(), Err(EncodeError::FrameSize { .. })));
        assert!(matches!(Mp4Encoder::start(size).unwrap().finish(), Err(EncodeError::Empty)));
    }
}
