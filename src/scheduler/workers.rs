//! The workers that have said hello: what they host, what they do, what is asked of them.
//! Held in memory only; a worker that meets a restarted server says hello again.

use std::collections::BTreeMap;

use super::model_orders::{ModelOrders, ModelView};
use super::pick::Asking;
use super::policy::{KEEP_DOWN, SILENCE};
use crate::domain::clock::{Moment, UnixMillis};
use crate::domain::id::{VideoId, WorkerId};
use crate::domain::lease::{Device, DeviceStats, LeaseRequest, ModelLoad, Orders, WorkerHello};
use crate::domain::model::ModelId;

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkerState {
    /// It has said hello and not asked for work yet: its first model loads.
    Starting,
    Idle,
    Busy,
    /// It takes no new job.
    Draining,
    /// A model leaves its memory.
    Unloading,
    /// It ends after its job, to be started afresh.
    Restarting,
    /// It has not called for a while.
    Down,
}

/// A worker, as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerView {
    pub id: WorkerId,
    pub name: String,
    pub host: String,
    /// Process id on its host.
    pub process: u32,
    /// Child of this server.
    pub local: bool,
    pub state: WorkerState,
    pub devices: Vec<Device>,
    pub models: Vec<ModelView>,
    pub current_video: Option<VideoId>,
    pub last_heartbeat_at: UnixMillis,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) hello: WorkerHello,
    pub(super) local: bool,
    pub(super) orders: Orders,
    /// When it is to give its job back, whatever its orders said.
    stop_at: Option<Moment>,
    asked: bool,
    /// A model comes or goes.
    pub(super) occupied: bool,
    pub(super) model_orders: ModelOrders,
    /// The last load of a model that was taken in.
    loads_known: u64,
    seen: Moment,
    seen_at: UnixMillis,
}

#[derive(Debug, Default)]
pub(super) struct Workers {
    by_id: BTreeMap<WorkerId, Worker>,
}

/// Why a worker gets no order about a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderRefused {
    UnknownWorker,
    /// The worker does not host the model.
    NotHosted,
}

impl WorkerState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Starting,
        Self::Idle,
        Self::Busy,
        Self::Draining,
        Self::Unloading,
        Self::Restarting,
        Self::Down,
    ];

    /// As written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Unloading => "unloading",
            Self::Restarting => "restarting",
            Self::Down => "down",
        }
    }
}

/// When something was heard of a worker, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    pub(super) seen: Moment,
    pub(super) at: UnixMillis,
}

impl Workers {
    /// Takes a worker in. A process that says hello again keeps its id; an earlier process of its name is forgotten.
    pub(super) fn register(
        &mut self,
        hello: WorkerHello,
        local: bool,
        id: WorkerId,
        heard: Heard,
    ) -> WorkerId {
        let known = self.by_id.iter().find(|(_, worker)| worker.hello.name == hello.name);
        let known = known.filter(|(_, worker)| worker.hello.process == hello.process);
        let (id, loads_known) = known.map_or((id, 0), |(id, worker)| (*id, worker.loads_known));
        self.remove(&hello.name);
        let orders = Orders::default();
        let (seen, seen_at) = (heard.seen, heard.at);
        let worker = Worker {
            hello,
            local,
            orders,
            stop_at: None,
            asked: false,
            occupied: false,
            model_orders: ModelOrders::default(),
            loads_known,
            seen,
            seen_at,
        };
        self.by_id.insert(id, worker);
        id
    }

