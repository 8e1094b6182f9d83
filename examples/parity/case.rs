//! A case: a folder with `case.json`, `io.safetensors` (inputs, and expected outputs as `expect.NAME`) and, where there is
//! a network, `weights.pth`. `linear` names the format that floating weights of a transformer's blocks are brought into.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use kernels::linear::{Epilogue, Linear, linear};
use kernels::quantize_int8::quantize_int8;
use kernels::{DType, Device, Matrix, Tensor};
use serde_json::Value;
use wanserve::domain::linear::LinearCompute;
use wanserve::domain::picture::Picture;
use wanserve::domain::size::Size;
use wanserve::domain::video::ImageFit;
use wanserve::engine::image::fit;
use wanserve::engine::models::umt5::Umt5;
use wanserve::engine::models::vae::{Clip, Decoder, Encoder, VaeConfig};
use wanserve::engine::models::wan::{Step, Wan};
use wanserve::engine::sampler::{Rcm, Schedule};
use wanserve::engine::weights::{PthFile, WeightSource};
use wanserve::engine::{Attention, BlockSize};

use super::array::{Array, max_abs, rel_l2, swapped};

/// One folder.
pub(crate) struct Case {
    folder: PathBuf,
    about: Value,
    io: Vec<(String, Array)>,
}

/// The errors of one case.
#[derive(Default)]
pub(crate) struct Report(pub(crate) Vec<Line>);

pub(crate) struct Line {
    output: String,
    error: f64,
    tolerance: f64,
    measure: &'static str,
}

impl Line {
    pub(crate) fn passes(&self) -> bool {
        self.error <= self.tolerance
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = if self.passes() { "ok" } else { "OVER" };
        let Self { output, error, tolerance, measure } = self;
        write!(out, "{output} {measure} {error:.3e} of {tolerance:.0e} {verdict}")
    }
}

