//! The contract's parameter rules as a table: what is typed, and what becomes of it.

use super::*;
use crate::domain::model::{Capabilities, ModelId};
use crate::domain::size::{AspectRatio, Resolution};
use crate::domain::video::{AttentionType, Operation};
use crate::domain::warning::WarningCode;

fn capabilities(operations: &[Operation], resolutions: &[Resolution], best: Resolution) -> Capabilities {
    Capabilities {
        operations: operations.to_vec(),
        best_resolution: best,
        resolutions: resolutions.to_vec(),
        aspect_ratios: AspectRatio::ALL.to_vec(),
        default_num_steps: 4,
        default_num_frames: 81,
        min_frames: 17,
        max_frames: 81,
        seconds: ["1", "2", "3", "4", "5"].map(str::to_owned).to_vec(),
        default_seconds: "5".to_owned(),
        attention_types: vec![AttentionType::Sla, AttentionType::SageSla],
        default_attention_type: AttentionType::SageSla,
        default_sla_topk: 0.1,
        default_sigma_max: 80.0,
        default_image_sigma_max: 200.0,
        prompt_languages: vec!["en".to_owned()],
        max_prompt_tokens: 512,
        experts: 1,
        ode: true,
    }
}

fn model(id: &str, capabilities: Capabilities) -> DeployedModel {
    DeployedModel {
        id: ModelId::new(id),
        capabilities,
        quant_linear: vec![false],
        created: 0,
        owned_by: "test".to_owned(),
    }
}

fn tiny() -> DeployedModel {
    let both = [Operation::TextToVideo, Operation::ImageToVideo];
    let base = capabilities(&both, &[Resolution::P128], Resolution::P128);
    let seconds = ["1", "2"].map(str::to_owned).to_vec();
    let small = Capabilities { default_num_frames: 33, max_frames: 33, seconds, ..base };
    model("wan-tiny", small)
}

fn published() -> ModelCatalog {
    let rows = [Resolution::P480, Resolution::P720];
    let text = |best| capabilities(&[Operation::TextToVideo], &rows, best);
    let image =
        Capabilities { experts: 2, ..capabilities(&[Operation::ImageToVideo], &rows, Resolution::P720) };
    let models = vec![
        model("turbowan2.1-t2v-1.3b-480p", text(Resolution::P480)),
        model("turbowan2.1-t2v-14b-480p", text(Resolution::P480)),
        model("turbowan2.1-t2v-14b-720p", text(Resolution::P720)),
        model("turbowan2.2-i2v-a14b-720p", image),
    ];
    ModelCatalog::new(models, true)
}

fn judge(
    catalog: &ModelCatalog,
    image: Option<(u32, u32)>,
    request: &VideoRequest,
) -> Result<Accepted, BadRequest> {
    let image = image.map(|(width, height)| SourceImage { width, height });
    check(request, &Context { catalog, with_image: image.is_some(), fresh_seed: 137, callbacks: false })?
        .with(image)
}

