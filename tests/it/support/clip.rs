//! An MP4 as a player sees it: its frames as pictures.

use anyhow::{Context, Result, ensure};
use openh264::decoder::{DecodedYUV, Decoder};
use openh264::formats::YUVSource;
use shiguredo_mp4::boxes::SampleEntry;
use shiguredo_mp4::demux::{Input, Mp4FileDemuxer};
use wanserve::domain::picture::Picture;

/// What stands in front of every unit of an H.264 stream outside a file.
const START: [u8; 4] = [0, 0, 0, 1];

pub(crate) fn frames(file: &[u8]) -> Result<Vec<Picture>> {
    let mut demuxer = Mp4FileDemuxer::new();
    demuxer.handle_input(Input { position: 0, data: file });
    let mut decoder = Decoder::new()?;
    let mut pictures = Vec::new();
    while let Some(sample) = demuxer.next_sample()? {
        let mut stream = Vec::new();
        if let Some(SampleEntry::Avc1(entry)) = sample.sample_entry {
            for unit in entry.avcc_box.sps_list.iter().chain(&entry.avcc_box.pps_list) {
                stream.extend(START.iter().chain(unit));
            }
        }
        let start = sample.data_offset as usize;
        let mut rest = file.get(start..start + sample.data_size).context("a sample outside the file")?;
        while let Some((size, tail)) = rest.split_first_chunk() {
            let (unit, next) =
                tail.split_at_checked(u32::from_be_bytes(*size) as usize).context("a cut unit")?;
            stream.extend(START.iter().chain(unit));
            rest = next;
        }
        if let Some(decoded) = decoder.decode(&stream)? {
            pictures.push(picture(&decoded)?);
        }
    }
    for decoded in decoder.flush_remaining()? {
        pictures.push(picture(&decoded)?);
    }
    ensure!(!pictures.is_empty(), "a clip without frames");
    Ok(pictures)
}

/// BT.709, limited range.
fn picture(decoded: &DecodedYUV) -> Result<Picture> {
    let (width, height) = decoded.dimensions();
    let (y_stride, u_stride, v_stride) = decoded.strides();
    let mut rgb = Vec::with_capacity(width * height * 3);
    for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
        let luma = (f32::from(decoded.y()[row * y_stride + column]) - 16.0) * 255.0 / 219.0;
        let blue = (f32::from(decoded.u()[row / 2 * u_stride + column / 2]) - 128.0) * 255.0 / 224.0;
        let red = (f32::from(decoded.v()[row / 2 * v_stride + column / 2]) - 128.0) * 255.0 / 224.0;
        rgb.extend([
            (luma + 1.5748 * red).round() as u8,
            (luma - 0.187_32 * blue - 0.468_12 * red).round() as u8,
            (luma + 1.8556 * blue).round() as u8,
        ]);
    }
    Picture::new(width as u32, height as u32, rgb).context("a picture of another size")
}

/// How near two pictures of one size are, in dB.
pub(crate) fn psnr(one: &Picture, other: &Picture) -> f64 {
    let square = |(a, b): (&u8, &u8)| (f64::from(*a) - f64::from(*b)).powi(2);
    let sum: f64 = one.rgb().iter().zip(other.rgb()).map(square).sum();
    10.0 * (255.0f64.powi(2) * one.rgb().len() as f64 / sum.max(1.0)).log10()
}
