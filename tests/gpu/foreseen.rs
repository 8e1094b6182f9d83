//! What the footprint foresees against what networks of the published widths take of a GPU, few layers deep: what they
//! compute in does not grow with their depth. Needs no computing: an emulated card's memory is enough
//! (`scripts/emulate-gpu.sh footprint`).

use kernels::linear::stores_gelu_in_int8;
use kernels::sla_mask::BlockSize;
use kernels::{DType, Device, Tensor};
use wanserve::domain::linear::LinearCompute;
use wanserve::domain::memory::PartKind;
use wanserve::domain::video::AttentionType;
use wanserve::engine::Attention;
use wanserve::engine::memory::{ClipShape, Workload};
use wanserve::engine::models::umt5::Umt5;
use wanserve::engine::models::vae::{Clip, Decoder, Encoder};
use wanserve::engine::models::wan::{Step, Wan};
use wanserve::engine::weights::{Architecture, Model};

use super::weights::RandomWeights;
use super::{gpu, say};

/// Layers: enough for one to hold what the one before gave.
const LAYERS: usize = 2;
/// Latents of 81 and of 5 frames at 832×480, and of 81 at 1280×720.
const SHAPES: [[usize; 3]; 3] = [[21, 60, 104], [2, 60, 104], [21, 90, 160]];
/// More foreseen than taken is memory that nobody uses: this share, and what eight texts take.
const TOO_MUCH: f64 = 1.25;
/// For feature maps of many sizes another fifth is foreseen: holes between them, which are no bytes in use.
const WITH_HOLES: f64 = 1.2 * TOO_MUCH;
const TEXTS: u64 = 8 * 512 * 4096 * 2;

fn architecture(name: &str) -> Architecture {
    let mut architecture = Model::synthetic(name).expect("it is listed").architecture().clone();
    architecture.transformer.num_layers = LAYERS;
    architecture.text_encoder.num_layers = LAYERS;
    architecture.text_encoder.vocab = 4096;
    architecture
}

fn workload(
    [frames, height, width]: [usize; 3],
    attention: AttentionType,
    linear: LinearCompute,
    device: &Device,
) -> Workload {
    Workload {
        shape: ClipShape { frames, height, width },
        text: true,
        image: true,
        attention,
        linear,
        stores_gelu_in_int8: stores_gelu_in_int8(device),
        element: 2,
    }
}

/// Bytes that `work` takes at its fullest besides what is there.
fn taken(device: &Device, work: impl FnOnce()) -> u64 {
    device.forget_peak();
    let pool = || device.pool().expect("a GPU answers").expect("and counts");
    let before = pool().used;
    work();
    pool().used_peak - before
}

/// `most`: the largest share of `taken` that may be foreseen.
fn compare(what: &str, taken: u64, foreseen: u64, most: f64) {
    let ratio = (foreseen - TEXTS) as f64 / taken as f64;
    say(
        &format!("{what}: {:.0} MiB taken, {ratio:.3} of it foreseen", taken as f64 / f64::from(1 << 20)),
        0.0,
    );
    assert!(foreseen >= taken, "{what}: {taken} bytes taken, {foreseen} foreseen");
    assert!(
        foreseen as f64 <= taken as f64 * most + 2.0 * TEXTS as f64,
        "{what}: {taken} taken, {foreseen} foreseen"
    );
}

#[test]
fn a_step_takes_what_was_foreseen() {
    let Some((_, device)) = gpu() else { return };
    for name in ["wan2.1-t2v-1.3b", "wan2.1-t2v-14b"] {
        let architecture = architecture(name);
        let config = &architecture.transformer;
        for linear in LinearCompute::ALL {
            let mut wan = Wan::load(config, &RandomWeights, &device, linear).unwrap();
            for shape @ [frames, height, width] in SHAPES {
                let blocks = BlockSize { queries: 128, keys: 64 };
                let kinds = [
                    (AttentionType::Original, Attention::Dense),
                    (AttentionType::Sla, Attention::Sla { blocks, ratio: 0.1 }),
                    (AttentionType::SageSla, Attention::SageSla { blocks, ratio: 0.1 }),
                ];
                for (kind, attention) in kinds {
                    let make = |shape: &[usize], dtype| {
                        Tensor::from_f32(vec![0.5; shape.iter().product()], shape, dtype, &device).unwrap()
                    };
                    let took = taken(&device, || {
                        let text = wan.read(&make(&[config.text_len, config.text_dim], DType::BF16)).unwrap();
                        let latent = make(&[16, frames, height, width], DType::F32);
                        let step = Step {
                            latent: &latent,
                            condition: None,
                            timestep: 900.0,
                            text: &text,
                            attention,
                        };
                        wan.velocity(&step).unwrap();
                    });
                    let foreseen =
                        workload(shape, kind, linear, &device).work(&architecture, PartKind::Transformer);
                    let what = format!("step {name} {linear} {shape:?} {}", kind.as_str());
                    compare(&what, took, foreseen, TOO_MUCH);
                }
            }
        }
    }
}

#[test]
fn a_decode_and_an_encode_take_what_was_foreseen() {
    let Some((_, device)) = gpu() else { return };
    let architecture = architecture("wan2.2-i2v-a14b");
    let decoder = Decoder::load(&architecture.vae, &RandomWeights, &device).unwrap();
    let encoder = Encoder::load(&architecture.vae, &RandomWeights, &device).unwrap();
    for shape @ [frames, height, width] in SHAPES {
        let latent = vec![0.5; 16 * frames * height * width];
        let took = taken(&device, || decoder.decode(&latent, shape, 2, |_| Ok(())).unwrap());
        let work = |kind| {
            workload(shape, AttentionType::Sla, LinearCompute::Bf16, &device).work(&architecture, kind)
        };
        compare(&format!("decode {shape:?}"), took, work(PartKind::Decoder), WITH_HOLES);
        let took = taken(&device, || {
            let picture = [2, 8 * height, 8 * width, 3];
            let numbers = vec![0.5; picture.iter().product()];
            let still = Tensor::from_f32(numbers, &picture, DType::BF16, &device).unwrap();
            encoder.encode(&Clip::new(still, 4 * frames - 3).unwrap()).unwrap();
        });
        compare(&format!("encode {shape:?}"), took, work(PartKind::Encoder), WITH_HOLES);
    }
}

#[test]
fn a_text_takes_what_was_foreseen() {
    let Some((_, device)) = gpu() else { return };
    let architecture = architecture("wan2.1-t2v-14b");
    let mut encoder = Umt5::load(&architecture.text_encoder, &RandomWeights, &device).unwrap();
    let took = taken(&device, || drop(encoder.encode(&[7; 512], &[true; 512]).unwrap()));
    let foreseen = workload(SHAPES[0], AttentionType::Sla, LinearCompute::Bf16, &device)
        .work(&architecture, PartKind::TextEncoder);
    compare("text", took, foreseen, TOO_MUCH);
}
