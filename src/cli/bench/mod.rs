//! `wanserve bench`: how long each stage of a clip takes on a device, and a whole clip from the prompt to the MP4 on disk.
//! Measures and tells; never judges a number.

mod report;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use self::report::{Report, Row};
use super::generate::{Recorder, accept, write_whole};
use super::models::ModelsFolders;
use crate::domain::linear::LinearCompute;
use crate::domain::picture::Picture;
use crate::domain::request::VideoRequest;
use crate::domain::stage::Timings;
use crate::domain::video::{Operation, VideoSpec};
use crate::engine::memory::Budget;
use crate::engine::models::wan::LinearFormat;
use crate::engine::weights::Model;
use crate::engine::{Measurable, Measurement, Pipeline, Runs, Settings};
use crate::worker::ProcessMemory;

/// Measure a model's stages, and clips from prompt to MP4
#[derive(Debug, clap::Args)]
pub(super) struct BenchArgs {
    /// Model id; synth:<id> for random weights of that shape
    #[arg(long, default_value = "wan-tiny")]
    model: String,
    #[command(flatten)]
    folders: ModelsFolders,
    /// cpu, or cuda:<n> in a build for GPUs
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Sizes such as 832x480, with commas between [default: the model's best]
    #[arg(long, value_name = "WIDTHxHEIGHT", value_delimiter = ',')]
    size: Vec<String>,
    /// Number of frames, 4k + 1
    #[arg(long)]
    frames: Option<i64>,
    /// Sampling steps, 1 to 4
    #[arg(long)]
    steps: Option<i64>,
    /// original, sla or sagesla, with commas between [default: the model's]
    #[arg(long, value_delimiter = ',')]
    attention: Vec<String>,
    /// Share of key blocks that sparse attention keeps
    #[arg(long)]
    topk: Option<f64>,
    /// Number formats of linear layers, bf16, int8 or fp8, with commas between
    #[arg(long, value_delimiter = ',', default_value = "bf16")]
    linear_format: Vec<LinearCompute>,
    /// Device memory that may be taken, in bytes
    #[arg(long)]
    memory_limit: Option<u64>,
    /// Main memory that may keep what left a GPU, in bytes
    #[arg(long)]
    host_memory: Option<u64>,
    /// Stages to measure, with commas between [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    stages: Vec<StageArg>,
    /// Runs before the timed ones
    #[arg(long, default_value_t = 1)]
    warm_ups: usize,
    /// Timed runs
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Also tell the time of each kernel (on a GPU)
    #[arg(long)]
    kernels: bool,
    /// Write everything measured to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A stage, as the command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StageArg {
    Text,
    TextKeys,
    Image,
    Step,
    Sampling,
    Decode,
    /// From the prompt to the file
    Clip,
}

impl StageArg {
    fn measurable(self) -> Option<Measurable> {
        match self {
            Self::Text => Some(Measurable::Text),
            Self::TextKeys => Some(Measurable::TextKeys),
            Self::Image => Some(Measurable::Image),
            Self::Step => Some(Measurable::Step),
            Self::Sampling => Some(Measurable::Sampling),
            Self::Decode => Some(Measurable::Decode),
            Self::Clip => None,
        }
    }

    /// Whether attention changes what it takes.
    fn attends(self) -> bool {
        match self {
            Self::Step | Self::Sampling | Self::Clip => true,
            Self::Text | Self::TextKeys | Self::Image | Self::Decode => false,
        }
    }

