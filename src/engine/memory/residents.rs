//! The networks that are on a device: loaded when a stage needs them, kept while they fit, shared between models that have
//! the same numbers. One that leaves a GPU waits in the host's memory while there is room, and comes back from there. Does
//! what a plan says and remembers what it did and how long that took.

use std::time::Instant;

use kernels::{Device, Movable, Tensor};

use super::plan::{Held, Part, PartKey, StagePlan};
use crate::domain::linear::LinearCompute;
use crate::domain::memory::{Move, MoveKind, PartKind};
use crate::engine::error::EngineError;
use crate::engine::models::umt5::Umt5;
use crate::engine::models::vae::{Decoder, Encoder};
use crate::engine::models::wan::{TextContext, Wan};
use crate::engine::weights::{Expert, Model};

/// Networks on a device, and those that wait beside it.
pub(in crate::engine) struct Residents {
    device: Device,
    /// Bytes of the host's memory that copies may take.
    host: u64,
    entries: Vec<Entry>,
    /// Rises with every use.
    clock: u64,
    moves: Vec<Move>,
    load_seconds: f64,
}

struct Entry {
    part: Part,
    used: u64,
    network: Movable<Network>,
}

enum Network {
    Text(Box<Umt5>),
    Encoder(Box<Encoder>),
    Transformer(Box<Transformer>),
    Decoder(Box<Decoder>),
}

/// What an embedding is of: equal keys, equal numbers. Models may share a text encoder and not its tokenizer, or a
/// transformer and not its text encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct TextKey {
    pub(in crate::engine) prompt: String,
    /// [`Model::tokenizer_source`].
    pub(in crate::engine) tokenizer: String,
    pub(in crate::engine) encoder: PartKey,
}

/// A transformer with what it made of the embedding that it read last.
pub(in crate::engine) struct Transformer {
    wan: Wan,
    read: Option<(TextKey, TextContext)>,
}

/// A network that a stage needs.
pub(in crate::engine) struct Needed<'a> {
    pub model: &'a Model,
    pub part: Part,
    pub expert: Expert,
    pub linear: LinearCompute,
}

impl Residents {
    /// `host` bytes of the host's memory may hold what leaves the device.
    pub(in crate::engine) fn new(device: &Device, host: u64) -> Self {
        Self {
            device: device.clone(),
            host,
            entries: Vec::new(),
            clock: 0,
            moves: Vec::new(),
            load_seconds: 0.0,
        }
    }

    /// What is on the device, for a plan.
    pub(in crate::engine) fn held(&self) -> Vec<Held> {
        let here = self.entries.iter().filter(|entry| entry.network.is_here());
        here.map(|entry| Held { part: entry.part.clone(), used: entry.used }).collect()
    }

