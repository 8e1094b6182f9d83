//! The waiting jobs of every project, mirrored from the store's rows so that a pick reads no table.
//! Holds nothing that the rows do not say; rebuilt from them at start.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::pick::{Asking, Head, Lane, Snapshot};
use crate::domain::clock::UnixMillis;
use crate::domain::estimate::Shape;
use crate::domain::id::{ProjectId, VideoId};
use crate::domain::job::Job;
use crate::domain::model::ModelId;
use crate::domain::moves::LONGEST_RETRY_DELAY;

/// A job without a worker.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Waiting {
    pub(super) video: VideoId,
    pub(super) project: ProjectId,
    pub(super) shape: Shape,
    /// Predicted seconds of a device.
    pub(super) cost: f64,
    pub(super) not_before: UnixMillis,
    /// Name of the worker that it failed on last: another should take it if one can.
    pub(super) avoid: Option<String>,
    /// No worker ever had it.
    pub(super) fresh: bool,
}

/// Every project's jobs.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: HashMap<ProjectId, ProjectQueue>,
    /// Where each waiting job stands.
    places: HashMap<VideoId, (ProjectId, ModelId)>,
    /// The charge at which the last pick began: an idle project re-enters here, so that idling saves nothing up.
    now_charged: f64,
    /// The most jobs that may run at once, of projects that have a limit of their own.
    most_running: HashMap<ProjectId, u32>,
}

#[derive(Debug, Default)]
struct ProjectQueue {
    charged: f64,
    running: u32,
    /// By id, which is the order of creation.
    models: BTreeMap<ModelId, VecDeque<Waiting>>,
}

/// How much of a model waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Backlog {
    pub project: ProjectId,
    pub model: ModelId,
    pub depth: usize,
    /// Predicted seconds.
    pub seconds: f64,
    pub oldest: UnixMillis,
}

impl Waiting {
    /// The place of a job that has no worker.
    pub(super) fn of(job: &Job, cost: f64, avoid: Option<String>) -> Self {
        Self {
            video: job.id,
            project: job.project,
            shape: Shape::of(&job.request.spec),
            cost,
            not_before: job.status.not_before,
            avoid,
            fresh: job.status.started_at.is_none(),
        }
    }

    /// As [`JobStatus::may_start`](crate::domain::job::JobStatus::may_start) says it of the row.
    fn may_start(&self, now: UnixMillis) -> bool {
        self.fresh || self.not_before <= now || self.not_before.since(now) > LONGEST_RETRY_DELAY
    }
}

impl Queue {
    /// Stands it in line; a job that stands there already keeps its place.
    pub(super) fn push(&mut self, waiting: Waiting) {
        if self.places.contains_key(&waiting.video) {
            return;
        }
        self.places.insert(waiting.video, (waiting.project, waiting.shape.model.clone()));
        let floor = self.now_charged;
        let lane = self.lanes.entry(waiting.project).or_default();
        if lane.models.is_empty() && lane.running == 0 {
            lane.charged = lane.charged.max(floor);
        }
        let line = lane.models.entry(waiting.shape.model.clone()).or_default();
        let place = line.partition_point(|other| other.video < waiting.video);
        line.insert(place, waiting);
    }

    /// Takes it out of line.
    pub(super) fn remove(&mut self, video: VideoId) -> Option<Waiting> {
        let (project, model) = self.places.remove(&video)?;
        let lane = self.lanes.get_mut(&project)?;
        let line = lane.models.get_mut(&model)?;
        let place = line.binary_search_by_key(&video, |waiting| waiting.video).ok()?;
        let waiting = line.remove(place);
        if line.is_empty() {
            lane.models.remove(&model);
        }
        waiting
    }

    /// Takes a job out of line for a worker and charges its project.
    pub(super) fn start(&mut self, video: VideoId) -> Option<Waiting> {
        let waiting = self.remove(video)?;
        let lane = self.lanes.entry(waiting.project).or_default();
        self.now_charged = self.now_charged.max(lane.charged);
        lane.charged += waiting.cost;
        lane.running += 1;
        Some(waiting)
    }

    /// A job runs that was found running.
    pub(super) fn found_running(&mut self, project: ProjectId, cost: f64) {
        let lane = self.lanes.entry(project).or_default();
        lane.charged += cost;
        lane.running += 1;
    }

    /// A job no longer runs: what was predicted is replaced by what it took.
    pub(super) fn stop(&mut self, project: ProjectId, predicted: f64, taken: f64) {
        if let Some(lane) = self.lanes.get_mut(&project) {
            lane.running = lane.running.saturating_sub(1);
            lane.charged = (lane.charged + taken - predicted).max(0.0);
        }
    }

