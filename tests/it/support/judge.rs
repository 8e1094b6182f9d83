//! The judge of wan-tiny's clips, as `models/wan-tiny/training/judge.py` has it: names what a clip shows, from its
//! frames alone. It never sees a prompt.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use kernels::linear::{Epilogue, Linear, linear};
use kernels::{DType, Device, Matrix, Tensor};
use wanserve::domain::picture::Picture;

use crate::goldens::array::{Array, swapped};

/// Rows and columns that the judge sees.
const SIZE: [usize; 2] = [64, 112];
/// It sees every second one of 33 frames.
const EVERY: usize = 2;
const FRAMES: usize = 33;
const NORM_EPS: f32 = 1e-5;
/// Strides in time, rows and columns of its convolutions.
const STRIDES: [[usize; 3]; 5] = [[1, 2, 2], [1, 2, 2], [2, 2, 2], [2, 2, 2], [1, 1, 1]];

/// Field, such as `colour`, to what stands there.
pub(crate) type Opinion = BTreeMap<String, String>;

pub(crate) struct Judge {
    convolutions: Vec<Convolution>,
    fold: Linear,
    /// Field, names of its classes, head.
    heads: Vec<(String, Vec<String>, Linear)>,
}

impl Judge {
    /// From the weights in `folder`; `fields` names the classes of each head.
    pub(crate) fn open(folder: &Path, fields: BTreeMap<String, Vec<String>>) -> Result<Self> {
        let bytes = std::fs::read(folder.join("judge-0.safetensors"))?;
        let file = safetensors::SafeTensors::deserialize(&bytes)?;
        let read = |name: &str| Array::read(&file.tensor(name)?);
        let layer = |name: &str| matrix(&read(&format!("{name}.weight"))?, &read(&format!("{name}.bias"))?);
        let convolutions = STRIDES
            .iter()
            .enumerate()
            .map(|(at, &stride)| Convolution::read(&format!("body.{at}"), stride, read));
        let heads = fields.into_iter().map(|(field, names)| {
            let head = layer(&format!("heads.{field}"))?;
            ensure!(head.outputs() == names.len(), "{field} has {} classes", head.outputs());
            Ok((field, names, head))
        });
        Ok(Self {
            convolutions: convolutions.collect::<Result<_>>()?,
            fold: layer("fold")?,
            heads: heads.collect::<Result<_>>()?,
        })
    }

    pub(crate) fn opinion(&self, clip: &[Picture]) -> Result<Opinion> {
        let logits = self.logits(clip)?;
        let named = self.heads.iter().map(|(field, names, _)| {
            let strongest = logits[field].iter().zip(names).max_by(|a, b| a.0.total_cmp(b.0));
            Ok((field.clone(), strongest.context("no classes")?.1.clone()))
        });
        named.collect()
    }

    pub(crate) fn logits(&self, clip: &[Picture]) -> Result<BTreeMap<String, Vec<f32>>> {
        ensure!(clip.len() == FRAMES, "{} frames, not {FRAMES}", clip.len());
        let seen: Vec<_> = clip.iter().step_by(EVERY).collect();
        let shape = [seen.len(), SIZE[0], SIZE[1], 3];
        let mut x = Volume { shape, data: seen.into_iter().flat_map(shrunk).collect() };
        for convolution in &self.convolutions {
            x = convolution.run(&x)?;
        }
        let [t, h, w, channels] = x.shape;
        let features = swapped(&x.data, t * h * w, channels); // channels first, as the matrix was trained
        let mut hidden = apply(features, &self.fold)?;
        hidden.iter_mut().for_each(silu);
        self.heads.iter().map(|(field, _, head)| Ok((field.clone(), apply(hidden.clone(), head)?))).collect()
    }
}

/// Means over the pixels under each of the judge's, to whole numbers of 255, then to −1..1.
fn shrunk(picture: &Picture) -> Vec<f32> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let span = |at: usize, from: usize, to: usize| at * from / to..((at + 1) * from).div_ceil(to);
    let mut out = Vec::with_capacity(SIZE[0] * SIZE[1] * 3);
    for row in 0..SIZE[0] {
        for column in 0..SIZE[1] {
            let (rows, columns) = (span(row, height, SIZE[0]), span(column, width, SIZE[1]));
            let count = (rows.len() * columns.len()) as f32;
            for colour in 0..3 {
                let byte = |y: usize, x: usize| f32::from(picture.rgb()[(y * width + x) * 3 + colour]);
                let sum: f32 = rows.clone().flat_map(|y| columns.clone().map(move |x| byte(y, x))).sum();
                out.push((sum / count + 0.5).floor() / 127.5 - 1.0);
            }
        }
    }
    out
}

