//! Which of the networks on the device belong to which model. Computes nothing.

use kernels::give_back_freed;

use super::{Pipeline, networks};
use crate::domain::linear::LinearCompute;
use crate::domain::video::VideoSpec;
use crate::engine::course::{Course, Settings, linear_of};
use crate::engine::error::EngineError;
use crate::engine::memory::PartKey;
use crate::engine::weights::Model;

impl Pipeline {
    /// Lets every network of `model` go, in all formats, on the device and beside it, but for those that models in
    /// `staying` work with, too. Device and machine have back what they took.
    pub fn let_go(&mut self, model: &Model, staying: &[&Model]) -> Result<(), EngineError> {
        let staying: Vec<PartKey> = staying.iter().flat_map(|model| self.keys(model)).collect();
        let going: Vec<PartKey> = self.keys(model).filter(|key| !staying.contains(key)).collect();
        self.texts.retain(|text| !going.contains(&text.key.encoder));
        self.residents.let_go(&going)?;
        self.device.trim()?;
        give_back_freed();
        Ok(())
    }

    /// What the networks of a model are called, in every format that a job may ask for.
    fn keys(&self, model: &Model) -> impl Iterator<Item = PartKey> {
        LinearCompute::ALL.into_iter().flat_map(|linear| self.keys_in(model, linear))
    }

    fn keys_in(&self, model: &Model, linear: LinearCompute) -> impl Iterator<Item = PartKey> + use<> {
        let course = Course::of_model(model, Settings { linear, ..self.settings }, &self.device);
        networks(model).into_iter().map(move |(kind, expert)| course.needed(kind, expert).part.key)
    }

    /// Bytes on the device of networks that such a clip of the model at work has no use for.
    pub fn bytes_of_others(&self, spec: &VideoSpec) -> u64 {
        let linear = linear_of(&self.model, self.settings, spec.quant_linear);
        let own: Vec<PartKey> = self.keys_in(&self.model, linear).collect();
        let held = self.residents.held();
        held.iter()
            .map(|held| &held.part)
            .filter(|part| !own.contains(&part.key))
            .map(|part| part.bytes)
            .sum()
    }
}
