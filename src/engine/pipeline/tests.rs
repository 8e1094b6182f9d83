//! A clip through the small synthetic model, told in order; models that share a device; memory that is too small.

use super::super::memory::{Budget, ClipShape, Workload, least};
use super::*;
use crate::domain::linear::LinearCompute;
use crate::domain::memory::MoveKind;
use crate::domain::model::ModelId;
use crate::domain::picture::{Frame, Planes};
use crate::domain::size::{Resolution, Size};
use crate::domain::video::{FrameCount, StepCount};
use crate::engine::listener::Stop;
use crate::engine::measure::{Measurable, Runs};

/// Takes down what it is told, and cancels after a number of steps.
#[derive(Default)]
struct Notes {
    stages: Vec<Stage>,
    steps: Vec<(u32, u32)>,
    frames: Vec<Picture>,
    planes: Vec<Planes>,
    /// The frames that come as pictures; all without.
    wanted: Option<Vec<u32>>,
    cancel_after: Option<usize>,
    stop: bool,
}

impl Listener for Notes {
    fn stage(&mut self, stage: Stage) {
        self.stages.push(stage);
    }
    fn step(&mut self, done: u32, of: u32) {
        self.steps.push((done, of));
    }
    fn wants_picture(&self, frame: u32) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&frame))
    }
    fn frames(&mut self, frames: Vec<Frame>) -> Result<(), Stop> {
        for Frame { planes, picture } in frames {
            self.planes.push(planes);
            self.frames.extend(picture);
        }
        if self.stop { Err(Stop) } else { Ok(()) }
    }
    fn cancelled(&self) -> bool {
        self.cancel_after.is_some_and(|steps| self.steps.len() >= steps)
    }
}

fn spec() -> VideoSpec {
    VideoSpec {
        model: ModelId::new("synth:wan-tiny"),
        operation: Operation::TextToVideo,
        prompt: "a red boat".into(),
        effective_prompt: "a red boat".into(),
        size: Size::new(48, 32).unwrap(),
        resolution: Resolution::P128,
        aspect_ratio: None,
        frames: FrameCount::new(9).unwrap(),
        steps: StepCount::new(2).unwrap(),
        seed: 7,
        sigma_max: 80.0,
        ode: false,
        boundary: None,
        adaptive_resolution: None,
        image_fit: None,
        attention: AttentionType::Sla,
        sla_topk: Some(0.5),
        quant_linear: false,
        normalize_prompt: false,
    }
}

fn open() -> Pipeline {
    Pipeline::open(&Model::synthetic("wan-tiny").unwrap(), &Device::Cpu).unwrap()
}

fn frames(pipeline: &mut Pipeline, spec: &VideoSpec, picture: Option<&Picture>) -> Vec<Picture> {
    let mut notes = Notes::default();
    let made = pipeline.generate(spec, picture, &mut notes).unwrap();
    assert_eq!(made.frames as usize, notes.frames.len());
    notes.frames
}

#[test]
fn wanted_frames_come_as_pictures_and_every_frame_as_planes() {
    let (mut all, mut few) = (Notes::default(), Notes { wanted: Some(vec![0, 5]), ..Notes::default() });
    for notes in [&mut all, &mut few] {
        open().generate(&spec(), None, notes).unwrap();
    }
    assert!(few.frames == [all.frames[0].clone(), all.frames[5].clone()]);
    assert!(few.planes == all.planes && all.planes.len() == all.frames.len());
}

#[test]
fn a_clip_is_told_in_order_and_repeats() {
    let mut pipeline = open();
    let mut notes = Notes::default();
    let made = pipeline.generate(&spec(), None, &mut notes).unwrap();
    assert_eq!(notes.stages, [Stage::EncodingText, Stage::Denoising, Stage::Decoding]);
    assert_eq!(notes.steps, [(1, 2), (2, 2)]);
    assert_eq!((made.frames, notes.frames.len()), (9, 9));
    assert!(made.prompt_tokens > 1 && made.timings.denoise.is_some() && made.timings.decode.is_some());

    assert!(frames(&mut pipeline, &spec(), None) == notes.frames, "the same specification, other frames");
    let other_seed = VideoSpec { seed: 8, ..spec() };
    assert!(frames(&mut pipeline, &other_seed, None) != notes.frames, "another seed, the same frames");
    let int8 = VideoSpec { quant_linear: true, ..spec() };
    assert!(frames(&mut pipeline, &int8, None) != notes.frames, "int8 changed nothing");
}

