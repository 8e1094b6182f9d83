//! Frames → MP4 while later frames are still being made: H.264 High, yuv420p, BT.709, 16 frames a second, the index in
//! front of the data. A clip is cut into segments that begin with a key frame and know nothing of each other, so several
//! are encoded at a time and a seek lands close to its goal. The last frames to come are cut finer, as somebody waits for them.
//! Where a clip is cut depends on nothing but the frame's number: equal frames give equal bytes, on any number of cores.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use muxide::api::{MuxerBuilder, VideoCodec};
use openh264::encoder::{
    BitRate, Encoder, EncoderConfig, FrameRate, FrameType, Profile, RateControlMode, UsageType, VuiConfig,
};
use openh264::formats::YUVSource;
use openh264::{OpenH264API, Timestamp};
use openh264_sys2::{ENCODER_OPTION_TRACE_LEVEL, WELS_LOG_QUIET};

use crate::domain::picture::Planes;
use crate::domain::size::Size;
use crate::domain::video::{FRAMES_PER_SECOND, FrameCount};

/// A second of frames. The decoder makes four latent frames at a time, 16 frames but for the first, which is single:
/// so the first segment has one frame more, and segments and the decoder's chunks end together.
const FRAMES_PER_SEGMENT: u32 = FRAMES_PER_SECOND;
/// Of the segments of the decoder's last chunk: four encoders end it in a third of the time of one, as a key frame costs
/// about as much time as any other; and a clip has three key frames more.
const FRAMES_PER_LAST_SEGMENT: u32 = FRAMES_PER_SEGMENT / 4;
/// Segments in work at once, which each hold their frames in memory: four for the last chunk, and the chunk or two before
/// it that may still be in work when it comes.
const MOST_ENCODERS: usize = 6;
/// Bits a second that any clip gets: small pictures need more for each pixel.
const BASE_BITS_PER_SECOND: u32 = 1_000_000;
/// Bits a second for each pixel: with the base 6 Mbit/s at 832×480 and 12.5 Mbit/s at 1280×720, where the encoder is as
/// good as x264 at crf 18.
const BITS_PER_SECOND_PER_PIXEL: f64 = 12.5;

/// Why a clip cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("a frame of {found} in a clip of {expected}")]
    FrameSize { expected: Size, found: String },
    #[error("a clip of {expected} frames got {found}")]
    FrameCount { expected: u32, found: u32 },
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
    size: Size,
    frames: FrameCount,
    encoders: usize,
    /// Frames handed over so far.
    count: u32,
    /// Where the frames of the last segment go, while it lacks some.
    open: Option<SyncSender<Planes>>,
    /// In work, in the order of the clip.
    segments: VecDeque<JoinHandle<Result<Vec<Packet>, EncodeError>>>,
    /// Of the segments that are done.
    packets: Vec<Packet>,
}

/// An encoded frame, as it lies in the file.
struct Packet {
    bytes: Vec<u8>,
    key_frame: bool,
}

