//! `wanserve generate`: one clip, without a server. The file appears when it is whole.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::catalog::deployed_model;
use super::models::ModelsFolders;
use crate::domain::linear::LinearCompute;
use crate::domain::picture::{Frame, Picture};
use crate::domain::request::{self, Accepted, ModelCatalog, SourceImage, VideoRequest};
use crate::domain::stage::Stage;
use crate::domain::video::{ImageFit, VideoSpec};
use crate::domain::warning::Warning;
use crate::engine::image::fit;
use crate::engine::weights::Model;
use crate::engine::{EngineError, Generated, Listener, Pipeline, Stop};
use crate::media::{EncodeError, Mp4Encoder, decode_picture};

/// Make one clip and write it as MP4
#[derive(Debug, clap::Args)]
pub(super) struct GenerateArgs {
    /// What is to be seen
    prompt: String,
    /// File to write
    #[arg(short, long, value_name = "FILE", default_value = "out.mp4")]
    output: PathBuf,
    /// First frame (JPEG, PNG or WebP)
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Model id; synth:<id> for random weights of that shape
    #[arg(long, default_value = "wan-tiny")]
    model: String,
    #[command(flatten)]
    folders: ModelsFolders,
    /// cpu, or cuda:<n> in a build for GPUs
    #[arg(long, default_value = "cpu")]
    device: String,
    /// The same seed gives the same clip [default: a random one, which is printed]
    #[arg(long)]
    seed: Option<u32>,
    /// Sampling steps, 1 to 4
    #[arg(long)]
    steps: Option<i64>,
    /// Such as 224x128; a size of the model
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    size: Option<String>,
    /// Such as 480p
    #[arg(long)]
    resolution: Option<String>,
    /// Such as 16:9
    #[arg(long)]
    aspect_ratio: Option<String>,
    /// Number of frames, 4k + 1
    #[arg(long, conflicts_with = "seconds")]
    frames: Option<i64>,
    /// Length of the clip
    #[arg(long)]
    seconds: Option<String>,
    /// Size of about the resolution's area in the picture's shape (true) or the named size (false)
    #[arg(long)]
    adaptive_resolution: Option<bool>,
    /// How a picture is brought to a named size: crop, pad or stretch
    #[arg(long)]
    image_fit: Option<String>,
    /// original, sla or sagesla
    #[arg(long)]
    attention: Option<String>,
    /// Share of key blocks that sparse attention keeps
    #[arg(long)]
    topk: Option<f64>,
    /// Noise level of the first step
    #[arg(long)]
    sigma_max: Option<f64>,
    /// Deterministic (true) or stochastic (false) sampling
    #[arg(long)]
    ode: Option<bool>,
    /// Noise level at which the low-noise expert takes over
    #[arg(long)]
    boundary: Option<f64>,
    /// int8 linear layers (true) or plain ones (false)
    #[arg(long)]
    int8: Option<bool>,
}

/// Shows progress on standard error, the finished file's name on standard output.
pub(super) fn run_generate(args: GenerateArgs) -> Result<ExitCode> {
    let device = args.device.parse()?;
    let model = args.folders.library()?.find(&args.model)?;
    let picture = args.image.as_deref().map(read_picture).transpose()?;
    let accepted = accept(&typed(&args, &model), &model, picture.as_ref())?;
    let spec = &accepted.spec;
    let first_frame =
        picture.map(|picture| fit(&picture, spec.size, spec.image_fit.unwrap_or(ImageFit::Stretch)));
    let tokens = model.tokenizer()?.encode(&spec.effective_prompt)?.all_tokens as u32;
    let length = Warning::of_prompt_length(tokens, model.capabilities().max_prompt_tokens);
    for warning in accepted.warnings.iter().chain(&length) {
        writeln!(std::io::stderr(), "note: {}", warning.message)?;
    }

    let began = Instant::now();
    let mut screen = Screen::new();
    screen.stage(Stage::LoadingModel);
    let mut pipeline = Pipeline::open(&model, &device)?;
    let mut recorder = Recorder::new(spec, Some(screen));
    let generated = pipeline.generate(spec, first_frame.as_ref(), &mut recorder);
    let (generated, file) = recorder.finish(generated)?;
    write_whole(&args.output, &file)?;
    writeln!(
        std::io::stderr(),
        "{} frames of {} in {:.1} s, seed {}, {} tokens",
        generated.frames,
        spec.size,
        began.elapsed().as_secs_f64(),
        spec.seed,
        generated.prompt_tokens
    )?;
    writeln!(std::io::stdout(), "{}", args.output.display())?;
    Ok(ExitCode::SUCCESS)
}

fn read_picture(path: &Path) -> Result<Picture> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    decode_picture(&bytes).with_context(|| path.display().to_string())
}

