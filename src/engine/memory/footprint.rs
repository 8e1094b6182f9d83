//! How many bytes the stages of a clip take, from shapes alone: weights as they are held, and what is computed in, which
//! each network tells of itself. `wanserve bench` shows how near they are.

use super::plan::{Part, PartKey, StageNeed};
use crate::domain::linear::LinearCompute;
use crate::domain::memory::PartKind;
use crate::domain::video::{AttentionType, FRAMES_PER_LATENT};
use crate::engine::models::{ExpectedTensor, TensorKind, umt5, vae, wan};
use crate::engine::weights::{Architecture, Expert, Model, Network};

/// Size of a clip's latent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClipShape {
    pub frames: usize,
    pub height: usize,
    pub width: usize,
}

/// What of a model one clip needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    pub shape: ClipShape,
    /// Whether the prompt has to be read.
    pub text: bool,
    /// Whether a picture has to be encoded.
    pub image: bool,
    pub attention: AttentionType,
    pub linear: LinearCompute,
    /// Whether the device stores the GELU of an int8 product in int8 at once.
    pub stores_gelu_in_int8: bool,
    /// Bytes of an activation's element: 4 on the CPU, 2 on a GPU.
    pub element: usize,
}

/// Latent frames that the decoder takes at once, and when memory is short.
pub const LATENTS_PER_CHUNK: usize = 2;
pub const FEWEST_LATENTS_PER_CHUNK: usize = 1;

/// Texts whose embeddings are kept: enough for a caller who tries seeds on a few prompts.
pub const REMEMBERED_TEXTS: usize = 8;
/// Pixels of a latent's side.
const SIDE: usize = 8;
/// Blocks of an int8 matrix.
const INT8_BLOCK: usize = 128;
/// Feature maps of many sizes leave holes between them, this part of what they take.
const HOLES: usize = 5;
/// Tensors begin at multiples of this.
const GRAIN: u64 = 512;
/// Each network stands in pages of its own.
const PAGE: u64 = 2 << 20;

impl Workload {
    /// Every stage of the clip, in order. A model of two transformers has two stages of denoising.
    pub fn stages(&self, model: &Model) -> Vec<StageNeed> {
        let architecture = model.architecture();
        let part = |kind, expert| self.part(model, kind, expert);
        let mut stages = Vec::new();
        let mut add = |part: Part, work: u64, small_work: u64| {
            stages.push(StageNeed { parts: vec![part], work, small_work });
        };
        let work = |kind| self.work(architecture, kind);
        if self.text {
            let work = work(PartKind::TextEncoder);
            add(part(PartKind::TextEncoder, Expert::High), work, work);
        }
        if self.image {
            let work = work(PartKind::Encoder);
            add(part(PartKind::Encoder, Expert::High), work, work);
        }
        for &expert in &architecture.experts {
            let work = work(PartKind::Transformer);
            add(part(PartKind::Transformer, expert), work, work);
        }
        let decode = |latents| self.work_in_pieces(architecture, PartKind::Decoder, latents);
        add(
            part(PartKind::Decoder, Expert::High),
            decode(LATENTS_PER_CHUNK),
            decode(FEWEST_LATENTS_PER_CHUNK),
        );
        stages
    }

    /// A network of the model, with the bytes that its weights take.
    pub fn part(&self, model: &Model, kind: PartKind, expert: Expert) -> Part {
        let architecture = model.architecture();
        let bytes = match kind {
            PartKind::TextEncoder => {
                let plain = architecture.text_encoder.element(self.element);
                in_pages(architecture.text_encoder_tensors().iter().map(|tensor| self.held(tensor, plain)))
            }
            // Both halves' tensors are in one file; each half holds its own.
            PartKind::Encoder => self.half(architecture, "encoder"),
            PartKind::Decoder => self.half(architecture, "decoder"),
            PartKind::Transformer => self.transformer_weights(architecture),
        };
        let mut source = model.source(network(kind, expert));
        if kind == PartKind::Transformer {
            source = format!("{source} in {}", self.linear);
        }
        Part { key: PartKey { kind, source }, bytes }
    }

    fn half(&self, architecture: &Architecture, prefix: &str) -> u64 {
        let tensors = architecture.vae_tensors();
        let tensors: Vec<_> = tensors.into_iter().filter(|tensor| tensor.name.starts_with(prefix)).collect();
        self.weights(&tensors)
    }

    fn weights(&self, tensors: &[ExpectedTensor]) -> u64 {
        in_pages(tensors.iter().map(|tensor| self.held(tensor, self.element)))
    }