#[test]
fn a_first_frame_changes_the_clip_and_must_fit() {
    let mut pipeline = open();
    let picture = Picture::new(48, 32, vec![200; 48 * 32 * 3]).unwrap();
    let plain = frames(&mut pipeline, &spec(), None);
    assert!(frames(&mut pipeline, &spec(), Some(&picture)) != plain);
    let small = Picture::new(32, 32, vec![200; 32 * 32 * 3]).unwrap();
    let refused = pipeline.generate(&spec(), Some(&small), &mut Notes::default());
    assert!(matches!(refused, Err(EngineError::Request(_))));
}

#[test]
fn cancelling_and_stopping_end_the_clip() {
    let mut pipeline = open();
    let mut notes = Notes { cancel_after: Some(1), ..Notes::default() };
    let cancelled = pipeline.generate(&spec(), None, &mut notes);
    assert!(matches!(cancelled, Err(EngineError::Cancelled)));
    assert_eq!(notes.steps, [(1, 2)]);
    let mut notes = Notes { stop: true, ..Notes::default() };
    assert!(matches!(pipeline.generate(&spec(), None, &mut notes), Err(EngineError::Cancelled)));
    assert_eq!(notes.stages.last(), Some(&Stage::Decoding));
}

#[test]
fn models_share_what_is_equal_and_stay_while_they_fit() {
    let (first, second) = (Model::synthetic("wan-tiny").unwrap(), Model::synthetic("wan-tiny-int8").unwrap());
    let mut pipeline = Pipeline::open(&first, &Device::Cpu).unwrap();
    let loads = |moves: &[Move]| -> Vec<PartKind> {
        moves.iter().filter(|one| one.kind == MoveKind::Load).map(|one| one.part).collect()
    };
    use PartKind::{Decoder, Encoder, TextEncoder, Transformer};
    assert_eq!(loads(&pipeline.take_moves()), [TextEncoder, Encoder, Transformer, Decoder]);
    let plain = frames(&mut pipeline, &spec(), None);
    assert_eq!(pipeline.bytes_of_others(&spec()), 0);
    pipeline.turn_to(&second).unwrap();
    assert!(pipeline.holds(&first) && pipeline.holds(&second));
    assert!(pipeline.bytes_of_others(&spec()) > 0, "the first model's transformer");
    assert_eq!(loads(&pipeline.take_moves()), [Transformer], "the rest is shared");
    assert!(frames(&mut pipeline, &spec(), None) != plain);
    pipeline.turn_to(&first).unwrap();
    assert!(frames(&mut pipeline, &spec(), None) == plain, "a model that comes back makes other frames");
    assert_eq!(pipeline.take_moves(), [], "nothing was loaded twice");
}

#[test]
fn a_model_that_is_let_go_leaves_what_others_share_and_comes_back() {
    let (first, second) = (Model::synthetic("wan-tiny").unwrap(), Model::synthetic("wan-tiny-int8").unwrap());
    let mut pipeline = Pipeline::open(&first, &Device::Cpu).unwrap();
    let plain = frames(&mut pipeline, &spec(), None);
    let quantised = VideoSpec { quant_linear: true, ..spec() };
    frames(&mut pipeline, &quantised, None);
    pipeline.turn_to(&second).unwrap();
    pipeline.take_moves();
    let gone = |pipeline: &mut Pipeline| -> Vec<PartKind> {
        let moves = pipeline.take_moves();
        moves.iter().filter(|one| one.kind == MoveKind::Evict).map(|one| one.part).collect()
    };
    use PartKind::{Decoder, Encoder, TextEncoder, Transformer};
    pipeline.let_go(&first, &[&second]).unwrap();
    assert_eq!(gone(&mut pipeline), [Transformer, Transformer], "in both formats, and nothing else");
    assert!(!pipeline.holds(&first) && pipeline.holds(&second));
    pipeline.let_go(&second, &[]).unwrap();
    let mut rest = gone(&mut pipeline);
    rest.sort();
    assert_eq!(rest, [TextEncoder, Encoder, Transformer, Decoder]);
    pipeline.turn_to(&first).unwrap();
    assert!(frames(&mut pipeline, &spec(), None) == plain);
}

