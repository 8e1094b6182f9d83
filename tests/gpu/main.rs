//! Whole networks of the published sizes on a GPU, with random weights: that they run, that every number is finite, and
//! how long a step takes; and the bundled model's clips beside the CPU's. Numbers against the definition are
//! `kernels/*/test.rs` and `examples/parity.rs`.
//! Without a GPU each test says so and passes.

mod bundled;
mod foreseen;
mod weights;

use std::time::Instant;

use kernels::cuda::Stopwatch;
use kernels::sla_mask::BlockSize;
use kernels::{DType, Device, Tensor};
use wanserve::domain::linear::LinearCompute;
use wanserve::engine::Attention;
use wanserve::engine::models::umt5::{Umt5, Umt5Config};
use wanserve::engine::models::vae::{Decoder, VaeConfig};
use wanserve::engine::models::wan::{Step, Wan, WanConfig};
use weights::RandomWeights;

/// The published latent of 81 frames at 832×480.
const LATENT: [usize; 4] = [16, 21, 60, 104];
/// Runs of which the shortest counts, after one to warm up.
const RUNS: usize = 3;

#[test]
fn a_step_of_the_small_transformer() {
    let Some((gpu, device)) = gpu() else { return };
    let config = WanConfig::t2v_1_3b();
    let block = |queries, keys| BlockSize { queries, keys };
    let sla = ("sla 128x64 0.1", Attention::Sla { blocks: block(128, 64), ratio: 0.1 });
    let sage = ("sagesla 64x128 0.1", Attention::SageSla { blocks: block(64, 128), ratio: 0.1 });
    let cases: [(LinearCompute, &[(&str, Attention)]); 3] = [
        (LinearCompute::Bf16, &[("dense", Attention::Dense), sla, sage]),
        (LinearCompute::Fp8, &[sla, sage]),
        (LinearCompute::Int8, &[sla, sage]),
    ];
    for (format, kinds) in cases {
        let began = Instant::now();
        let mut wan = Wan::load(&config, &RandomWeights, &device, format).unwrap();
        say(&format!("load 1.3B, {format:?}"), began.elapsed().as_secs_f64() * 1e3);
        let text = wan.read(&noise(&[config.text_len, config.text_dim], DType::BF16, &device)).unwrap();
        let latent = noise(&LATENT, DType::F32, &device);
        for &(name, attention) in kinds {
            let step = Step { latent: &latent, condition: None, timestep: 932.0, text: &text, attention };
            let velocity = wan.velocity(&step).unwrap();
            assert!(velocity.to_f32().unwrap().iter().all(|v| v.is_finite()), "{format:?} {name}");
            let times = (0..RUNS).map(|_| {
                let clock = Stopwatch::start(&gpu).unwrap();
                wan.velocity(&step).unwrap();
                clock.milliseconds().unwrap()
            });
            let least = times.fold(f32::INFINITY, f32::min);
            say(&format!("1.3B 480p step, {format:?}, {name}"), least.into());
            device.watch_kernels();
            wan.velocity(&step).unwrap();
            for kernel in device.watched_kernels().unwrap() {
                say(
                    &format!("{format:?} {name}: {} times {}", kernel.calls, kernel.name),
                    kernel.milliseconds,
                );
            }
        }
    }
    memory(&gpu);
}

#[test]
fn a_decode_of_81_frames() {
    let Some((gpu, device)) = gpu() else { return };
    let decoder = Decoder::load(&VaeConfig::wan21(), &RandomWeights, &device).unwrap();
    let [channels, frames, height, width] = LATENT;
    let latent = noise(&LATENT, DType::F32, &Device::Cpu).to_f32().unwrap();
    let decode = |latents_per_chunk| {
        let mut last = None;
        let done = decoder.decode(&latent, [frames, height, width], latents_per_chunk, |chunk| {
            last = Some(chunk);
            Ok(())
        });
        done.unwrap();
        last.unwrap()
    };
    for latents_per_chunk in [1, 2, 4] {
        decode(latents_per_chunk);
        let mut last = None;
        for _ in 0..2 {
            let clock = Stopwatch::start(&gpu).unwrap();
            last = Some(decode(latents_per_chunk));
            say(&format!("decode 480p, {latents_per_chunk} at once"), clock.milliseconds().unwrap().into());
        }
        let numbers = last.unwrap().to_f32().unwrap();
        assert!(numbers.iter().all(|v| v.is_finite()), "{channels} channels");
    }
    device.watch_kernels();
    decode(4);
    for kernel in device.watched_kernels().unwrap() {
        say(&format!("decode 480p: {} times {}", kernel.calls, kernel.name), kernel.milliseconds);
    }
    memory(&gpu);
}

#[test]
fn a_prompt_of_512_tokens() {
    let Some((gpu, device)) = gpu() else { return };
    let config = Umt5Config { vocab: 4096, ..Umt5Config::xxl() };
    let mut encoder = Umt5::load(&config, &RandomWeights, &device).unwrap();
    let ids: Vec<u32> = (0..512).map(|at| at * 7 % 4096).collect();
    for _ in 0..=RUNS {
        let clock = Stopwatch::start(&gpu).unwrap();
        let embedding = encoder.encode(&ids, &[true; 512]).unwrap();
        say("umT5-XXL, 512 tokens", clock.milliseconds().unwrap().into());
        assert!(embedding.to_f32().unwrap().iter().all(|v| v.is_finite()));
    }
    memory(&gpu);
}

fn gpu() -> Option<(kernels::cuda::Device, Device)> {
    match kernels::cuda::Device::open(0) {
        Ok(device) => Some((device.clone(), Device::Cuda(device))),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

fn noise(shape: &[usize], dtype: DType, device: &Device) -> Tensor {
    let values = weights::uniform().take(shape.iter().product()).collect();
    Tensor::from_f32(values, shape, dtype, device).expect("there is room")
}

fn memory(gpu: &kernels::cuda::Device) {
    let memory = gpu.memory().expect("the driver counts its memory");
    eprintln!("| memory in use | {:.1} GiB |", (memory.total - memory.free) as f64 / f64::from(1 << 30));
}

fn say(what: &str, milliseconds: f64) {
    eprintln!("| {what} | {milliseconds:.1} ms |");
}