    fn transformer_weights(&self, architecture: &Architecture) -> u64 {
        let tensors = architecture.transformer_tensors();
        let plain = architecture.transformer.element(self.element);
        in_pages(tensors.iter().map(|tensor| {
            self.held(tensor, if is_linear_branch(&tensor.name) { self.element } else { plain })
        }))
    }

    /// Bytes of one tensor on the device, where a number of a plain layer has `plain`.
    fn held(&self, tensor: &ExpectedTensor, plain: usize) -> u64 {
        let count = tensor.count() as u64;
        match tensor.kind {
            TensorKind::Weight if is_block_linear(&tensor.name) => {
                count * self.linear.bytes_of_element(plain) + self.scales(tensor)
            }
            TensorKind::Weight | TensorKind::Bias => count * plain as u64,
            TensorKind::Norm | TensorKind::Scale => count * 4,
            TensorKind::Int8 => count,
        }
    }

    fn scales(&self, tensor: &ExpectedTensor) -> u64 {
        let rows = tensor.shape.first().copied().unwrap_or(1);
        let inputs = tensor.shape.get(1).copied().unwrap_or(1);
        match self.linear {
            LinearCompute::Bf16 => 0,
            LinearCompute::Int8 => 4 * (rows.div_ceil(INT8_BLOCK) * inputs.div_ceil(INT8_BLOCK)) as u64,
            LinearCompute::Fp8 => 4 * rows as u64,
        }
    }

    /// A clip that nobody described yet counts as one frame.
    fn latent(&self) -> [usize; 3] {
        let ClipShape { frames, height, width } = self.shape;
        [frames.max(1), height, width]
    }

    /// Bytes that a network computes in, with what stays from the stages before.
    pub fn work(&self, architecture: &Architecture, kind: PartKind) -> u64 {
        let latents = if kind == PartKind::Decoder { LATENTS_PER_CHUNK } else { 0 };
        self.work_in_pieces(architecture, kind, latents)
    }

    /// The same where the decoder takes `latents` frames at a time.
    fn work_in_pieces(&self, architecture: &Architecture, kind: PartKind, latents: usize) -> u64 {
        let [frames, height, width] = self.latent();
        let Architecture { transformer, vae, text_encoder, max_tokens, .. } = architecture;
        let element = self.element;
        let still = [1 + FRAMES_PER_LATENT as usize * (frames - 1), height * SIDE, width * SIDE];
        let computed = match kind {
            PartKind::TextEncoder => {
                umt5::text_work(text_encoder, *max_tokens, text_encoder.element(element))
            }
            PartKind::Encoder => vae::encoder_work(vae, still, element),
            PartKind::Transformer => wan::step_work(
                transformer,
                frames * (height / 2) * (width / 2),
                self.attention,
                self.linear,
                self.stores_gelu_in_int8,
                element,
            ),
            PartKind::Decoder => vae::decoder_work(vae, self.latent(), latents, element),
        };
        let holes = match kind {
            PartKind::Encoder | PartKind::Decoder => computed / HOLES,
            PartKind::TextEncoder | PartKind::Transformer => 0,
        };
        // Each transformer keeps what it read; before the first has read, only its texts are there.
        let kept = match kind {
            PartKind::TextEncoder | PartKind::Encoder => 0,
            PartKind::Transformer | PartKind::Decoder => {
                architecture.experts.len() * wan::text_keys(transformer, self.linear, element)
            }
        };
        let texts = REMEMBERED_TEXTS * max_tokens * text_encoder.dim * text_encoder.element(element);
        (computed + holes + kept + texts) as u64
    }
}

fn in_pages(tensors: impl Iterator<Item = u64>) -> u64 {
    tensors.map(|bytes| bytes.next_multiple_of(GRAIN)).sum::<u64>().next_multiple_of(PAGE)
}

fn network(kind: PartKind, expert: Expert) -> Network {
    match kind {
        PartKind::TextEncoder => Network::TextEncoder,
        PartKind::Encoder | PartKind::Decoder => Network::Vae,
        PartKind::Transformer => Network::Transformer(expert),
    }
}

/// The sparse attention's own layer, which is in the format of activations.
fn is_linear_branch(name: &str) -> bool {
    name.contains(".local_attn.")
}