/// What a clip of the small model needs, with a picture or without.
fn stages_on_the_cpu(shape: ClipShape, image: bool) -> Vec<StageNeed> {
    let workload = Workload {
        shape,
        text: true,
        image,
        attention: AttentionType::Sla,
        linear: LinearCompute::Bf16,
        stores_gelu_in_int8: false,
        element: 4,
    };
    workload.stages(&Model::synthetic("wan-tiny").unwrap())
}

#[test]
fn with_less_memory_parts_take_turns_and_the_frames_stay() {
    let model = Model::synthetic("wan-tiny").unwrap();
    let plain = frames(&mut open(), &spec(), None);
    let stages = stages_on_the_cpu(ClipShape { frames: 3, height: 4, width: 6 }, false);
    let small =
        Settings { budget: Budget { limit: Some(least(&stages)), host: None }, ..Settings::default() };
    let mut pipeline = Pipeline::open_with(&model, &Device::Cpu, small).unwrap();
    assert!(frames(&mut pipeline, &spec(), None) == plain);
    let moves = pipeline.take_moves();
    assert!(moves.iter().any(|one| one.kind == MoveKind::Evict), "{moves:?}");
    let too_small = Settings { budget: Budget { limit: Some(least(&stages) - 1), host: None }, ..small };
    let mut pipeline = Pipeline::open_with(&model, &Device::Cpu, too_small).unwrap();
    let refused = pipeline.generate(&spec(), None, &mut Notes::default());
    assert!(matches!(refused, Err(EngineError::TooLarge(_))));
}

#[test]
fn a_measured_step_makes_room_for_its_picture_as_a_clip_does() {
    let model = Model::synthetic("wan-tiny").unwrap();
    let spec = VideoSpec {
        operation: Operation::ImageToVideo,
        size: Size::new(224, 128).unwrap(),
        frames: FrameCount::new(17).unwrap(),
        ..spec()
    };
    let stages = stages_on_the_cpu(ClipShape { frames: 5, height: 16, width: 28 }, true);
    let [text, encoder] = [&stages[0].parts[0], &stages[1].parts[0]];
    let limit = text.bytes + encoder.bytes + stages[1].work - 1;
    assert!(limit >= least(&stages) && encoder.key.kind == PartKind::Encoder);
    let budget = Budget { limit: Some(limit), host: None };
    let mut pipeline =
        Pipeline::open_with(&model, &Device::Cpu, Settings { budget, ..Settings::default() }).unwrap();
    let picture = Picture::new(224, 128, vec![90; 224 * 128 * 3]).unwrap();
    let once = Runs { warm_ups: 0, repeats: 1, by_kernel: false };
    pipeline.measure(Measurable::Step, &spec, Some(&picture), once).unwrap();
    let left = |one: &Move| (one.kind, one.part) == (MoveKind::TextEncoderLeaves, PartKind::Encoder);
    let moves = pipeline.take_moves();
    assert!(moves.iter().any(left), "{moves:?}");
}

#[test]
fn fp8_layers_are_a_choice_of_the_deployment() {
    let model = Model::synthetic("wan-tiny").unwrap();
    let settings = Settings { linear: LinearCompute::Fp8, ..Settings::default() };
    let mut pipeline = Pipeline::open_with(&model, &Device::Cpu, settings).unwrap();
    let fp8 = frames(&mut pipeline, &spec(), None);
    assert!(fp8 != frames(&mut open(), &spec(), None));
    let int8 = VideoSpec { quant_linear: true, ..spec() };
    assert!(frames(&mut pipeline, &int8, None) == frames(&mut open(), &int8, None));
}

#[test]
fn a_clip_after_a_rest_is_the_same_and_nothing_is_loaded_for_it() {
    let mut pipeline = open();
    let before = frames(&mut pipeline, &spec(), None);
    pipeline.take_moves();
    pipeline.rest().unwrap();
    assert!(frames(&mut pipeline, &spec(), None) == before);
    assert_eq!(pipeline.take_moves(), []);
}