impl Mp4Encoder {
    /// An encoder of so many frames of `size`.
    pub fn new(size: Size, frames: FrameCount) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            size,
            frames,
            encoders: cores.min(MOST_ENCODERS),
            count: 0,
            open: None,
            segments: VecDeque::new(),
            packets: Vec::new(),
        }
    }

    /// Hands over the next frame. Waits while as many segments are in work as there may be, so a slow encoder slows the
    /// decoder down instead of filling memory. After an error the clip is lost.
    pub fn push(&mut self, frame: Planes) -> Result<(), EncodeError> {
        if (frame.width(), frame.height()) != (self.size.width(), self.size.height()) {
            let found = format!("{}x{}", frame.width(), frame.height());
            return Err(EncodeError::FrameSize { expected: self.size, found });
        }
        if self.count == self.frames.get() {
            return Err(self.miscounted(self.count + 1));
        }
        let segment = match self.open.take() {
            Some(segment) => segment,
            None => self.start_segment()?,
        };
        if segment.send(frame).is_err() {
            self.collect(0)?;
            return Err(EncodeError::Gone);
        }
        self.open = (!ends_segment(self.count, self.frames)).then_some(segment);
        self.count += 1;
        Ok(())
    }

    /// Waits for the last frame; the whole file.
    pub fn finish(mut self) -> Result<Vec<u8>, EncodeError> {
        self.open = None;
        self.collect(0)?;
        if self.count != self.frames.get() {
            return Err(self.miscounted(self.count));
        }
        write(self.size, &self.packets)
    }

    fn miscounted(&self, found: u32) -> EncodeError {
        EncodeError::FrameCount { expected: self.frames.get(), found }
    }

    fn start_segment(&mut self) -> Result<SyncSender<Planes>, EncodeError> {
        self.collect(self.encoders - 1)?;
        let (segment, frames) = sync_channel(FRAMES_PER_SEGMENT as usize + 1);
        let size = self.size;
        let run = move || encode(size, &frames);
        let thread = std::thread::Builder::new().name("h264".to_owned()).spawn(run);
        self.segments.push_back(thread.map_err(EncodeError::Thread)?);
        Ok(segment)
    }

    /// Waits, the earliest first, until no more than `most` segments are in work.
    fn collect(&mut self, most: usize) -> Result<(), EncodeError> {
        while self.segments.len() > most
            && let Some(segment) = self.segments.pop_front()
        {
            self.packets.extend(segment.join().unwrap_or(Err(EncodeError::Gone))?);
        }
        Ok(())
    }
}

/// Whether the clip is cut behind the frame of that number, which counts from 0.
fn ends_segment(at: u32, frames: FrameCount) -> bool {
    let last_chunk = frames.get().saturating_sub(2) / FRAMES_PER_SEGMENT * FRAMES_PER_SEGMENT;
    let length = if at > last_chunk { FRAMES_PER_LAST_SEGMENT } else { FRAMES_PER_SEGMENT };
    at > 0 && at.is_multiple_of(length)
}

/// One segment: an encoder of its own, whose first frame is a key frame and the only one.
fn encode(size: Size, frames: &Receiver<Planes>) -> Result<Vec<Packet>, EncodeError> {
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), settings(size))?;
    silence(&mut encoder);
    let mut packets = Vec::new();
    for (at, frame) in (0_u64..).zip(frames) {
        let milliseconds = at * 1000 / u64::from(FRAMES_PER_SECOND);
        let encoded = encoder.encode_at(&frame, Timestamp::from_millis(milliseconds))?;
        let key_frame = matches!(encoded.frame_type(), FrameType::IDR);
        packets.push(Packet { bytes: encoded.to_vec(), key_frame });
    }
    Ok(packets)
}

impl YUVSource for Planes {
    fn dimensions(&self) -> (usize, usize) {
        (self.width() as usize, self.height() as usize)
    }

    fn strides(&self) -> (usize, usize, usize) {
        let width = self.width() as usize;
        (width, width / 2, width / 2)
    }

    fn y(&self) -> &[u8] {
        Self::y(self)
    }

    fn u(&self) -> &[u8] {
        Self::u(self)
    }

    fn v(&self) -> &[u8] {
        Self::v(self)
    }
}

