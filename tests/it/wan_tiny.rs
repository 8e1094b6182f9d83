//! The bundled model's trained weights against the outputs that its training code gave for them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use kernels::{DType, Device, Tensor};
use wanserve::domain::linear::LinearCompute;
use wanserve::engine::models::umt5::Umt5;
use wanserve::engine::models::vae::{Clip, Decoder, Encoder};
use wanserve::engine::models::wan::{Step, Wan};
use wanserve::engine::weights::{Expert, Model};
use wanserve::engine::{Attention, BlockSize};

use crate::goldens::array::{Array, rel_l2, swapped};

const CPU: Device = Device::Cpu;

#[test]
fn outputs_equal_those_of_the_training_code() {
    let reference = Reference::open().unwrap();
    let model = Model::in_folder(&folder()).unwrap();
    reference.text(&model).unwrap();
    reference.velocity(&model).unwrap();
    reference.pictures(&model).unwrap();
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/wan-tiny")
}

struct Reference {
    about: serde_json::Value,
    arrays: Vec<(String, Array)>,
}

impl Reference {
    fn open() -> Result<Self> {
        let folder = folder().join("reference");
        let about = serde_json::from_slice(&std::fs::read(folder.join("case.json"))?)?;
        let bytes = std::fs::read(folder.join("io.safetensors"))?;
        let file = safetensors::SafeTensors::deserialize(&bytes)?;
        let arrays = file.iter().map(|(name, view)| Ok((name.to_owned(), Array::read(&view)?)));
        Ok(Self { about, arrays: arrays.collect::<Result<_>>()? })
    }

    /// The prompts' ids and embeddings.
    fn text(&self, model: &Model) -> Result<()> {
        let tokenizer = model.tokenizer()?;
        let (ids, expected) = (self.array("ids")?, self.array("expect.embedding")?);
        for (sample, prompt) in self.about["prompts"].as_array().context("prompts")?.iter().enumerate() {
            let encoded = tokenizer.encode(prompt.as_str().context("a prompt")?)?;
            let found: Vec<f32> = encoded.ids.iter().map(|&id| id as f32).collect();
            ensure!(found == ids.sample(sample).data, "other ids for {prompt}: {found:?}");
            let rows = self.embedding(model, sample)?.rows(0..expected.shape[1])?;
            self.compare("embedding", &rows.to_f32()?, &expected.sample(sample).data)?;
        }
        Ok(())
    }

    fn velocity(&self, model: &Model) -> Result<()> {
        let config = &model.architecture().transformer;
        let mut wan = Wan::load(config, &*model.transformer(Expert::High)?, &CPU, LinearCompute::Bf16)?;
        let text = wan.read(&self.embedding(model, 0)?)?;
        let latent = self.array("x")?.sample(0).upload(DType::F32, &CPU)?;
        let condition = self.array("y")?.sample(0).upload(DType::F32, &CPU)?;
        let number = |name: &str| self.about["attention"][name].as_f64().context("attention");
        let blocks = BlockSize { queries: number("block_q")? as usize, keys: number("block_k")? as usize };
        let sla = Attention::Sla { blocks, ratio: number("topk")? };
        for (name, attention) in [("velocity_sla", sla), ("velocity_original", Attention::Dense)] {
            let timestep = self.array("timestep")?.data[0];
            let condition = Some(&condition);
            let step = Step { latent: &latent, condition, timestep, text: &text, attention };
            let velocity = wan.velocity(&step)?.to_f32()?;
            self.compare(name, &velocity, &self.array(&format!("expect.{name}"))?.data)?;
        }
        Ok(())
    }

    fn pictures(&self, model: &Model) -> Result<()> {
        let (config, vae) = (&model.architecture().vae, model.vae()?);
        let z = self.array("z")?.sample(0);
        let mut frames = Vec::new();
        Decoder::load(config, &*vae, &CPU)?.decode(
            &z.data,
            [z.shape[1], z.shape[2], z.shape[3]],
            1,
            |chunk| {
                frames.extend(chunk.to_f32()?);
                Ok(())
            },
        )?;
        let decoded = swapped(&frames, frames.len() / 3, 3);
        self.compare("decoded", &decoded, &self.array("expect.decoded")?.data)?;

        let first = self.array("first_frame")?.sample(0);
        let [colours, _, height, width] = first.shape[..] else { anyhow::bail!("{:?}", first.shape) };
        let mut pixels = swapped(&first.data, colours, height * width);
        pixels.resize(2 * height * width * colours, 0.0);
        let still = Tensor::from_f32(pixels, &[2, height, width, colours], DType::F32, &CPU)?;
        let total = self.about["frames"].as_u64().context("frames")? as usize;
        let latent = Encoder::load(config, &*vae, &CPU)?.encode(&Clip::new(still, total)?)?;
        let name = "encoded_first_frame_then_zeros";
        self.compare(name, &latent, &self.array(&format!("expect.{name}"))?.data)
    }

    fn embedding(&self, model: &Model, sample: usize) -> Result<Tensor> {
        let ids: Vec<u32> = self.array("ids")?.sample(sample).data.iter().map(|&id| id as u32).collect();
        let is_text: Vec<bool> = ids.iter().map(|&id| id != 0).collect();
        let mut encoder = Umt5::load(&model.architecture().text_encoder, &*model.text_encoder()?, &CPU)?;
        Ok(encoder.encode(&ids, &is_text)?)
    }

    fn array(&self, name: &str) -> Result<&Array> {
        let found = self.arrays.iter().find(|(key, _)| key == name);
        Ok(&found.with_context(|| format!("the reference has no `{name}`"))?.1)
    }

    fn compare(&self, name: &str, found: &[f32], expected: &[f32]) -> Result<()> {
        let tolerance = self.about["rel_l2"].as_f64().context("rel_l2")?;
        ensure!(found.len() == expected.len(), "{name}: {} numbers, not {}", found.len(), expected.len());
        let error = rel_l2(found, expected);
        ensure!(error <= tolerance, "{name}: rel_l2 {error:.3e} of {tolerance:.0e}");
        Ok(())
    }
}