/// `[T, H, W, C]`.
struct Volume {
    shape: [usize; 4],
    data: Vec<f32>,
}

/// A convolution with its batch norm folded in, and SiLU.
struct Convolution {
    kernel: [usize; 3],
    stride: [usize; 3],
    /// Inputs in the order (time, row, column, channel).
    layer: Linear,
}

impl Convolution {
    fn read(name: &str, stride: [usize; 3], read: impl Fn(&str) -> Result<Array>) -> Result<Self> {
        let filter = read(&format!("{name}.0.weight"))?;
        let norm = |part: &str| Ok::<_, anyhow::Error>(read(&format!("{name}.1.{part}"))?.data);
        let (gain, shift, mean, variance) =
            (norm("weight")?, norm("bias")?, norm("running_mean")?, norm("running_var")?);
        let [outputs, inputs, t, h, w] = filter.shape[..] else { anyhow::bail!("{:?}", filter.shape) };
        let (mut weight, mut bias) = (Vec::with_capacity(filter.data.len()), Vec::with_capacity(outputs));
        for (output, taps) in filter.data.chunks(inputs * t * h * w).enumerate() {
            let scale = gain[output] / (variance[output] + NORM_EPS).sqrt();
            weight.extend(swapped(taps, inputs, t * h * w).iter().map(|tap| tap * scale));
            bias.push(shift[output] - mean[output] * scale);
        }
        let weight = Array { shape: vec![outputs, inputs * t * h * w], data: weight };
        let layer = matrix(&weight, &Array { shape: vec![outputs], data: bias })?;
        Ok(Self { kernel: [t, h, w], stride, layer })
    }

    fn run(&self, x: &Volume) -> Result<Volume> {
        let [t, h, w] = [0, 1, 2].map(|axis| (x.shape[axis] - 1) / self.stride[axis] + 1);
        let mut patches = Vec::with_capacity(t * h * w * self.layer.inputs());
        for at in 0..t * h * w {
            self.push_patch(x, [at / (h * w), at / w % h, at % w], &mut patches);
        }
        let mut data = apply(patches, &self.layer)?;
        data.iter_mut().for_each(silu);
        Ok(Volume { shape: [t, h, w, self.layer.outputs()], data })
    }

    /// What the filter sees at `place` of its output: zeros outside.
    fn push_patch(&self, x: &Volume, place: [usize; 3], patches: &mut Vec<f32>) {
        let [_, rows, columns, channels] = x.shape;
        let [t, h, w] = self.kernel;
        for tap in 0..t * h * w {
            let tap = [tap / (h * w), tap / w % h, tap % w];
            let source = [0, 1, 2].map(|axis| {
                let at = (place[axis] * self.stride[axis] + tap[axis]).checked_sub(self.kernel[axis] / 2)?;
                (at < x.shape[axis]).then_some(at)
            });
            match source {
                [Some(frame), Some(row), Some(column)] => {
                    let start = ((frame * rows + row) * columns + column) * channels;
                    patches.extend_from_slice(&x.data[start..start + channels]);
                }
                _ => patches.resize(patches.len() + channels, 0.0),
            }
        }
    }
}

fn silu(x: &mut f32) {
    *x /= 1.0 + (-*x).exp();
}

fn matrix(weight: &Array, bias: &Array) -> Result<Linear> {
    let upload = |array: &Array| array.upload(DType::F32, &Device::Cpu);
    Ok(Linear::new(Matrix::Plain(upload(weight)?), Some(upload(bias)?))?)
}

/// `rows` of the layer's inputs, one after another, to rows of its outputs.
fn apply(rows: Vec<f32>, layer: &Linear) -> Result<Vec<f32>> {
    let shape = [rows.len() / layer.inputs(), layer.inputs()];
    let x = Tensor::from_f32(rows, &shape, DType::F32, &Device::Cpu)?;
    Ok(linear(&x, layer, Epilogue::None)?.to_f32()?)
}