/// On a GPU, or on an emulated one. Without either it says so and passes.
#[cfg(feature = "cuda")]
#[test]
fn at_rest_a_gpu_holds_networks_alone_whatever_the_clips_were() {
    let Ok(device) = "cuda:0".parse::<Device>() else { return eprintln!("skipped: no GPU") };
    let mut pipeline = Pipeline::open(&Model::synthetic("wan-tiny").unwrap(), &device).unwrap();
    let pool = || device.pool().unwrap().unwrap();
    pipeline.rest().unwrap();
    let networks = pool();
    let dense = VideoSpec { attention: AttentionType::Original, sla_topk: None, ..spec() };
    let longer = VideoSpec { frames: FrameCount::new(17).unwrap(), ..spec() };
    let larger = VideoSpec { size: Size::new(96, 64).unwrap(), ..spec() };
    for (nth, spec) in [spec(), dense, longer, larger].into_iter().cycle().take(10).enumerate() {
        let clip = VideoSpec { effective_prompt: format!("boat {nth}"), ..spec };
        frames(&mut pipeline, &clip, None);
        assert!(pool().reserved > networks.reserved);
        if nth % 3 == 0 {
            pipeline.rest().unwrap();
            assert_eq!((pool().used, pool().reserved), (networks.used, networks.reserved), "clip {nth}");
            let again = frames(&mut pipeline, &clip, None);
            assert!(again == frames(&mut pipeline, &clip, None), "the text that was away reads the same");
        }
    }
}

/// On a GPU, or on an emulated one. Without either it says so and passes.
#[cfg(feature = "cuda")]
#[test]
fn a_model_that_leaves_a_gpu_gives_back_what_it_took() {
    let Ok(device) = "cuda:0".parse::<Device>() else { return eprintln!("skipped: no GPU") };
    let model = Model::synthetic("wan-tiny").unwrap();
    let reserved = || device.pool().unwrap().unwrap().reserved;
    let before = reserved();
    let mut pipeline = Pipeline::open(&model, &device).unwrap();
    let plain = frames(&mut pipeline, &spec(), None);
    assert!(reserved() > before);
    pipeline.let_go(&model, &[]).unwrap();
    assert_eq!(reserved(), before);
    pipeline.turn_to(&model).unwrap();
    assert!(frames(&mut pipeline, &spec(), None) == plain);
}

/// On a GPU, or on an emulated one. Without either it says so and passes.
#[cfg(feature = "cuda")]
#[test]
fn what_leaves_a_gpu_waits_on_the_host_and_makes_the_same_frames_again() {
    let Ok(device) = "cuda:0".parse::<Device>() else { return eprintln!("skipped: no GPU") };
    let model = Model::synthetic("wan-tiny").unwrap();
    let open =
        |budget| Pipeline::open_with(&model, &device, Settings { budget, ..Settings::default() }).unwrap();
    let int8 = VideoSpec { quant_linear: true, ..spec() };
    let mut roomy = open(Budget::default());
    let expected = [frames(&mut roomy, &spec(), None), frames(&mut roomy, &int8, None)];
    drop(roomy);
    device.trim().unwrap();

    // Room for one transformer beside the rest, in whichever format; networks this small fill few pages.
    const SLACK: u64 = 2 << 20;
    let course = Course::plan(
        &model,
        &spec(),
        &Needs { text: true, image: false, experts: vec![Expert::High] },
        Settings::default(),
        &Residents::new(&device, 0),
        &device,
    );
    let limit = crate::engine::memory::CONTEXT_BYTES + course.unwrap().bytes(None) * 21 / 20 + SLACK;
    let mut tight = open(Budget { limit: Some(limit), host: Some(1 << 30) });
    // What is planned is looked at here; of networks this small the pages' ends would be most.
    device.limit_memory(None);
    for _ in 0..3 {
        assert!(frames(&mut tight, &spec(), None) == expected[0]);
        assert!(frames(&mut tight, &int8, None) == expected[1]);
    }
    let moves = tight.take_moves();
    let count = |kind| moves.iter().filter(|one| one.kind == kind).count();
    assert!(count(MoveKind::ToHost) > 2 && count(MoveKind::FromHost) > 2, "{moves:?}");
    assert_eq!(count(MoveKind::Evict), 0, "{moves:?}");
    // Nothing is kept where there is no room for it.
    drop(tight);
    let mut alone = open(Budget { limit: Some(limit), host: Some(0) });
    device.limit_memory(None);
    assert!(frames(&mut alone, &int8, None) == expected[1]);
    let moves = alone.take_moves();
    assert!(moves.iter().any(|one| one.kind == MoveKind::Evict), "{moves:?}");
    assert!(moves.iter().all(|one| one.kind != MoveKind::ToHost), "{moves:?}");
}