fn asking(change: impl FnOnce(&mut VideoRequest)) -> VideoRequest {
    let prompt = Some("A red ball rolls over the green grass today".to_owned());
    let mut request = VideoRequest { prompt, ..VideoRequest::default() };
    change(&mut request);
    request
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[test]
fn an_empty_request_gets_the_models_defaults() {
    let accepted = judge(&published(), None, &asking(|_| ())).unwrap();
    let spec = &accepted.spec;
    assert_eq!(spec.model.as_str(), "turbowan2.1-t2v-1.3b-480p");
    assert_eq!((spec.size.to_string().as_str(), spec.frames.get(), spec.steps.get()), ("832x480", 81, 4));
    assert_eq!((spec.seed, spec.sigma_max, spec.ode, spec.boundary), (137, 80.0, false, None));
    assert_eq!((spec.adaptive_resolution, spec.image_fit, spec.sla_topk), (None, None, Some(0.1)));
    assert!(accepted.warnings.is_empty() && !spec.has_image());

    let accepted = judge(&published(), Some((1080, 1350)), &asking(|_| ())).unwrap();
    let spec = &accepted.spec;
    assert_eq!(spec.model.as_str(), "turbowan2.2-i2v-a14b-720p");
    assert_eq!((spec.size.to_string().as_str(), spec.aspect_ratio), ("864x1072", None));
    assert_eq!((spec.sigma_max, spec.ode, spec.boundary), (200.0, true, Some(0.9)));
    assert_eq!((spec.adaptive_resolution, spec.image_fit), (Some(true), None));
}

#[test]
fn names_mean_what_the_contract_says() {
    for (name, resolution, image, expected) in [
        ("AUTO", None, false, "turbowan2.1-t2v-1.3b-480p"),
        ("sora-2-2025-10-06", None, false, "turbowan2.1-t2v-1.3b-480p"),
        ("sora-2-pro", None, false, "turbowan2.1-t2v-14b-720p"),
        ("pro", Some("480p"), false, "turbowan2.1-t2v-14b-480p"),
        ("wan2.1-14b", Some("480p"), false, "turbowan2.1-t2v-14b-480p"),
        ("Wan2.1-14B", None, false, "turbowan2.1-t2v-14b-720p"),
        ("sora-2", None, true, "turbowan2.2-i2v-a14b-720p"),
    ] {
        let request = asking(|request| {
            request.model = text(name);
            request.resolution = resolution.map(str::to_owned);
        });
        let accepted = judge(&published(), image.then_some((1000, 1000)), &request).unwrap();
        assert_eq!(accepted.spec.model.as_str(), expected, "{name}");
        assert_eq!(accepted.requested_model.as_deref(), Some(name));
    }
    let fresh = ModelCatalog::new(vec![tiny()], true);
    for name in ["auto", "sora-2", "sora-2-pro-2025-10-06", "WAN-TINY"] {
        let accepted = judge(&fresh, None, &asking(|request| request.model = text(name))).unwrap();
        assert_eq!(accepted.spec.model.as_str(), "wan-tiny", "{name}");
        assert_eq!((accepted.spec.size.to_string().as_str(), accepted.spec.frames.get()), ("224x128", 33));
    }
    for (name, fault) in [
        ("pro", RequestFault::ModelNotFound),
        ("wan2.1-14b", RequestFault::ModelNotFound),
        ("sora-2x", RequestFault::ModelNotFound),
    ] {
        let refused = judge(&fresh, None, &asking(|request| request.model = text(name))).unwrap_err();
        assert_eq!((refused.fault, refused.param.as_deref()), (fault, Some("model")), "{name}");
    }
}

#[test]
fn each_wrong_parameter_is_named() {
    type Change = fn(&mut VideoRequest);
    let cases: &[(bool, Change, RequestFault, &str)] = &[
        (false, |r| r.prompt = None, RequestFault::Missing, "prompt"),
        (false, |r| r.prompt = text(" \n"), RequestFault::Value, "prompt"),
        (false, |r| r.prompt = text("\u{200b}"), RequestFault::Value, "prompt"),
        (false, |r| r.prompt = Some("x".repeat(32_001)), RequestFault::TooLong, "prompt"),
        (false, |r| r.model = text("turbowan2.2-i2v-a14b-720p"), RequestFault::ModelOperation, "model"),
        (true, |r| r.model = text("wan2.1-1.3b"), RequestFault::ModelOperation, "model"),
        (false, |r| r.size = text("1024x1792"), RequestFault::Value, "size"),
        (
            false,
            |r| {
                r.size = text("832x480");
                r.resolution = text("720p");
            },
            RequestFault::Value,
            "size",
        ),
        (false, |r| r.resolution = text("128p"), RequestFault::Value, "resolution"),
        (false, |r| r.aspect_ratio = text("21:9"), RequestFault::Value, "aspect_ratio"),
        (false, |r| r.adaptive_resolution = Some(false), RequestFault::Unsupported, "adaptive_resolution"),
        (false, |r| r.image_fit = text("crop"), RequestFault::Unsupported, "image_fit"),
        (
            true,
            |r| {
                r.adaptive_resolution = Some(true);
                r.aspect_ratio = text("1:1");
            },
            RequestFault::Value,
            "adaptive_resolution",
        ),
        (true, |r| r.image_fit = text("zoom"), RequestFault::Value, "image_fit"),
        (false, |r| r.seconds = text("8"), RequestFault::Value, "seconds"),
        (false, |r| r.num_frames = Some(80), RequestFault::Value, "num_frames"),
        (false, |r| r.num_frames = Some(85), RequestFault::Value, "num_frames"),
        (false, |r| r.num_frames = Some(13), RequestFault::Value, "num_frames"),
        (
            false,
            |r| {
                r.num_frames = Some(81);
                r.seconds = text("5");
            },
            RequestFault::Value,
            "num_frames",
        ),
        (false, |r| r.num_steps = Some(5), RequestFault::Value, "num_steps"),
        (false, |r| r.num_steps = Some(-1), RequestFault::Value, "num_steps"),
        (false, |r| r.seed = Some(4_294_967_296), RequestFault::Value, "seed"),
        (false, |r| r.sigma_max = Some(0.5), RequestFault::Value, "sigma_max"),
        (false, |r| r.sigma_max = Some(f64::NAN), RequestFault::Value, "sigma_max"),
        (false, |r| r.boundary = Some(0.9), RequestFault::Unsupported, "boundary"),
        (true, |r| r.boundary = Some(1.0), RequestFault::Value, "boundary"),
        (false, |r| r.attention_type = text("flash"), RequestFault::Value, "attention_type"),
        (false, |r| r.attention_type = text("original"), RequestFault::Variant, "attention_type"),
        (false, |r| r.sla_topk = Some(0.0), RequestFault::Value, "sla_topk"),
        (false, |r| r.quant_linear = Some(true), RequestFault::Variant, "quant_linear"),
        (false, |r| r.asset_ttl_seconds = Some(60), RequestFault::Value, "asset_ttl_seconds"),
        (false, |r| r.callback_url = text("https://a.example/"), RequestFault::CallbackUrl, "callback_url"),
        (
            false,
            |r| r.metadata = Some([("k".repeat(65), String::new())].into()),
            RequestFault::Value,
            "metadata",
        ),
    ];
    for (with_image, change, fault, param) in cases {
        let refused =
            judge(&published(), with_image.then_some((1000, 1000)), &asking(change)).expect_err(param);
        assert_eq!((refused.fault, refused.param.as_deref()), (*fault, Some(*param)), "{}", refused.message);
    }
}

#[test]
fn lengths_and_sizes_can_be_given_in_both_ways() {
    for (seconds, frames) in [("1", 17), ("4", 65), ("5", 81)] {
        let by_seconds =
            judge(&published(), None, &asking(|request| request.seconds = text(seconds))).unwrap();
        assert_eq!(by_seconds.spec.frames.get(), frames);
    }
    let request = asking(|request| {
        request.size = text("480x832");
        request.aspect_ratio = text("9:16");
    });
    let spec = judge(&published(), Some((1000, 1000)), &request).unwrap().spec;
    assert_eq!((spec.adaptive_resolution, spec.aspect_ratio), (Some(false), Some(AspectRatio::Tall)));
}

#[test]
fn warnings_name_what_costs_quality() {
    let request = asking(|request| {
        request.prompt = text("一只猫");
        request.resolution = text("720p");
        request.sla_topk = Some(0.05);
    });
    let codes: Vec<_> = judge(&published(), None, &request)
        .unwrap()
        .warnings
        .into_iter()
        .map(|warning| warning.code)
        .collect();
    let expected = [WarningCode::PromptNotEnglish, WarningCode::ResolutionNotBest, WarningCode::SlaTopkLow];
    assert_eq!(codes, expected);

    for (steps, boundary, unused) in
        [(1, 0.9, true), (2, 0.9, true), (3, 0.9, false), (3, 0.7, true), (4, 0.7, false)]
    {
        let request = asking(|request| {
            request.num_steps = Some(steps);
            request.boundary = Some(boundary);
        });
        let warnings = judge(&published(), Some((1280, 720)), &request).unwrap().warnings;
        let seen = warnings.iter().any(|warning| warning.code == WarningCode::LowNoiseModelUnused);
        assert_eq!(seen, unused, "{steps} steps at {boundary}");
    }
}

#[test]
fn a_remix_repeats_its_source_except_what_is_changed() {
    let image = Some((1080, 1350));
    let source = judge(&published(), image, &asking(|request| request.num_steps = Some(2))).unwrap().spec;
    let prompt =
        VideoRequest { prompt: text("Now the ball is blue and it jumps up high"), ..Default::default() };
    let remix =
        judge(&published(), image, &VideoRequest::repeating(&source).changed_by(prompt)).unwrap().spec;
    assert_eq!(
        (remix.size, remix.seed, remix.steps, remix.boundary),
        (source.size, 137, source.steps, Some(0.9))
    );
    assert_ne!(remix.prompt, source.prompt);

    let reshaped = VideoRequest { size: text("960x960"), seconds: text("2"), ..Default::default() };
    let remix =
        judge(&published(), image, &VideoRequest::repeating(&source).changed_by(reshaped)).unwrap().spec;
    assert_eq!((remix.size.to_string().as_str(), remix.frames.get()), ("960x960", 33));
}