    /// Whether it is on the device.
    pub(in crate::engine) fn has(&self, key: &PartKey) -> bool {
        self.entries.iter().any(|entry| entry.part.key == *key && entry.network.is_here())
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
            self.evict(key)?;
        }
        Ok(())
    }

    /// To the host's memory, or away if that has no room.
    fn evict(&mut self, key: &PartKey) -> Result<(), EngineError> {
        let began = Instant::now();
        let Some(at) = self.entries.iter().position(|entry| entry.part.key == *key) else { return Ok(()) };
        let mut entry = self.entries.remove(at);
        let bytes = entry.part.bytes;
        let missing = entry.network.bytes().unwrap_or(u64::MAX).saturating_sub(entry.network.copied_bytes());
        let mut stays = self.make_host_room(missing, entry.network.copied_bytes());
        if stays {
            if let Some(network) = entry.network.here() {
                network.forget_work();
            }
            stays = match entry.network.leave() {
                Err(error) if error.is_out_of_host_memory() => false,
                left => left.map(|()| true)?,
            };
        }
        let kind = if stays {
            self.entries.push(entry);
            MoveKind::ToHost
        } else {
            drop(entry);
            self.device.synchronize()?;
            MoveKind::Evict
        };
        let seconds = began.elapsed().as_secs_f64();
        self.moves.push(Move { kind, part: key.kind, bytes, seconds });
        Ok(())
    }

    /// Lets copies go, the least recently used first, until `more` bytes have room beside them and `kept` bytes. First
    /// those of what is on the device, which need none.
    fn make_host_room(&mut self, more: u64, kept: u64) -> bool {
        if more.saturating_add(kept) > self.host {
            return false;
        }
        loop {
            let copied: u64 = self.entries.iter().map(|entry| entry.network.copied_bytes()).sum();
            if copied + kept + more <= self.host {
                return true;
            }
            let with_copy = self.entries.iter().enumerate().filter(|(_, it)| it.network.copied_bytes() > 0);
            let oldest = with_copy.min_by_key(|(_, entry)| (!entry.network.is_here(), entry.used));
            let Some((at, _)) = oldest else { return false };
            if self.entries[at].network.is_here() {
                self.entries[at].network.forget_copy();
            } else {
                let began = Instant::now();
                let Part { key, bytes } = self.entries.remove(at).part;
                let seconds = began.elapsed().as_secs_f64();
                self.moves.push(Move { kind: MoveKind::LeavesHost, part: key.kind, bytes, seconds });
            }
        }
    }

    /// Lets networks go altogether, also those that wait beside the device.
    pub(in crate::engine) fn let_go(&mut self, keys: &[PartKey]) -> Result<(), EngineError> {
        let all = std::mem::take(&mut self.entries);
        let (going, staying) = all.into_iter().partition(|entry| keys.contains(&entry.part.key));
        self.entries = staying;
        for Entry { part, network, .. } in going {
            let (began, was_here) = (Instant::now(), network.is_here());
            drop(network);
            self.device.synchronize()?;
            let kind = if was_here { MoveKind::Evict } else { MoveKind::LeavesHost };
            let (part, bytes) = (part.key.kind, part.bytes);
            self.moves.push(Move { kind, part, bytes, seconds: began.elapsed().as_secs_f64() });
        }
        Ok(())
    }

    /// Lets go of what networks made besides their weights; it is made again when it is needed.
    pub(in crate::engine) fn forget_work(&mut self) {
        self.entries.iter_mut().filter_map(|entry| entry.network.here()).for_each(Network::forget_work);
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

    /// The network, brought to the device first if it is not there.
    fn network(&mut self, needed: &Needed) -> Result<&mut Network, EngineError> {
        self.clock += 1;
        let found = self.entries.iter().position(|entry| entry.part.key == needed.part.key);
        let began = Instant::now();
        let at = match found {
            Some(at) if self.entries[at].network.is_here() => at,
            Some(at) => {
                self.entries[at].network.come_back()?;
                let bytes = self.entries[at].part.bytes;
                self.came(MoveKind::FromHost, needed.part.key.kind, bytes, began);
                at
            }
            None => {
                let network = self.device.movable(|| load(needed, &self.device))?;
                self.device.synchronize()?;
                // As it turned out, where that is counted.
                let part =
                    Part { bytes: network.bytes().unwrap_or(needed.part.bytes), ..needed.part.clone() };
                self.came(MoveKind::Load, part.key.kind, part.bytes, began);
                self.entries.push(Entry { part, used: 0, network });
                self.entries.len() - 1
            }
        };
        let entry = &mut self.entries[at];
        entry.used = self.clock;
        entry.network.here().ok_or_else(|| EngineError::Model("a network did not come back".to_owned()))
    }

    fn came(&mut self, kind: MoveKind, part: PartKind, bytes: u64, began: Instant) {
        let seconds = began.elapsed().as_secs_f64();
        self.load_seconds += seconds;
        self.moves.push(Move { kind, part, bytes, seconds });
    }
}

impl Network {
    /// Lets go of what is not weights: it stands elsewhere and is made again when it is needed.
    fn forget_work(&mut self) {
        match self {
            Self::Text(text) => text.forget_work(),
            Self::Transformer(transformer) => {
                transformer.read = None;
                transformer.wan.forget_work();
            }
            Self::Encoder(_) | Self::Decoder(_) => {}
        }
    }
}

impl Transformer {
    /// The network, and what it makes of an embedding.
    pub(in crate::engine) fn reading(
        &mut self,
        text: &TextKey,
        embedding: &Tensor,
    ) -> Result<(&mut Wan, &TextContext), EngineError> {
        if self.read.as_ref().is_none_or(|(known, _)| known != text) {
            // The old one goes first.
            self.read = None;
            self.read = Some((text.clone(), self.wan.read(embedding)?));
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