impl Case {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let about = serde_json::from_slice(&fs::read(folder.join("case.json"))?)?;
        let bytes = fs::read(folder.join("io.safetensors"))?;
        let file = safetensors::SafeTensors::deserialize(&bytes)?;
        let io = file.iter().map(|(name, view)| Ok((name.to_owned(), Array::read(&view)?)));
        Ok(Self { folder: folder.to_owned(), about, io: io.collect::<Result<_>>()? })
    }

    pub(crate) fn run(&self, device: &Device) -> Result<Report> {
        match self.about["kind"].as_str().context("case.json has no kind")? {
            "wan2.1-t2v" | "wan2.2-i2v" => self.transformer(device),
            "wan2.1-vae" => self.autoencoder(device),
            "umt5-encoder" => self.text_encoder(device),
            "rcm-sampler" => self.sampler(),
            "int8-linear" => self.int8_linear(device),
            "i2v-image" => self.image(),
            other => bail!("unknown kind `{other}`"),
        }
    }

    fn transformer(&self, device: &Device) -> Result<Report> {
        let config = self.config()?;
        let attention = self.attention()?;
        // What floating weights are brought into; those stored in int8 stay so.
        let linear = match self.about["linear"].as_str().unwrap_or("bf16") {
            "bf16" => LinearCompute::Bf16,
            "int8" => LinearCompute::Int8,
            "fp8" => LinearCompute::Fp8,
            other => bail!("unknown linear format `{other}`"),
        };
        let mut wan = Wan::load(&config, &self.weights()?, device, linear)?;
        let (x, context, timestep) = (self.input("x")?, self.input("context")?, self.input("timestep")?);
        let y = self.input("y").ok();
        let mut velocity = Vec::new();
        for sample in 0..x.shape[0] {
            let text = context.sample(sample).padded(config.text_len, config.text_dim);
            let text = wan.read(&text.upload(DType::F32, device)?)?;
            let condition = y.map(|y| y.sample(sample).upload(DType::F32, device)).transpose()?;
            let latent = x.sample(sample).upload(DType::F32, device)?;
            let step = Step {
                latent: &latent,
                condition: condition.as_ref(),
                timestep: timestep.data[sample % timestep.data.len()],
                text: &text,
                attention,
            };
            velocity.extend(wan.velocity(&step)?.to_f32()?);
        }
        self.report([("velocity", velocity)])
    }

    fn autoencoder(&self, device: &Device) -> Result<Report> {
        let (config, weights) = (self.config::<VaeConfig>()?, self.weights()?);
        let mut outputs = Vec::new();
        if let Ok(z) = self.input("z") {
            let decoder = Decoder::load(&config, &weights, device)?;
            let mut decoded = Vec::new();
            for sample in 0..z.shape[0] {
                let z = z.sample(sample);
                let (mut frames, mut shape) = (Vec::new(), Vec::new());
                decoder.decode(&z.data, [z.shape[1], z.shape[2], z.shape[3]], 2, |chunk| {
                    shape = chunk.shape().to_vec();
                    frames.extend(chunk.to_f32()?);
                    Ok(())
                })?;
                decoded.extend(swapped(
                    &frames,
                    shape[1] * shape[2] * (frames.len() / shape[1] / shape[2] / 3),
                    3,
                ));
            }
            outputs.push(("decoded", decoded));
        }
        let encoder = Encoder::load(&config, &weights, device)?;
        if let Ok(video) = self.input("video") {
            outputs.push(("encoded", encode(&encoder, video, video.shape[2], device)?));
        }
        if let Ok(first) = self.input("first_frame") {
            let expected = self.input("expect.encoded_first_frame_then_zeros")?;
            let total = config.frames_per_latent() * (expected.shape[2] - 1) + 1;
            let latent = encode(&encoder, &first.with_a_zero_frame(), total, device)?;
            outputs.push(("encoded_first_frame_then_zeros", latent));
        }
        self.report(outputs)
    }

    fn text_encoder(&self, device: &Device) -> Result<Report> {
        let mut encoder = Umt5::load(&self.config()?, &self.weights()?, device)?;
        let (ids, mask) = (self.input("ids")?, self.input("mask")?);
        let mut embedding = Vec::new();
        for sample in 0..ids.shape[0] {
            let ids: Vec<u32> = ids.sample(sample).data.iter().map(|&id| id as u32).collect();
            let is_text: Vec<bool> = mask.sample(sample).data.iter().map(|&mark| mark > 0.0).collect();
            embedding.extend(encoder.encode(&ids, &is_text)?.to_f32()?);
        }
        self.report([("embedding", embedding)])
    }

    fn sampler(&self) -> Result<Report> {
        let config = &self.about["config"];
        let number = |name: &str| config[name].as_f64().with_context(|| format!("no {name}"));
        let schedule = Schedule::new(number("steps")? as usize, number("sigma_max")?);
        let factor = |of: &str| -> Result<f32> {
            let text = self.about["velocity"].as_str().context("no velocity")?.replace("- ", "-");
            let before = text.split(of).next().unwrap_or_default();
            let digits = before.rsplit(' ').next().unwrap_or_default();
            digits.parse().with_context(|| format!("no factor before {of} in `{text}`"))
        };
        let (tanh, constant) = (factor("*tanh(x)")?, factor("*(step+1)")?);
        let noise = self.input("init_noise")?;
        let ode = config["ode"].as_bool().unwrap_or(false);

        let mut state = Rcm::new(schedule.clone(), &noise.data);
        let (mut velocities, mut states) = (Vec::new(), Vec::new());
        for step in 0..schedule.steps() {
            let velocity: Vec<f32> =
                state.latent().iter().map(|x| tanh * x.tanh() + constant * (step + 1) as f32).collect();
            let fresh = (!ode).then(|| Ok::<_, anyhow::Error>(self.input("step_noise")?.sample(step).data));
            state.advance(&velocity, fresh.transpose()?.as_deref());
            velocities.extend(velocity);
            states.extend(state.latent());
        }
        let boundary = config["boundary"].as_f64();
        let steps = 0..schedule.steps();
        self.report([
            ("t", schedule.times().iter().map(|&t| t as f32).collect()),
            ("network_timesteps_bf16", steps.clone().map(|step| schedule.network_timestep(step)).collect()),
            (
                "uses_low_noise_model",
                steps.map(|step| f32::from(u8::from(schedule.is_low_noise(step, boundary)))).collect(),
            ),
            ("velocity", velocities),
            ("x_after_step", states),
        ])
    }

    fn int8_linear(&self, device: &Device) -> Result<Report> {
        let weights = self.weights()?;
        let size = |name: &str| {
            Ok::<_, anyhow::Error>(self.about["config"][name].as_u64().context("a size")? as usize)
        };
        let (outputs, inputs) = (size("n")?, size("k")?);
        let values = weights.tensor("int8_weight", &[outputs, inputs])?;
        let values = values.data.iter().map(|&byte| byte as i8).collect();
        let floats = |name: &str, shape: &[usize]| -> Result<Vec<f32>> {
            let raw = weights.tensor(name, shape)?;
            let widths = raw.data.len() / raw.shape.iter().product::<usize>().max(1);
            Ok(match widths {
                2 => raw.data.as_chunks().0.iter().map(|&b| half::bf16::from_le_bytes(b).to_f32()).collect(),
                _ => raw.data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            })
        };
        let blocks = [outputs.div_ceil(128), inputs.div_ceil(128)];
        let bias = weights.contains("bias").then(|| floats("bias", &[outputs])).transpose()?;
        let bias =
            bias.map(|bias| Tensor::from_f32(bias, &[outputs], device.activations(), device)).transpose()?;
        let weight = Matrix::Int8 {
            values: Tensor::from_i8(values, &[outputs, inputs], device)?,
            scale: Tensor::from_f32(floats("scale", &blocks)?, &blocks, DType::F32, device)?,
        };
        let x = self.input("x")?.upload(device.activations(), device)?;
        let (quantised, scale) = quantize_int8(&x)?;
        let y = linear(&x, &Linear::new(weight, bias)?, Epilogue::None)?;
        self.report([
            ("x_int8", quantised.to_i8()?.into_iter().map(f32::from).collect()),
            ("x_scale", scale.to_f32()?),
            ("y", y.to_f32()?),
        ])
    }

    fn image(&self) -> Result<Report> {
        let config = &self.about["config"];
        let pair = |value: &Value| -> Result<(u32, u32)> {
            let side = |index: usize| value[index].as_u64().context("a size");
            Ok((side(0)? as u32, side(1)? as u32))
        };
        let base = pair(&config["base"])?;
        let stride = config["sample_stride"].as_u64().context("sample_stride")? as usize;
        let mut report = Report::default();
        for (index, expected) in config["expect_wh"].as_array().context("expect_wh")?.iter().enumerate() {
            let picture = image::open(self.folder.join(format!("image.{index}.png")))?.to_rgb8();
            let (width, height) = picture.dimensions();
            let picture = Picture::new(width, height, picture.into_raw())?;
            let size = Size::new(base.0, base.1)?.fitted_to(width, height)?;
            let (wide, high) = pair(expected)?;
            let off = (size.width().abs_diff(wide) + size.height().abs_diff(high)).into();
            report.0.push(Line {
                output: format!("size.{index}"),
                error: off,
                tolerance: 0.0,
                measure: "pixels",
            });
            let pixels = sampled(&fit(&picture, size, ImageFit::Stretch), stride);
            report.0.extend(self.report([(&*format!("pixels.{index}"), pixels)])?.0);
        }
        Ok(report)
    }

    fn weights(&self) -> Result<PthFile> {
        Ok(PthFile::open(&self.folder.join("weights.pth"))?)
    }

    fn config<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_value(self.about["config"].clone())?)
    }

    fn attention(&self) -> Result<Attention> {
        let about = &self.about["attention"];
        let number = |name: &str| about[name].as_f64().with_context(|| format!("attention has no {name}"));
        let sparse = || -> Result<(BlockSize, f64)> {
            let blocks = BlockSize { queries: number("blkq")? as usize, keys: number("blkk")? as usize };
            Ok((blocks, number("topk")?))
        };
        match about["kind"].as_str().unwrap_or("original") {
            "original" => Ok(Attention::Dense),
            "sla" => sparse().map(|(blocks, ratio)| Attention::Sla { blocks, ratio }),
            "sagesla" => sparse().map(|(blocks, ratio)| Attention::SageSla { blocks, ratio }),
            other => bail!("unknown attention `{other}`"),
        }
    }

    fn input(&self, name: &str) -> Result<&Array> {
        let found = self.io.iter().find(|(key, _)| key == name);
        Ok(&found.with_context(|| format!("io.safetensors has no `{name}`"))?.1)
    }

    fn report<'a>(&self, outputs: impl IntoIterator<Item = (&'a str, Vec<f32>)>) -> Result<Report> {
        let mut report = Report::default();
        for (name, found) in outputs {
            let expected = &self.input(&format!("expect.{name}"))?.data;
            ensure!(expected.len() == found.len(), "{name}: {} numbers, not {}", found.len(), expected.len());
            let (measure, tolerance) = match self.about["max_abs"].as_f64() {
                Some(bound) => ("max_abs", bound),
                None => ("rel_l2", self.about["rel_l2"].as_f64().context("case.json has no tolerance")?),
            };
            let error =
                if measure == "max_abs" { max_abs(&found, expected) } else { rel_l2(&found, expected) };
            report.0.push(Line { output: name.to_owned(), error, tolerance, measure });
        }
        Ok(report)
    }
}

/// `video` `[B, 3, n, H, W]` as the start of clips of `total` frames.
fn encode(encoder: &Encoder, video: &Array, total: usize, device: &Device) -> Result<Vec<f32>> {
    let mut latents = Vec::new();
    for sample in 0..video.shape[0] {
        let [colours, frames, height, width] = video.shape[1..] else { bail!("video of {:?}", video.shape) };
        let last = swapped(&video.sample(sample).data, colours, frames * height * width);
        let shape = [frames.min(total), height, width, colours];
        let last = last[..shape.iter().product()].to_vec();
        let frames = Tensor::from_f32(last, &shape, device.activations(), device)?;
        latents.extend(encoder.encode(&Clip::new(frames, total)?)?);
    }
    Ok(latents)
}

/// Every `stride`th pixel, colours first, −1 to 1.
fn sampled(picture: &Picture, stride: usize) -> Vec<f32> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut out = Vec::new();
    for colour in 0..3 {
        for row in (0..height).step_by(stride) {
            out.extend(
                (0..width).step_by(stride).map(|column| {
                    f32::from(picture.rgb()[(row * width + column) * 3 + colour]) / 127.5 - 1.0
                }),
            );
        }
    }
    out
}
