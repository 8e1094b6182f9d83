//! One clip's way through memory: which networks it needs, in which format, and what leaves before each of them runs.

use std::collections::HashMap;

use kernels::Device;
use kernels::linear::stores_gelu_in_int8;

use super::error::EngineError;
use super::memory::{Budget, ClipShape, Needed, PartKey, Residents, StageNeed, StagePlan, Workload, plan};
use super::models::wan::LinearFormat;
use super::weights::{Expert, Model};
use crate::domain::linear::LinearCompute;
use crate::domain::memory::PartKind;
use crate::domain::video::VideoSpec;

/// How a pipeline uses its device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    pub budget: Budget,
    /// Of jobs that do not ask for int8.
    pub linear: LinearCompute,
}

/// The plan of one clip.
pub(super) struct Course {
    model: Model,
    workload: Workload,
    /// Of the stages that have not begun, by the network that each needs.
    plans: HashMap<PartKey, StagePlan>,
    /// Whether the decoder takes smaller pieces.
    pub(super) small_pieces: bool,
}

/// What a clip needs besides the decoder.
pub(super) struct Needs {
    /// Whether its prompt has to be read.
    pub(super) text: bool,
    /// Whether it begins with a picture.
    pub(super) image: bool,
    /// Those that work at one of its steps.
    pub(super) experts: Vec<Expert>,
}

/// Pixels of a latent's side.
const LATENT_SIDE: usize = 8;

/// Frames, height and width of the latent.
pub(super) fn latent_size(spec: &VideoSpec) -> [usize; 3] {
    let side = |pixels: u32| pixels as usize / LATENT_SIDE;
    [spec.frames.latent() as usize, side(spec.size.height()), side(spec.size.width())]
}

/// The format in which the model's linear layers compute for a job. Weights that are stored as int8 have no other.
pub(super) fn linear_of(model: &Model, settings: Settings, quant_linear: bool) -> LinearCompute {
    match model.architecture().linear_format {
        LinearFormat::Int8 => LinearCompute::Int8,
        LinearFormat::Bf16 => settings.linear.of_job(quant_linear),
    }
}

impl Course {
    /// No clip in particular: what the model's networks are called and how large they are.
    pub(super) fn of_model(model: &Model, settings: Settings, device: &Device) -> Self {
        let quantised = settings.linear == LinearCompute::Int8;
        let workload = Workload {
            shape: ClipShape { frames: 0, height: 0, width: 0 },
            text: true,
            image: true,
            attention: model.capabilities().default_attention_type,
            linear: linear_of(model, settings, quantised),
            stores_gelu_in_int8: stores_gelu_in_int8(device),
            element: device.activations().size(),
        };
        Self { model: model.clone(), workload, plans: HashMap::new(), small_pieces: false }
    }

    /// Plans a clip.
    pub(super) fn plan(
        model: &Model,
        spec: &VideoSpec,
        needs: &Needs,
        settings: Settings,
        residents: &Residents,
        device: &Device,
    ) -> Result<Self, EngineError> {
        let [frames, height, width] = latent_size(spec);
        let workload = Workload {
            shape: ClipShape { frames, height, width },
            text: needs.text,
            image: needs.image,
            attention: spec.attention,
            linear: linear_of(model, settings, spec.quant_linear),
            stores_gelu_in_int8: stores_gelu_in_int8(device),
            element: device.activations().size(),
        };
        let stages = stages(&workload, model, &needs.experts);
        let planned = plan(settings.budget.bytes(device)?, &residents.held(), &stages)?;
        let key = |stage: &StageNeed| stage.parts[0].key.clone();
        let small_pieces = planned.iter().any(|plan| plan.small);
        let plans = stages.iter().map(key).zip(planned).collect();
        Ok(Self { model: model.clone(), workload, plans, small_pieces })
    }

    /// A network of the clip, as it is loaded.
    pub(super) fn needed(&self, kind: PartKind, expert: Expert) -> Needed<'_> {
        let part = self.workload.part(&self.model, kind, expert);
        Needed { model: &self.model, part, expert, linear: self.workload.linear }
    }

    /// What should be on the device while the network works; the most of any stage without a name.
    pub(super) fn bytes(&self, key: Option<&PartKey>) -> u64 {
        let stages = self.plans.iter().filter(|(stage, _)| key.is_none_or(|key| key == *stage));
        stages.map(|(_, plan)| plan.bytes).max().unwrap_or(0)
    }

    /// What leaves before the network's stage; nothing the second time.
    pub(super) fn begin(&mut self, key: &PartKey) -> StagePlan {
        self.plans.remove(key).unwrap_or_default()
    }
}

/// The stages of a clip. One of few steps may need but one of a model's experts.
fn stages(workload: &Workload, model: &Model, experts: &[Expert]) -> Vec<StageNeed> {
    let idle = model.architecture().experts.iter().filter(|expert| !experts.contains(expert));
    let idle: Vec<PartKey> =
        idle.map(|&expert| workload.part(model, PartKind::Transformer, expert).key).collect();
    let mut stages = workload.stages(model);
    stages.retain(|stage| !idle.contains(&stage.parts[0].key));
    stages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expert_that_no_step_needs_is_not_planned() {
        let model = Model::synthetic("wan2.2-i2v-a14b").unwrap();
        let course = Course::of_model(&model, Settings::default(), &Device::Cpu);
        let kinds = |experts: &[Expert]| -> Vec<PartKind> {
            stages(&course.workload, &model, experts).iter().map(|stage| stage.parts[0].key.kind).collect()
        };
        use PartKind::{Decoder, Encoder, TextEncoder, Transformer};
        assert_eq!(kinds(&[Expert::High]), [TextEncoder, Encoder, Transformer, Decoder]);
        let both = [Expert::High, Expert::High, Expert::Low];
        assert_eq!(kinds(&both), [TextEncoder, Encoder, Transformer, Transformer, Decoder]);
    }
}