    /// Whether the size of the clip changes what it takes.
    fn has_size(self) -> bool {
        !matches!(self, Self::Text | Self::TextKeys)
    }
}

/// What the clips are about; one more word than the last makes each a new prompt.
const PROMPT: &str = "a lighthouse above a stormy sea at dusk, waves break on the rocks";

/// Prints a line as soon as a stage is measured.
pub(super) fn run_bench(args: BenchArgs) -> Result<ExitCode> {
    if args.repeats == 0 {
        bail!("--repeats must be at least 1");
    }
    let device = args.device.parse()?;
    let model = args.folders.library()?.find(&args.model)?;
    let began = Instant::now();
    let first = args.linear_format.first().copied().unwrap_or_default();
    let settings =
        Settings { budget: Budget { limit: args.memory_limit, host: args.host_memory }, linear: first };
    let mut pipeline = Pipeline::open_with(&model, &device, settings)?;
    device.synchronize()?;
    let mut report = Report::new(&model, &device, began.elapsed().as_secs_f64(), args.warm_ups)?;
    let process = args.device.parse().ok().map(ProcessMemory::on);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", report.head())?;
    let stages = if args.stages.is_empty() { StageArg::value_variants() } else { &args.stages };
    for (nth, (linear, size, attention)) in combinations(&args).into_iter().enumerate() {
        pipeline.compute_in(linear);
        let spec = specification(&args, &model, linear, size, attention)?;
        let new_size = report.rows.iter().all(|row| !row.is_of(spec.size));
        for &stage in stages {
            if (nth > 0 && !stage.has_size()) || (!new_size && !stage.attends()) {
                continue;
            }
            let Some(mut row) = measure(&mut pipeline, &args, linear, &spec, stage)? else { continue };
            row.process_bytes = process.as_ref().and_then(ProcessMemory::bytes);
            writeln!(out, "{}", row.line())?;
            row.kernel_lines().try_for_each(|line| writeln!(out, "{line}"))?;
            report.rows.push(row);
        }
    }
    for one in pipeline.take_moves() {
        let (part, kind, seconds) = (one.part.as_str(), one.kind.as_str(), one.seconds);
        writeln!(out, "{kind} {part}: {:.2} GiB, {seconds:.2} s", report::gib(one.bytes))?;
        report.moves.push(one);
    }
    if let Some(path) = &args.json {
        std::fs::write(path, report.json()?).with_context(|| path.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A format, a size and an attention each, in the order of the command line.
fn combinations(args: &BenchArgs) -> Vec<(LinearCompute, Option<&String>, Option<&String>)> {
    let mut all = Vec::new();
    for &linear in &args.linear_format {
        for size in some_or_default(&args.size) {
            all.extend(
                some_or_default(&args.attention).into_iter().map(|attention| (linear, size, attention)),
            );
        }
    }
    all
}

/// `None` stands for what the model does by itself.
fn some_or_default(texts: &[String]) -> Vec<Option<&String>> {
    if texts.is_empty() { vec![None] } else { texts.iter().map(Some).collect() }
}

/// A clip as the rules of the HTTP contract allow it.
fn specification(
    args: &BenchArgs,
    model: &Model,
    linear: LinearCompute,
    size: Option<&String>,
    attention: Option<&String>,
) -> Result<VideoSpec> {
    let request = VideoRequest {
        prompt: Some(PROMPT.to_owned()),
        model: Some(model.id().to_string()),
        size: size.cloned(),
        num_frames: args.frames,
        num_steps: args.steps,
        attention_type: attention.cloned(),
        sla_topk: args.topk,
        quant_linear: Some(linear == LinearCompute::Int8 || stored_as_int8(model)),
        seed: Some(0),
        ..VideoRequest::default()
    };
    // A model that only goes on from a picture gets one of its own best size, which is then brought to the clip's.
    let needs_picture = !model.capabilities().operations.contains(&Operation::TextToVideo);
    let picture = needs_picture.then(|| picture(832, 480)).transpose()?;
    Ok(accept(&request, model, picture.as_ref())?.spec)
}

fn stored_as_int8(model: &Model) -> bool {
    model.architecture().linear_format == LinearFormat::Int8
}

/// Hills of colour: nothing in it is flat, nothing is sharp.
fn picture(width: u32, height: u32) -> Result<Picture> {
    let wave = |at: u32, of: u32, waves: f64| {
        let phase = f64::from(at) / f64::from(of) * waves * std::f64::consts::TAU;
        (127.5 + 127.5 * phase.sin()) as u8
    };
    let pixel = |x, y| [wave(x, width, 2.0), wave(y, height, 3.0), wave(x + y, width + height, 5.0)];
    let rows = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y)));
    Ok(Picture::new(width, height, rows.collect())?)
}

fn measure(
    pipeline: &mut Pipeline,
    args: &BenchArgs,
    linear: LinearCompute,
    spec: &VideoSpec,
    stage: StageArg,
) -> Result<Option<Row>> {
    let first_frame = spec.has_image().then(|| picture(spec.size.width(), spec.size.height())).transpose()?;
    let runs = Runs { warm_ups: args.warm_ups, repeats: args.repeats, by_kernel: args.kernels };
    let Some(measurable) = stage.measurable() else {
        return clips(pipeline, linear, spec, first_frame.as_ref(), runs).map(Some);
    };
    let measured = pipeline.measure(measurable, spec, first_frame.as_ref(), runs)?;
    Ok(measured.map(|measured| Row::new(measurable.as_str(), linear, spec, measured, Vec::new())))
}

/// Whole clips: each reads a prompt that it has not read before and ends with its file on disk.
fn clips(
    pipeline: &mut Pipeline,
    linear: LinearCompute,
    spec: &VideoSpec,
    first_frame: Option<&Picture>,
    runs: Runs,
) -> Result<Row> {
    let folder = tempfile::tempdir()?;
    let predicted = pipeline.predict(spec, first_frame.is_some())?;
    let (mut milliseconds, mut parts): (Vec<f64>, Vec<Timings>) = (Vec::new(), Vec::new());
    pipeline.device().forget_peak();
    for run in 0..runs.warm_ups + runs.repeats {
        let spec = VideoSpec { effective_prompt: format!("{PROMPT} {run}"), ..spec.clone() };
        let began = Instant::now();
        let mut recorder = Recorder::new(&spec, None);
        let generated = pipeline.generate(&spec, first_frame, &mut recorder);
        let muxing = Instant::now();
        let (generated, file) = recorder.finish(generated)?;
        let mut timings = generated.timings;
        write_whole(&folder.path().join(format!("{run}.mp4")), &file)?;
        timings.mux = Some(muxing.elapsed().as_secs_f64());
        if run >= runs.warm_ups {
            milliseconds.push(began.elapsed().as_secs_f64() * 1e3);
            parts.push(timings);
        }
    }
    let pool = pipeline.device().pool()?;
    let measured = Measurement { milliseconds, predicted, pool, kernels: Vec::new() };
    Ok(Row::new("clip", linear, spec, measured, parts))
}