/// The matrices whose format is a choice: those inside the blocks.
fn is_block_linear(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) else { return false };
    let attention = ["self_attn.", "cross_attn."].iter().find_map(|prefix| rest.1.strip_prefix(prefix));
    match attention {
        Some(part) => ["q.weight", "k.weight", "v.weight", "o.weight"].contains(&part),
        None => ["ffn.0.weight", "ffn.2.weight"].contains(&rest.1),
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{least, whole};
    use super::*;

    const GIB: f64 = (1u64 << 30) as f64;

    fn workload(linear: LinearCompute, height: usize, width: usize) -> Workload {
        let shape = ClipShape { frames: 21, height: height / 8, width: width / 8 };
        Workload {
            shape,
            text: true,
            image: false,
            attention: AttentionType::SageSla,
            linear,
            stores_gelu_in_int8: false,
            element: 2,
        }
    }

    fn gib(bytes: u64) -> f64 {
        bytes as f64 / GIB
    }

    #[test]
    fn weights_are_as_large_as_the_published_files() {
        let part = |model: &str, kind, linear| {
            let model = Model::synthetic(model).unwrap();
            gib(workload(linear, 480, 832).part(&model, kind, Expert::High).bytes)
        };
        use LinearCompute::{Bf16, Fp8, Int8};
        for (model, kind, linear, size) in [
            ("wan2.1-t2v-1.3b", PartKind::Transformer, Bf16, 2.65),
            ("wan2.1-t2v-1.3b", PartKind::Transformer, Int8, 1.35),
            ("wan2.1-t2v-14b", PartKind::Transformer, Bf16, 26.7),
            ("wan2.1-t2v-14b", PartKind::Transformer, Int8, 13.6),
            ("wan2.1-t2v-14b-int8", PartKind::Transformer, Int8, 13.6),
            ("wan2.2-i2v-a14b", PartKind::Transformer, Fp8, 13.6),
            ("wan2.1-t2v-14b", PartKind::TextEncoder, Bf16, 10.6),
        ] {
            let found = part(model, kind, linear);
            assert!(
                (found / size - 1.0).abs() < 0.02,
                "{model} {kind:?} {linear:?}: {found} GiB, not {size}"
            );
        }
    }

    #[test]
    fn models_share_what_has_the_same_numbers_and_nothing_else() {
        let key = |model: &str, kind, expert, linear| {
            workload(linear, 480, 832).part(&Model::synthetic(model).unwrap(), kind, expert).key
        };
        use Expert::{High, Low};
        use LinearCompute::{Bf16, Int8};
        for kind in [PartKind::TextEncoder, PartKind::Decoder] {
            assert_eq!(
                key("wan2.1-t2v-1.3b", kind, High, Bf16),
                key("wan2.2-i2v-a14b-int8", kind, High, Int8)
            );
            assert_ne!(key("wan2.1-t2v-1.3b", kind, High, Bf16), key("wan-tiny", kind, High, Bf16));
        }
        let transformer = |model, expert, linear| key(model, PartKind::Transformer, expert, linear);
        assert_ne!(transformer("wan2.2-i2v-a14b", High, Bf16), transformer("wan2.2-i2v-a14b", Low, Bf16));
        assert_ne!(transformer("wan2.2-i2v-a14b", High, Bf16), transformer("wan2.2-i2v-a14b", High, Int8));
        assert_ne!(transformer("wan2.1-t2v-14b", High, Bf16), transformer("wan2.1-t2v-1.3b", High, Bf16));
    }

    #[test]
    fn a_table_of_cards() {
        let pair = Model::synthetic("wan2.2-i2v-a14b").unwrap();
        let int8 = Workload { image: true, ..workload(LinearCompute::Int8, 720, 1280) };
        let bf16 = Workload { image: true, ..workload(LinearCompute::Bf16, 720, 1280) };
        // Both experts, the text encoder and 720p stay on the largest card; in int8 a card of 24 GB holds them in turns.
        assert!(gib(whole(&bf16.stages(&pair))) < 130.0);
        assert!(least(&int8.stages(&pair)) < 24_000_000_000 - 2 * super::super::CONTEXT_BYTES);
        assert!(least(&bf16.stages(&pair)) > 24_000_000_000);
        let small = Model::synthetic("wan2.1-t2v-1.3b").unwrap();
        assert!(gib(least(&workload(LinearCompute::Bf16, 480, 832).stages(&small))) < 15.0);
    }

    #[test]
    fn the_work_grows_with_the_clip() {
        let model = Model::synthetic("wan2.1-t2v-1.3b").unwrap();
        let (small, large) =
            (workload(LinearCompute::Bf16, 480, 832), workload(LinearCompute::Bf16, 720, 1280));
        for (small, large) in small.stages(&model).iter().zip(large.stages(&model)).skip(1) {
            assert!(small.work < large.work && small.small_work < large.small_work);
            assert_eq!(small.parts, large.parts);
        }
    }
}
