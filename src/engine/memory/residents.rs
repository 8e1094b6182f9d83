//! The networks that are on a device: loaded when a stage needs them, kept while they fit, shared between models that have
//! the same numbers. Does what a plan says and remembers what it did and how long that took.

use std::time::Instant;

use kernels::{Device, Tensor};

use super::plan::{Held, Part, PartKey, StagePlan};
use crate::domain::linear::LinearCompute;
use crate::domain::memory::{Move, MoveKind, PartKind};
use crate::engine::error::EngineError;
use crate::engine::models::umt5::Umt5;
use crate::engine::models::vae::{Decoder, Encoder};
use crate::engine::models::wan::{TextContext, Wan};
use crate::engine::weights::{Expert, Model};

/// Networks on a device.
pub(in crate::engine) struct Residents {
    device: Device,
    entries: Vec<Entry>,
    /// Rises with every use.
    clock: u64,
    moves: Vec<Move>,
    load_seconds: f64,
}

struct Entry {
    part: Part,
    used: u64,
    network: Network,
}

enum Network {
    Text(Box<Umt5>),
    Encoder(Box<Encoder>),
    Transformer(Box<Transformer>),
    Decoder(Box<Decoder>),
}

/// A transformer with what it made of the prompt that it read last.
pub(in crate::engine) struct Transformer {
    wan: Wan,
    read: Option<(String, TextContext)>,
}

/// A network that a stage needs.
pub(in crate::engine) struct Needed<'a> {
    pub model: &'a Model,
    pub part: Part,
    pub expert: Expert,
    pub linear: LinearCompute,
}

impl Residents {
    pub(in crate::engine) fn new(device: &Device) -> Self {
        Self { device: device.clone(), entries: Vec::new(), clock: 0, moves: Vec::new(), load_seconds: 0.0 }
    }

    /// What is there, for a plan.
    pub(in crate::engine) fn held(&self) -> Vec<Held> {
        self.entries.iter().map(|entry| Held { part: entry.part.clone(), used: entry.used }).collect()
    }

    pub(in crate::engine) fn has(&self, key: &PartKey) -> bool {
        self.entries.iter().any(|entry| entry.part.key == *key)
    }

    /// What was done since the last call, in order.
    pub(in crate::engine) fn take_moves(&mut self) -> Vec<Move> {
        std::mem::take(&mut self.moves)
    }

    /// Lets go of what the plan says before the stage of a network.
    pub(in crate::engine) fn follow(&mut self, stage: PartKind, plan: &StagePlan) -> Result<(), EngineError> {
        for &kind in &plan.steps {
            self.moves.push(Move { kind, part: stage, bytes: 0, seconds: 0.0 });
        }
        for key in &plan.evict {
            let began = Instant::now();
            let Some(at) = self.entries.iter().position(|entry| entry.part.key == *key) else { continue };
            let entry = self.entries.remove(at);
            let bytes = entry.part.bytes;
            drop(entry);
            self.device.synchronize()?;
            let seconds = began.elapsed().as_secs_f64();
            self.moves.push(Move { kind: MoveKind::Evict, part: key.kind, bytes, seconds });
        }
        Ok(())
    }

    /// Brings a network to the device, if it is not there.
    pub(in crate::engine) fn load(&mut self, needed: &Needed) -> Result<(), EngineError> {
        self.network(needed).map(drop)
    }

    /// Seconds that all loading has taken so far.
    pub(in crate::engine) fn load_seconds(&self) -> f64 {
        self.load_seconds
    }

    pub(in crate::engine) fn text_encoder(&mut self, needed: &Needed) -> Result<&mut Umt5, EngineError> {
        match self.network(needed)? {
            Network::Text(text) => Ok(text),
            Network::Encoder(_) | Network::Transformer(_) | Network::Decoder(_) => Err(mixed(needed)),
        }
    }

    pub(in crate::engine) fn encoder(&mut self, needed: &Needed) -> Result<&Encoder, EngineError> {
        match self.network(needed)? {
            Network::Encoder(encoder) => Ok(encoder),
            Network::Text(_) | Network::Transformer(_) | Network::Decoder(_) => Err(mixed(needed)),
        }
    }

    pub(in crate::engine) fn transformer(
        &mut self,
        needed: &Needed,
    ) -> Result<&mut Transformer, EngineError> {
        match self.network(needed)? {
            Network::Transformer(transformer) => Ok(transformer),
            Network::Text(_) | Network::Encoder(_) | Network::Decoder(_) => Err(mixed(needed)),
        }
    }

    pub(in crate::engine) fn decoder(&mut self, needed: &Needed) -> Result<&Decoder, EngineError> {
        match self.network(needed)? {
            Network::Decoder(decoder) => Ok(decoder),
            Network::Text(_) | Network::Encoder(_) | Network::Transformer(_) => Err(mixed(needed)),
        }
    }

    /// The network, loaded first if it is not there.
    fn network(&mut self, needed: &Needed) -> Result<&mut Network, EngineError> {
        self.clock += 1;
        let found = self.entries.iter().position(|entry| entry.part.key == needed.part.key);
        let at = match found {
            Some(at) => at,
            None => {
                let began = Instant::now();
                let network = load(needed, &self.device)?;
                self.device.synchronize()?;
                let seconds = began.elapsed().as_secs_f64();
                self.load_seconds += seconds;
                let (part, bytes) = (needed.part.key.kind, needed.part.bytes);
                self.moves.push(Move { kind: MoveKind::Load, part, bytes, seconds });
                self.entries.push(Entry { part: needed.part.clone(), used: 0, network });
                self.entries.len() - 1
            }
        };
        let entry = &mut self.entries[at];
        entry.used = self.clock;
        Ok(&mut entry.network)
    }
}

impl Transformer {
    /// The network, and what it makes of a prompt with its embedding.
    pub(in crate::engine) fn reading(
        &mut self,
        prompt: &str,
        embedding: &Tensor,
    ) -> Result<(&mut Wan, &TextContext), EngineError> {
        if self.read.as_ref().is_none_or(|(known, _)| known != prompt) {
            // The old one goes first.
            self.read = None;
            self.read = Some((prompt.to_owned(), self.wan.read(embedding)?));
        }
        let Some((_, context)) = &self.read else { unreachable!("read in the line above") };
        Ok((&mut self.wan, context))
    }
}

fn load(needed: &Needed, device: &Device) -> Result<Network, EngineError> {
    let Needed { model, part, expert, linear } = needed;
    let architecture = model.architecture();
    Ok(match part.key.kind {
        PartKind::TextEncoder => {
            let source = model.text_encoder()?;
            Network::Text(Box::new(Umt5::load(&architecture.text_encoder, &*source, device)?))
        }
        PartKind::Encoder => {
            Network::Encoder(Box::new(Encoder::load(&architecture.vae, &*model.vae()?, device)?))
        }
        PartKind::Transformer => {
            let source = model.transformer(*expert)?;
            let wan = Wan::load(&architecture.transformer, &*source, device, *linear)?;
            Network::Transformer(Box::new(Transformer { wan, read: None }))
        }
        PartKind::Decoder => {
            Network::Decoder(Box::new(Decoder::load(&architecture.vae, &*model.vae()?, device)?))
        }
    })
}

/// A key belongs to one kind of network only, so this is a mistake of ours.
fn mixed(needed: &Needed) -> EngineError {
    EngineError::Model(format!("{:?} holds another network", needed.part.key))
}