    pub(super) fn get(&self, id: WorkerId) -> Option<&Worker> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.by_id.get_mut(&id)
    }

    /// Gives a worker new orders; false if it is unknown.
    pub(super) fn order(&mut self, id: WorkerId, orders: Orders, stop_at: Option<Moment>) -> bool {
        let Some(worker) = self.by_id.get_mut(&id) else { return false };
        (worker.orders, worker.stop_at) = (orders, stop_at);
        true
    }

    /// Wants a model in a worker's memory, or out of it.
    pub(super) fn order_model(
        &mut self,
        id: WorkerId,
        model: &ModelId,
        resident: bool,
        at: UnixMillis,
    ) -> Result<(), OrderRefused> {
        let worker = self.by_id.get_mut(&id).ok_or(OrderRefused::UnknownWorker)?;
        let hosted = worker.hello.models.iter().find(|hosted| hosted.id == *model);
        let hosted = hosted.ok_or(OrderRefused::NotHosted)?;
        worker.model_orders.want(hosted, resident, at);
        Ok(())
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Worker> {
        self.by_id.values_mut()
    }

    /// Forgets the worker of that name.
    pub(super) fn remove(&mut self, name: &str) {
        self.by_id.retain(|_, worker| worker.hello.name != name);
    }

    /// Forgets those that have been down for long.
    pub(super) fn tidy(&mut self, now: Moment) {
        self.by_id.retain(|_, worker| now.since(worker.seen) < KEEP_DOWN);
    }

    /// The worker with what decides about its next job; `None` if it is unknown.
    pub(super) fn asking(&self, id: WorkerId, now: Moment) -> Option<Asking> {
        let worker = self.by_id.get(&id)?;
        let models = |worker: &Worker, resident: bool| -> Vec<ModelId> {
            let models = worker.hello.models.iter().filter(|model| model.resident || !resident);
            models.map(|model| model.id.clone()).collect()
        };
        let others = self.by_id.iter().filter(|(other, worker)| {
            **other != id && now.since(worker.seen) < SILENCE && !worker.orders.drain
        });
        Some(Asking {
            name: worker.hello.name.clone(),
            hosted: models(worker, false),
            resident: models(worker, true),
            hosted_elsewhere: others.flat_map(|(_, worker)| models(worker, false)).collect(),
        })
    }

    /// Living workers that host the model and take jobs.
    pub(super) fn ready(&self, model: Option<&ModelId>, now: Moment) -> usize {
        let hosts = |worker: &&Worker| {
            model.is_none_or(|model| worker.hello.models.iter().any(|hosted| hosted.id == *model))
        };
        self.by_id.values().filter(hosts).filter(|worker| worker.is_ready(now)).count()
    }

    /// The models for which some worker takes jobs.
    pub(super) fn served(&self, now: Moment) -> impl Iterator<Item = &ModelId> {
        let ready = self.by_id.values().filter(move |worker| worker.is_ready(now));
        ready.flat_map(|worker| worker.hello.models.iter().map(|model| &model.id))
    }

    /// All, with the job that each holds.
    pub(super) fn views(&self, now: Moment, job_of: impl Fn(WorkerId) -> Option<VideoId>) -> Vec<WorkerView> {
        let view = |(id, worker): (&WorkerId, &Worker)| {
            let current_video = job_of(*id);
            WorkerView {
                id: *id,
                name: worker.hello.name.clone(),
                host: worker.hello.host.clone(),
                process: worker.hello.process,
                local: worker.local,
                state: worker.state(now, current_video.is_some()),
                devices: worker.hello.devices.clone(),
                models: worker.hello.models.iter().map(|model| worker.model_orders.view(model)).collect(),
                current_video,
                last_heartbeat_at: worker.seen_at,
            }
        };
        self.by_id.iter().map(view).collect()
    }
}

impl Worker {
    /// The loads among these that were not told before.
    pub(super) fn news_of<'a>(&mut self, loads: &'a [ModelLoad]) -> Vec<&'a ModelLoad> {
        let news: Vec<_> = loads.iter().filter(|load| load.number > self.loads_known).collect();
        self.loads_known = news.iter().map(|load| load.number).max().unwrap_or(self.loads_known);
        news
    }

    /// It lives and takes jobs.
    fn is_ready(&self, now: Moment) -> bool {
        self.asked && now.since(self.seen) < SILENCE && self.orders == Orders::default()
    }

    pub(super) fn heard(&mut self, heard: Heard) {
        self.seen = heard.seen;
        self.seen_at = heard.at;
        self.orders.stop |= self.stop_at.is_some_and(|at| at <= heard.seen);
    }

    /// It asks for work and tells how it is.
    pub(super) fn asks(&mut self, request: LeaseRequest, heard: Heard) {
        self.asked |= !request.occupied;
        self.occupied = request.occupied;
        self.hello.models = request.models;
        self.measured(&request.devices);
        self.heard(heard);
        request.carried_out.into_iter().for_each(|done| self.model_orders.carried_out(done));
    }

    pub(super) fn measured(&mut self, stats: &[DeviceStats]) {
        for (device, stats) in self.hello.devices.iter_mut().zip(stats) {
            device.stats = *stats;
        }
    }

    fn state(&self, now: Moment, busy: bool) -> WorkerState {
        if now.since(self.seen) >= SILENCE {
            WorkerState::Down
        } else if self.orders.restart || self.orders.stop {
            WorkerState::Restarting
        } else if self.orders.drain {
            WorkerState::Draining
        } else if busy {
            WorkerState::Busy
        } else if self.model_orders.has_unload() {
            WorkerState::Unloading
        } else if self.asked {
            WorkerState::Idle
        } else {
            WorkerState::Starting
        }
    }
}
