//! The bundled model's clips by a GPU beside the CPU's, frames before H.264. Needs the repository's `models/` in the folder it
//! runs in; without it says so and passes.

use std::error::Error;
use std::path::Path;

use kernels::Device;
use wanserve::domain::picture::{Frame, Picture};
use wanserve::domain::size::{Resolution, Size};
use wanserve::domain::stage::Stage;
use wanserve::domain::video::{AttentionType, FrameCount, Operation, StepCount, VideoSpec};
use wanserve::engine::weights::Model;
use wanserve::engine::{Listener, Pipeline, Stop};

use super::{gpu, say};

const FOLDER: &str = "models/wan-tiny";
/// dB between the two devices' frames: what a viewer takes for the same video.
const LEAST: f64 = 35.0;
const PROMPTS: [&str; 3] = [
    "in the dark night, a purple hot air balloon in a green meadow that rises",
    "at sea, a bright pink balloon bounces up and down, in daylight, with snowflakes falling",
    "一只蓝色的鸟在雪地上向右移动,正在下雪",
];

#[test]
fn dense_clips_are_the_cpus() {
    let Some((_, device)) = gpu() else { return };
    if !Path::new(FOLDER).exists() {
        return eprintln!("| skipped: no {FOLDER} here | |");
    }
    let model = Model::in_folder(Path::new(FOLDER)).unwrap();
    let mut pipelines = [&Device::Cpu, &device].map(|device| Pipeline::open(&model, device).unwrap());
    for (seed, prompt) in PROMPTS.into_iter().enumerate() {
        let [there, here] = pipelines.each_mut().map(|pipeline| clip(pipeline, prompt, seed as u32).unwrap());
        assert_eq!((there.len(), here.len()), (17, 17));
        let decibels = psnr(&there, &here);
        say(&format!("clip {seed}, dense: {decibels:.1} dB to the CPU's"), 0.0);
        assert!(decibels >= LEAST, "{prompt}: {decibels:.1} dB");
    }
}

fn clip(pipeline: &mut Pipeline, prompt: &str, seed: u32) -> Result<Vec<Picture>, Box<dyn Error>> {
    let spec = VideoSpec {
        model: pipeline.model().id().clone(),
        operation: Operation::TextToVideo,
        prompt: prompt.to_owned(),
        effective_prompt: prompt.to_owned(),
        size: Size::new(224, 128)?,
        resolution: Resolution::P128,
        aspect_ratio: None,
        frames: FrameCount::new(17)?,
        steps: StepCount::new(4)?,
        seed,
        sigma_max: 80.0,
        ode: false,
        boundary: None,
        adaptive_resolution: None,
        image_fit: None,
        attention: AttentionType::Original,
        sla_topk: None,
        quant_linear: false,
        normalize_prompt: false,
    };
    let mut pictures = Pictures(Vec::new());
    pipeline.generate(&spec, None, &mut pictures)?;
    Ok(pictures.0)
}

/// 10·log₁₀(255² / mean square), over all frames.
fn psnr(these: &[Picture], those: &[Picture]) -> f64 {
    let both = these.iter().zip(those).flat_map(|(this, that)| this.rgb().iter().zip(that.rgb()));
    let squares = both.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
    let (sum, count) = squares.fold((0.0, 0.0), |(sum, count), square| (sum + square, count + 1.0));
    10.0 * (255.0f64.powi(2) / (sum / count).max(f64::MIN_POSITIVE)).log10()
}

/// Keeps every frame.
struct Pictures(Vec<Picture>);

impl Listener for Pictures {
    fn stage(&mut self, _: Stage) {}
    fn step(&mut self, _: u32, _: u32) {}
    fn wants_picture(&self, _: u32) -> bool {
        true
    }
    fn frames(&mut self, frames: Vec<Frame>) -> Result<(), Stop> {
        self.0.extend(frames.into_iter().filter_map(|frame| frame.picture));
        Ok(())
    }
    fn cancelled(&self) -> bool {
        false
    }
}