/// Judges a request by the rules of the HTTP contract, with this one model.
pub(super) fn accept(request: &VideoRequest, model: &Model, picture: Option<&Picture>) -> Result<Accepted> {
    let mut deployed = deployed_model(model, LinearCompute::Bf16);
    if !deployed.quant_linear.contains(&true) {
        deployed.quant_linear.push(true); // plain layers are quantised while loading
    }
    let catalog = ModelCatalog::new(vec![deployed], false);
    let context = request::Context {
        catalog: &catalog,
        with_image: picture.is_some(),
        fresh_seed: rand::random(),
        callbacks: false,
    };
    let sides = picture.map(|picture| SourceImage { width: picture.width(), height: picture.height() });
    let accepted = request::check(request, &context).and_then(|checked| checked.with(sides));
    accepted.map_err(|fault| anyhow::anyhow!("{fault}"))
}

fn typed(args: &GenerateArgs, model: &Model) -> VideoRequest {
    VideoRequest {
        prompt: Some(args.prompt.clone()),
        model: Some(model.id().to_string()),
        size: args.size.clone(),
        resolution: args.resolution.clone(),
        aspect_ratio: args.aspect_ratio.clone(),
        adaptive_resolution: args.adaptive_resolution,
        image_fit: args.image_fit.clone(),
        seconds: args.seconds.clone(),
        num_frames: args.frames,
        num_steps: args.steps,
        seed: args.seed.map(i64::from),
        sigma_max: args.sigma_max,
        ode: args.ode,
        boundary: args.boundary,
        attention_type: args.attention.clone(),
        sla_topk: args.topk,
        quant_linear: args.int8,
        ..VideoRequest::default()
    }
}

/// Writes beside the file and renames: nobody sees half a clip.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(world_readable())
        .tempfile_in(folder)
        .with_context(|| format!("writing to {}", folder.display()))?;
    file.write_all(bytes)?;
    file.persist(path).with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}

/// As any program's files, less what the user's mask takes away.
fn world_readable() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o666)
}

/// Passes frames to the encoder and progress to the screen.
pub(super) struct Recorder {
    screen: Option<Screen>,
    encoder: Mp4Encoder,
    /// Why the encoder takes no more frames.
    failed: Option<EncodeError>,
    decoded: u32,
    frames: u32,
}

impl Recorder {
    /// A recorder of one clip.
    pub(super) fn new(spec: &VideoSpec, screen: Option<Screen>) -> Self {
        let encoder = Mp4Encoder::new(spec.size, spec.frames);
        Self { screen, encoder, failed: None, decoded: 0, frames: spec.frames.get() }
    }

    /// What the engine said, and the whole file.
    pub(super) fn finish(
        mut self,
        generated: Result<Generated, EngineError>,
    ) -> Result<(Generated, Vec<u8>)> {
        if let Some(error) = self.failed {
            bail!(error);
        }
        let generated = generated?;
        if let Some(screen) = &mut self.screen {
            screen.stage(Stage::Muxing);
        }
        let file = self.encoder.finish()?;
        if let Some(screen) = &mut self.screen {
            screen.end();
        }
        Ok((generated, file))
    }

    fn part(&mut self, stage: Stage, done: u32, of: u32) {
        if let Some(screen) = &mut self.screen {
            screen.part(stage, done, of);
        }
    }
}

impl Listener for Recorder {
    fn stage(&mut self, stage: Stage) {
        self.part(stage, 0, 0);
    }

    fn step(&mut self, done: u32, of: u32) {
        self.part(Stage::Denoising, done, of);
    }

    fn wants_picture(&self, _: u32) -> bool {
        false
    }

    fn frames(&mut self, frames: Vec<Frame>) -> Result<(), Stop> {
        self.decoded += frames.len() as u32;
        for frame in frames {
            if let Err(error) = self.encoder.push(frame.planes) {
                self.failed = Some(error);
                return Err(Stop);
            }
        }
        self.part(Stage::Decoding, self.decoded, self.frames);
        Ok(())
    }

    fn cancelled(&self) -> bool {
        false
    }
}

/// A bar on a terminal; elsewhere a line a stage.
pub(super) struct Screen {
    bar: Option<ProgressBar>,
}

/// The clock beside the bar moves this often.
const TICK: Duration = Duration::from_millis(200);

impl Screen {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { bar: None };
        }
        let style = ProgressStyle::with_template("{elapsed_precise} {bar:40} {percent:>3} % {msg}");
        let bar = ProgressBar::new(100).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(TICK);
        Self { bar: Some(bar) }
    }

    fn stage(&mut self, stage: Stage) {
        self.part(stage, 0, 0);
    }

    fn part(&mut self, stage: Stage, done: u32, of: u32) {
        let parts = if of == 0 { String::new() } else { format!(" {done}/{of}") };
        let name = stage.as_str().replace('_', " ");
        match &self.bar {
            Some(bar) => {
                bar.set_position(stage.percent(done, of).unwrap_or(0).into());
                bar.set_message(format!("{name}{parts}"));
            }
            // A line that cannot be written is no reason to stop.
            None if done == 0 => drop(writeln!(std::io::stderr(), "{name}")),
            None => {}
        }
    }

    fn end(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
