//! The stages of a clip on the CPU with the bundled model's shapes (224×128, 33 frames): reading a prompt, one step of
//! the transformer, encoding a first frame, decoding; and the file of a clip of published size. Weights are synthetic, so the
//! bench needs no file.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use kernels::frame_bytes::frame_bytes;
use kernels::{DType, Device, Tensor};
use wanserve::domain::linear::LinearCompute;
use wanserve::domain::picture::Planes;
use wanserve::domain::size::Size;
use wanserve::domain::video::FrameCount;
use wanserve::engine::models::umt5::Umt5;
use wanserve::engine::models::vae::{Clip, Decoder, Encoder};
use wanserve::engine::models::wan::{Step, Wan};
use wanserve::engine::sampler::Noise;
use wanserve::engine::weights::{Expert, Model};
use wanserve::engine::{Attention, BlockSize};
use wanserve::media::Mp4Encoder;

/// Frames, height and width of the latent.
const LATENT: [usize; 3] = [9, 16, 28];

/// Frames of the clip.
const FRAMES: usize = 33;

/// The first frame and one chunk of the decoder.
const CHUNK: u32 = 17;

const CPU: Device = Device::Cpu;

fn stages(criterion: &mut Criterion) {
    let model = Model::synthetic("wan-tiny").expect("a synthetic model of that name");
    let mut group = criterion.benchmark_group("stages");
    group.measurement_time(Duration::from_secs(8)).warm_up_time(Duration::from_secs(1)).sample_size(10);

    let architecture = model.architecture();
    let text_encoder = model.text_encoder().expect("synthetic weights");
    let mut text_encoder = Umt5::load(&architecture.text_encoder, &*text_encoder, &CPU).expect("an encoder");
    let ids: Vec<u32> = (0..architecture.max_tokens as u32).map(|id| id % 50 + 3).collect();
    let is_text: Vec<bool> = (0..ids.len()).map(|at| at < 20).collect();
    group.bench_function("text", |bencher| {
        bencher.iter(|| black_box(text_encoder.encode(&ids, &is_text).expect("an embedding")));
    });

    let embedding = text_encoder.encode(&ids, &is_text).expect("an embedding");
    let transformer = model.transformer(Expert::High).expect("synthetic weights");
    let mut wan = Wan::load(&architecture.transformer, &*transformer, &CPU, LinearCompute::Bf16)
        .expect("a transformer");
    let text = wan.read(&embedding).expect("a context");
    let [latent, condition] = [16, 20].map(|channels| noise(&[channels, LATENT[0], LATENT[1], LATENT[2]]));
    let blocks = BlockSize { queries: architecture.attention.block_q, keys: architecture.attention.block_k };
    let sla = Attention::Sla { blocks, ratio: model.capabilities().default_sla_topk };
    for (name, attention) in [("step/sla", sla), ("step/original", Attention::Dense)] {
        let condition = (architecture.transformer.in_dim > 16).then_some(&condition);
        let step = Step { latent: &latent, condition, timestep: 988.0, text: &text, attention };
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(wan.velocity(&step).expect("a velocity")));
        });
    }

    let vae = model.vae().expect("synthetic weights");
    let encoder = Encoder::load(&architecture.vae, &*vae, &CPU).expect("an encoder");
    let still = noise(&[2, 8 * LATENT[1], 8 * LATENT[2], 3]);
    group.bench_function("encode/first_frame", |bencher| {
        let clip = Clip::new(still.clone(), FRAMES).expect("a clip");
        bencher.iter(|| black_box(encoder.encode(&clip).expect("a latent")));
    });
    let decoder = Decoder::load(&architecture.vae, &*vae, &CPU).expect("a decoder");
    let latent = Noise::new(1).normal(0, 16 * LATENT.iter().product::<usize>());
    group.bench_function("decode", |bencher| {
        let keep = |chunk| {
            black_box(chunk);
            Ok(())
        };
        bencher.iter(|| decoder.decode(&latent, LATENT, 2, keep).expect("frames"));
    });
    group.finish();
}

/// A pixel at column, row and frame.
type Drawn<'a> = &'a dyn Fn(u32, u32, u32) -> [u8; 3];

/// The file of a clip of published size: of shapes that move, as videos have them, and of noise, which is what synthetic
/// weights make.
fn files(criterion: &mut Criterion) {
    let size = Size::new(832, 480).expect("a size");
    let frames = FrameCount::new(CHUNK).expect("a count of frames");
    let mut group = criterion.benchmark_group("mp4 of 17 frames of 832x480");
    group.measurement_time(Duration::from_secs(8)).warm_up_time(Duration::from_secs(1)).sample_size(10);
    let wave = |at: u32, length: f64| (127.5 + 100.0 * (f64::from(at) / length).sin()) as u8;
    let moving = |x, y, at| [wave(x + 3 * at, 40.0), wave(y + 2 * at, 30.0), wave(x + y, 70.0)];
    let random = Noise::new(3).normal(0, 3 * 832 * 480 * CHUNK as usize);
    let noise = |x, y, at| {
        let pixel = 3 * ((at * 480 + y) * 832 + x) as usize;
        [0, 1, 2].map(|channel| (127.5 + 40.0 * random[pixel + channel]) as u8)
    };
    let draw = |pixel: Drawn, at| {
        let rows = (0..480).flat_map(|y| (0..832).flat_map(move |x| pixel(x, y, at)));
        let colours = rows.map(|byte| f32::from(byte) / 127.5 - 1.0).collect();
        let frame = Tensor::from_f32(colours, &[1, 480, 832, 3], DType::F32, &CPU).expect("a frame");
        let bytes = frame_bytes(&frame, &[]).expect("even sides");
        let (mut planes, _) = bytes.wait().expect("the CPU's are there");
        Planes::new(832, 480, planes.next().expect("one frame").to_vec()).expect("as many as the size has")
    };
    let kinds: [(&str, Drawn); 2] = [("moving", &moving), ("noise", &noise)];
    for (name, pixel) in kinds {
        let clip: Vec<Planes> = (0..CHUNK).map(|at| draw(pixel, at)).collect();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut file = Mp4Encoder::new(size, frames);
                clip.iter().for_each(|frame| file.push(frame.clone()).expect("a frame of the size"));
                black_box(file.finish().expect("a file"))
            });
        });
    }
    group.finish();
}

fn noise(shape: &[usize]) -> Tensor {
    let values = Noise::new(7).normal(0, shape.iter().product());
    Tensor::from_f32(values, shape, DType::F32, &CPU).expect("as many numbers as the shape has")
}

criterion_group!(benches, stages, files);
criterion_main!(benches);
