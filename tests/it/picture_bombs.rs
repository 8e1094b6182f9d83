//! Pictures made to break a decoder: each is refused with a code, none takes long.

use std::time::{Duration, Instant};

use wanserve::media::{PictureDecoder, PictureError, SandboxError};

use crate::support::{jpeg, png};

fn decoder() -> PictureDecoder {
    PictureDecoder::new(env!("CARGO_BIN_EXE_wanserve").into())
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [kind.as_slice(), data].concat();
    let length = (data.len() as u32).to_be_bytes();
    [length.as_slice(), &named, &crc32fast::hash(&named).to_be_bytes()].concat()
}

/// The size of a 16-bit RGBA picture, as its header says it.
fn header(width: u32, height: u32) -> Vec<u8> {
    let sides = [width.to_be_bytes(), height.to_be_bytes()].concat();
    chunk(b"IHDR", &[sides.as_slice(), &[16, 6, 0, 0, 0]].concat())
}

fn assemble(chunks: &[Vec<u8>]) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunks.concat()].concat()
}

/// Half a gigabyte of zeros as a zlib stream of a few megabytes, written by hand.
fn zeros() -> Vec<u8> {
    // Fixed codes: one literal 0, then matches of 258 bytes at distance 1. No end of block: the picture is full before.
    let mut bits = BitWriter::default();
    bits.put(0b011, 3); // final block, fixed codes
    bits.put_reversed(0b0011_0000, 8); // literal 0
    for _ in 0..2_000_000 {
        bits.put_reversed(0b1100_0101, 8); // length 258
        bits.put_reversed(0, 5); // distance 1
    }
    [vec![0x78, 0x9c], bits.bytes].concat()
}

#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    used: u32,
}

impl BitWriter {
    fn put(&mut self, bits: u32, count: u32) {
        for at in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().unwrap();
            *last |= ((bits >> at & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }

    fn put_reversed(&mut self, bits: u32, count: u32) {
        self.put(bits.reverse_bits() >> (32 - count), count);
    }
}

/// Name and bytes.
pub(crate) fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let whole = png(640, 480);
    let photograph = jpeg(640, 480);
    let flood = zeros();
    let after_header = 8 + 25;
    let with_chunk = |kind: &[u8; 4], data: &[u8]| {
        [&whole[..after_header], &chunk(kind, data), &whole[after_header..]].concat()
    };
    let mut turned = photograph.clone();
    // The frame header, wherever it stands: 16383 x 16383.
    let frame = turned.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    turned[frame + 5..frame + 9].copy_from_slice(&[0x3f, 0xff, 0x3f, 0xff]);
    let webp = |kind: &[u8; 4], data: &[u8]| {
        let inner = [b"WEBP".as_slice(), kind, &(data.len() as u32).to_le_bytes(), data].concat();
        [b"RIFF".as_slice(), &(inner.len() as u32).to_le_bytes(), &inner].concat()
    };
    vec![
        ("png that promises 4 gigapixels", assemble(&[header(65_535, 65_535), chunk(b"IDAT", &flood)])),
        ("png with a negative size", assemble(&[header(0x8000_0000, 64), chunk(b"IDAT", &flood)])),
        ("png of no size", assemble(&[header(0, 0), chunk(b"IDAT", b"")])),
        ("png cut off", whole[..whole.len() / 2].to_vec()),
        ("png header alone", assemble(&[header(640, 480)])),
        (
            "png with a chunk of 4 GB",
            [&whole[..after_header], &[0xff, 0xff, 0xff, 0xff], b"IDAT".as_slice(), &[0; 64]].concat(),
        ),
        ("png whose colour profile is a flood", with_chunk(b"iCCP", &[b"p\0\0".as_slice(), &flood].concat())),
        ("jpeg that promises 268 megapixels", turned),
        ("jpeg cut off in its header", photograph[..24].to_vec()),
        ("jpeg of markers only", [vec![0xff, 0xd8], vec![0xff; 9 << 20]].concat()),
        ("jpeg of empty segments", [vec![0xff, 0xd8], [0xff, 0xe1, 0, 2].repeat(2 << 20)].concat()),
        (
            "webp with a canvas of 16 million a side",
            webp(b"VP8X", &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ),
        ("webp of nothing", webp(b"VP8L", &[0x2f, 0xff, 0xff, 0xff, 0x0f])),
        (
            "webp that says it is longer",
            [b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\xff".as_slice(), &[0; 64]].concat(),
        ),
        ("noise behind a signature", [b"\x89PNG\r\n\x1a\n".as_slice(), &[0xa5; 4096]].concat()),
    ]
}

#[tokio::test]
async fn no_bomb_gets_through_or_takes_long() {
    for (name, bomb) in bombs() {
        let began = Instant::now();
        let refused = decoder().decode(&bomb).await;
        let harmless = name.contains("profile") && refused.is_ok();
        assert!(harmless || matches!(refused, Err(SandboxError::Picture(_))), "{name}: {refused:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "{name} took {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_flood_of_pixels_ends_at_the_limits() {
    // A legal header, and data that goes on when the picture is full: 320 MB of pixels are the most there can be.
    let flood = assemble(&[header(8000, 5000), chunk(b"IDAT", &zeros()), chunk(b"IEND", b"")]);
    match decoder().decode(&flood).await {
        Ok(picture) => assert_eq!((picture.width(), picture.height()), (8000, 5000)),
        Err(SandboxError::Picture(PictureError::Broken(_))) => {}
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_picture_comes_out_as_it_went_in() {
    let picture = decoder().decode(&png(160, 200)).await.unwrap();
    assert_eq!((picture.width(), picture.height()), (160, 200));
    assert_eq!(decoder().sides(&jpeg(300, 200)).await.unwrap(), (300, 200));
}