    /// Predicts anew what the waiting jobs of a model will take, since more is known of it.
    pub(super) fn predict(&mut self, model: &ModelId, cost: impl Fn(&Shape) -> f64) {
        let lines = self.lanes.values_mut().filter_map(|lane| lane.models.get_mut(model));
        lines.flatten().for_each(|waiting| waiting.cost = cost(&waiting.shape));
    }

    /// No more jobs of the project run at once.
    pub(super) fn limit_running(&mut self, project: ProjectId, most: Option<u32>) {
        match most {
            Some(most) => self.most_running.insert(project, most),
            None => self.most_running.remove(&project),
        };
    }

    /// What may start at `now` on the worker that asks.
    pub(super) fn snapshot(&self, worker: &Asking, now: UnixMillis) -> Snapshot {
        let lanes = self.lanes.iter().filter(|(_, lane)| !lane.models.is_empty());
        let lanes = lanes.map(|(project, lane)| Lane {
            project: *project,
            charged: lane.charged,
            running: lane.running,
            most_running: self.most_running.get(project).copied(),
            heads: lane.models.values().filter_map(|line| head(line, worker, now)).collect(),
        });
        Snapshot { lanes: lanes.collect() }
    }

    /// Place in line among the jobs of its model, from 1, and the predicted seconds ahead of it:
    /// projects take turns, so of each other project as many go first as are ahead in its own.
    pub(super) fn outlook(&self, video: VideoId) -> Option<(u64, f64)> {
        let (project, model) = self.places.get(&video)?;
        let line = self.lanes.get(project)?.models.get(model)?;
        let ahead = line.binary_search_by_key(&video, |waiting| waiting.video).ok()?;
        let mine = &self.lanes[project];
        let mut place = ahead as u64 + 1;
        let mut seconds = total_cost(line, ahead);
        for (other, lane) in self.lanes.iter().filter(|(other, _)| *other != project) {
            let Some(line) = lane.models.get(model) else { continue };
            let first = lane.charged < mine.charged || (lane.charged == mine.charged && other < project);
            let turns = line.len().min(ahead + usize::from(first));
            place += turns as u64;
            seconds += total_cost(line, turns);
        }
        Some((place, seconds))
    }

    /// Jobs whose time without a worker began before `then`.
    pub(super) fn waiting_since_before(&self, then: UnixMillis) -> Vec<VideoId> {
        self.waiting().filter(|waiting| waiting.not_before < then).map(|waiting| waiting.video).collect()
    }

    /// Whether a job that had to wait for its time may start in `after..=now`.
    pub(super) fn becomes_due(&self, after: UnixMillis, now: UnixMillis) -> bool {
        self.waiting()
            .any(|waiting| !waiting.fresh && waiting.not_before > after && waiting.not_before <= now)
    }

    /// Jobs that wait.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Every line that is not empty.
    pub(super) fn backlog(&self) -> Vec<Backlog> {
        let lines = self.lanes.iter().flat_map(|(project, lane)| {
            lane.models.iter().map(move |(model, line)| (*project, model.clone(), line))
        });
        lines
            .map(|(project, model, line)| Backlog {
                project,
                model,
                depth: line.len(),
                seconds: total_cost(line, line.len()),
                oldest: line
                    .iter()
                    .map(|waiting| UnixMillis(waiting.video.unix_millis()))
                    .min()
                    .unwrap_or_default(),
            })
            .collect()
    }

    /// Forgets idle projects that owe nothing.
    pub(super) fn tidy(&mut self) {
        let floor = self.now_charged;
        self.lanes.retain(|_, lane| !lane.models.is_empty() || lane.running > 0 || lane.charged > floor);
    }

    fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.lanes.values().flat_map(|lane| lane.models.values()).flatten()
    }
}

/// A job that the worker leaves to others, like one whose time has not come, holds up nobody behind it.
fn head(line: &VecDeque<Waiting>, worker: &Asking, now: UnixMillis) -> Option<Head> {
    let left = |waiting: &Waiting| worker.leaves_to_others(&waiting.shape.model, waiting.avoid.as_deref());
    let first = line.iter().find(|waiting| waiting.may_start(now) && !left(waiting))?;
    Some(Head { video: first.video, model: first.shape.model.clone(), waiting_since: first.not_before })
}

/// Predicted seconds of the first `count` jobs, from the mean of a few: a long line is not added up for each question.
fn total_cost(line: &VecDeque<Waiting>, count: usize) -> f64 {
    /// Enough to see a mix of shapes.
    const SAMPLE: usize = 32;
    let sample = count.min(SAMPLE);
    if sample == 0 {
        return 0.0;
    }
    let sum: f64 = line.iter().take(sample).map(|waiting| waiting.cost).sum();
    sum / sample as f64 * count as f64
}
