//! How many bytes the stages of a clip take, from shapes alone: weights as they are held, and what is computed in.
//! The numbers of live tensors are those of the networks' code; `wanserve bench` shows how near they are.

use super::plan::{Part, PartKey, StageNeed};
use crate::domain::linear::LinearCompute;
use crate::domain::memory::PartKind;
use crate::engine::models::{ExpectedTensor, TensorKind};
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
    pub linear: LinearCompute,
    /// Bytes of an activation's element: 4 on the CPU, 2 on a GPU.
    pub element: usize,
}

/// Latent frames that the decoder takes at once, and when memory is short.
pub const LATENTS_PER_CHUNK: usize = 2;
pub const FEWEST_LATENTS_PER_CHUNK: usize = 1;

/// Tensors of tokens × dim that are alive at the widest place of attention: the stream, queries, keys, values, the sparse
/// branch, the result, and what choosing blocks takes.
const ATTENTION_ROWS: usize = 7;
/// Tensors of tokens × dim beside the hidden layer of the feed-forward network: the stream, the product, the result.
const FEED_FORWARD_ROWS: usize = 3;
/// Frames × height × width × channels alive at the widest place of the decoder: a residual block's two inputs, its normed
/// copy and its output.
const DECODER_PLANES: usize = 4;
/// Frames that each causal convolution keeps of the chunk before.
const HISTORY: usize = 2;
/// Convolutions with history at the decoder's full size, and all others counted in those: each smaller size has more
/// channels and fewer positions.
const DECODER_HISTORIES: usize = 9;
/// As for the decoder, in the encoder, which takes all frames that differ at once.
const ENCODER_PLANES: usize = 5;
/// Frames after which still frames are constant at the encoder's full size.
const ENCODER_FRAMES: usize = 11;
/// Wide tensors of the text encoder, in elements a token.
const TEXT_PLANES: usize = 4;
/// Frames of pixels for each latent frame.
const FRAMES_PER_LATENT: usize = 4;
/// Pixels of a latent's side.
const SIDE: usize = 8;
/// Blocks of an int8 matrix.
const INT8_BLOCK: usize = 128;
/// The pool gives memory in grains of this.
const GRAIN: u64 = 512;

impl Workload {
    /// Every stage of the clip, in order. A model of two transformers has two stages of denoising.
    pub fn stages(&self, model: &Model) -> Vec<StageNeed> {
        let architecture = model.architecture();
        let part = |kind, expert| self.part(model, kind, expert);
        let mut stages = Vec::new();
        let mut add = |part: Part, work: u64, small_work: u64| {
            stages.push(StageNeed { parts: vec![part], work, small_work });
        };
        if self.text {
            let work = self.text_work(architecture);
            add(part(PartKind::TextEncoder, Expert::High), work, work);
        }
        if self.image {
            let work = self.image_work(architecture);
            add(part(PartKind::Encoder, Expert::High), work, work);
        }
        for &expert in &architecture.experts {
            let work = self.denoise_work(architecture);
            add(part(PartKind::Transformer, expert), work, work);
        }
        let decode = |latents| self.decode_work(architecture, latents);
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
            PartKind::TextEncoder => self.weights(&architecture.text_encoder_tensors()),
            // Both halves' tensors are in one file; each half holds its own.
            PartKind::Encoder => self.half(architecture, "encoder"),
            PartKind::Decoder => self.half(architecture, "decoder"),
            PartKind::Transformer => self.weights(&architecture.transformer_tensors()),
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
        tensors.iter().map(|tensor| self.held(tensor).next_multiple_of(GRAIN)).sum()
    }

    /// Bytes of one tensor on the device.
    fn held(&self, tensor: &ExpectedTensor) -> u64 {
        let count = tensor.count() as u64;
        match tensor.kind {
            TensorKind::Weight if is_block_linear(&tensor.name) => {
                count * self.linear.bytes_of_element(self.element) + self.scales(tensor)
            }
            TensorKind::Weight | TensorKind::Bias => count * self.element as u64,
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

    fn text_work(&self, architecture: &Architecture) -> u64 {
        let config = &architecture.text_encoder;
        let row = config.dim.max(config.dim_ffn) + config.dim_attn;
        (TEXT_PLANES * architecture.max_tokens * row * self.element) as u64
            + (config.num_layers * config.num_heads * architecture.max_tokens * architecture.max_tokens * 4)
                as u64
    }

    fn denoise_work(&self, architecture: &Architecture) -> u64 {
        let config = &architecture.transformer;
        let ClipShape { frames, height, width } = self.shape;
        let tokens = frames * (height / 2) * (width / 2);
        let element = self.element;
        // The hidden layer; in 8 bits too where it is quantised, and twice where GELU is a pass of its own.
        let hidden = config.ffn_dim
            * match self.linear {
                LinearCompute::Bf16 => element,
                LinearCompute::Int8 => element + 1,
                LinearCompute::Fp8 => 2 * element,
            };
        let attention = ATTENTION_ROWS * config.dim * element;
        let feed_forward = FEED_FORWARD_ROWS * config.dim * element + hidden;
        let stream = tokens * attention.max(feed_forward);
        let text = 2 * config.num_layers * config.text_len * config.dim * element;
        (stream + text) as u64
    }

    fn decode_work(&self, architecture: &Architecture, latents: usize) -> u64 {
        let ClipShape { height, width, .. } = self.shape;
        let channels = architecture.vae.decoder_dim();
        let plane = height * SIDE * width * SIDE * channels * self.element;
        let chunk = (latents * FRAMES_PER_LATENT + HISTORY) * DECODER_PLANES;
        ((chunk + HISTORY * DECODER_HISTORIES) * plane) as u64
    }

    fn image_work(&self, architecture: &Architecture) -> u64 {
        let ClipShape { frames, height, width } = self.shape;
        let plane = height * SIDE * width * SIDE * architecture.vae.dim * self.element;
        let frames = ENCODER_FRAMES.min(1 + FRAMES_PER_LATENT * frames.saturating_sub(1));
        (frames * ENCODER_PLANES * plane) as u64
    }
}

fn network(kind: PartKind, expert: Expert) -> Network {
    match kind {
        PartKind::TextEncoder => Network::TextEncoder,
        PartKind::Encoder | PartKind::Decoder => Network::Vae,
        PartKind::Transformer => Network::Transformer(expert),
    }
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
        Workload { shape, text: true, image: false, linear, element: 2 }
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