fn write(size: Size, packets: &[Packet]) -> Result<Vec<u8>, EncodeError> {
    let muxing = |error: muxide::api::MuxerError| EncodeError::Muxer(error.to_string());
    let mut file = Vec::new();
    let mut muxer = MuxerBuilder::new(&mut file)
        .video(VideoCodec::H264, size.width(), size.height(), f64::from(FRAMES_PER_SECOND))
        .with_fast_start(true)
        .build()
        .map_err(muxing)?;
    for (at, packet) in (0_u32..).zip(packets) {
        let seconds = f64::from(at) / f64::from(FRAMES_PER_SECOND); // exact: a sixteenth is a binary fraction
        muxer.write_video(seconds, &packet.bytes, packet.key_frame).map_err(muxing)?;
    }
    muxer.finish().map_err(muxing)?;
    Ok(file)
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

    fn moving(size: Size, at: u32) -> Planes {
        let (width, height) = (size.width(), size.height());
        let plane = |width: u32, height: u32, value: fn(u32, u32, u32) -> u32| {
            (0..height).flat_map(move |y| (0..width).map(move |x| value(x, y, at) as u8))
        };
        let luma = plane(width, height, |x, y, at| 16 + (x + 2 * y + 3 * at) % 220);
        let blue = plane(width / 2, height / 2, |_, y, at| 96 + (y + at) % 64);
        let red = plane(width / 2, height / 2, |x, y, at| 96 + ((x ^ y) + at) % 64);
        Planes::new(width, height, luma.chain(blue).chain(red).collect()).unwrap()
    }

    fn clip(size: Size, frames: u32) -> Vec<u8> {
        clip_by(MOST_ENCODERS, size, frames)
    }

    fn clip_by(encoders: usize, size: Size, frames: u32) -> Vec<u8> {
        let count = FrameCount::new(frames).unwrap();
        let mut encoder = Mp4Encoder { encoders, ..Mp4Encoder::new(size, count) };
        (0..frames).for_each(|at| encoder.push(moving(size, at)).unwrap());
        encoder.finish().unwrap()
    }

    #[test]
    fn a_clip_has_every_frame_at_sixteen_a_second_and_its_index_in_front() {
        let size = Size::new(224, 128).unwrap();
        let cuts = [(5, vec![0]), (21, vec![0, 17]), (33, vec![0, 17, 21, 25, 29])];
        for (frames, cut_before) in cuts {
            let file = clip(size, frames);
            let place = |name: &[u8]| file.windows(4).position(|bytes| bytes == name).unwrap();
            assert!(place(b"moov") < place(b"mdat"));
            let mut demuxer = Mp4FileDemuxer::new();
            demuxer.handle_input(Input { position: 0, data: &file });
            let tracks = demuxer.tracks().unwrap();
            assert_eq!((tracks.len(), tracks[0].kind), (1, TrackKind::Video));
            let timescale = u64::from(tracks[0].timescale.get());
            assert_eq!(tracks[0].duration * 16, u64::from(frames) * timescale);
            let (mut samples, mut key_frames) = (0_u32, Vec::new());
            while let Some(sample) = demuxer.next_sample().unwrap() {
                if let Some(SampleEntry::Avc1(entry)) = sample.sample_entry {
                    assert_eq!((entry.visual.width, entry.visual.height), (224, 128));
                    assert_eq!(entry.avcc_box.avc_profile_indication, 100);
                }
                assert_eq!(u64::from(sample.duration) * 16, timescale);
                key_frames.extend(sample.keyframe.then_some(samples));
                samples += 1;
            }
            assert_eq!((samples, key_frames), (frames, cut_before));
        }
    }

    #[test]
    fn equal_frames_give_equal_bytes_on_any_number_of_cores() {
        let size = Size::new(128, 96).unwrap();
        let alone = clip_by(1, size, 41);
        (1..=MOST_ENCODERS).for_each(|encoders| assert!(clip_by(encoders, size, 41) == alone));
    }

    #[test]
    fn a_wrong_frame_and_a_wrong_number_of_them_are_errors() {
        let (size, five) = (Size::new(64, 64).unwrap(), FrameCount::new(5).unwrap());
        let mut encoder = Mp4Encoder::new(size, five);
        let pushed = encoder.push(moving(Size::new(64, 80).unwrap(), 0));
        assert!(matches!(pushed, Err(EncodeError::FrameSize { .. })));
        (0..4).for_each(|at| encoder.push(moving(size, at)).unwrap());
        assert!(matches!(encoder.finish(), Err(EncodeError::FrameCount { expected: 5, found: 4 })));
        let mut encoder = Mp4Encoder::new(size, five);
        (0..5).for_each(|at| encoder.push(moving(size, at)).unwrap());
        let pushed = encoder.push(moving(size, 5));
        assert!(matches!(pushed, Err(EncodeError::FrameCount { expected: 5, found: 6 })));
    }
}
