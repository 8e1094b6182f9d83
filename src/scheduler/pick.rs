//! Which job a worker gets. Pure: a snapshot in, a choice out.
//!
//! Projects share the pool by predicted seconds: whoever has been charged least goes first, first in first out within one
//! project. A worker stays with its resident model while that has work, unless a job of another model has waited too long.

use super::policy::Policy;
use crate::domain::clock::UnixMillis;
use crate::domain::id::{ProjectId, VideoId};
use crate::domain::model::ModelId;

/// What waits, seen by one worker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    pub lanes: Vec<Lane>,
}

/// A project that has work.
#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    pub project: ProjectId,
    /// Seconds charged so far, over the project's weight.
    pub charged: f64,
    /// Jobs that run now.
    pub running: u32,
    /// The most that may, if the project has a limit of its own.
    pub most_running: Option<u32>,
    /// The first job of each model that may start now on this worker.
    pub heads: Vec<Head>,
}

/// A job at the head of its queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    pub video: VideoId,
    pub model: ModelId,
    pub waiting_since: UnixMillis,
}

/// The worker that asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Asking {
    pub name: String,
    pub hosted: Vec<ModelId>,
    pub resident: Vec<ModelId>,
    /// Models that some other living worker hosts too.
    pub hosted_elsewhere: Vec<ModelId>,
}

/// The project and job to hand out, or `None` if nothing fits.
pub fn pick(
    snapshot: &Snapshot,
    worker: &Asking,
    policy: &Policy,
    now: UnixMillis,
) -> Option<(ProjectId, VideoId)> {
    let fits = |head: &&Head| worker.hosted.contains(&head.model);
    let open = |lane: &&Lane| {
        let most = lane.most_running.or(policy.max_running_per_project);
        most.is_none_or(|most| lane.running < most)
    };
    let candidates: Vec<(&Lane, &Head)> = snapshot
        .lanes
        .iter()
        .filter(open)
        .flat_map(|lane| lane.heads.iter().filter(fits).map(move |head| (lane, head)))
        .collect();
    let stays = candidates.iter().any(|(_, head)| worker.resident.contains(&head.model));
    let allowed = |head: &Head| {
        !stays || worker.resident.contains(&head.model) || now.since(head.waiting_since) >= policy.residency
    };
    candidates
        .into_iter()
        .filter(|(_, head)| allowed(head))
        .min_by(|(a, one), (b, other)| a.charged.total_cmp(&b.charged).then(one.video.cmp(&other.video)))
        .map(|(lane, head)| (lane.project, head.video))
}

impl Asking {
    /// Whether a job that should avoid a worker is another's to take: this is the one, and some other hosts the model.
    pub(super) fn leaves_to_others(&self, model: &ModelId, avoid: Option<&str>) -> bool {
        avoid == Some(&self.name) && self.hosted_elsewhere.contains(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::ID_RANDOM_BYTES;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn project(number: u64) -> ProjectId {
        ProjectId::new(number, [0; ID_RANDOM_BYTES])
    }

    fn head(number: u64, model: &str) -> Head {
        let video = VideoId::new(number, [0; ID_RANDOM_BYTES]);
        Head { video, model: ModelId::new(model), waiting_since: NOW }
    }

    fn lane(number: u64, charged: f64, heads: Vec<Head>) -> Lane {
        Lane { project: project(number), charged, running: 0, most_running: None, heads }
    }

    fn worker() -> Asking {
        let models = |names: &[&str]| names.iter().map(|name| ModelId::new(name)).collect();
        Asking {
            name: "gpu-0".into(),
            hosted: models(&["a", "b"]),
            resident: models(&["a"]),
            hosted_elsewhere: vec![],
        }
    }

    fn picked(lanes: Vec<Lane>, policy: &Policy) -> Option<u64> {
        let choice = pick(&Snapshot { lanes }, &worker(), policy, NOW);
        choice.map(|(_, video)| video.unix_millis())
    }

    #[test]
    fn who_was_charged_least_goes_first() {
        let lanes = vec![lane(1, 9.0, vec![head(1, "a")]), lane(2, 3.0, vec![head(2, "a")])];
        assert_eq!(picked(lanes, &Policy::default()), Some(2));
    }

    #[test]
    fn a_worker_stays_with_its_model_until_another_has_waited_too_long() {
        let mut other = head(2, "b");
        let lanes = |other: &Head| vec![lane(1, 9.0, vec![head(1, "a")]), lane(2, 0.0, vec![other.clone()])];
        assert_eq!(picked(lanes(&other), &Policy::default()), Some(1));
        other.waiting_since = UnixMillis(NOW.0 - 120_000);
        assert_eq!(picked(lanes(&other), &Policy::default()), Some(2));
        assert_eq!(picked(vec![lane(1, 0.0, vec![head(3, "c")])], &Policy::default()), None);
    }

    #[test]
    fn a_project_at_its_limit_waits() {
        let policy = Policy { max_running_per_project: Some(2), ..Policy::default() };
        let full = Lane { running: 2, ..lane(1, 0.0, vec![head(1, "a")]) };
        assert_eq!(picked(vec![full.clone()], &policy), None);
        let own = |most| Lane { most_running: Some(most), ..full.clone() };
        assert_eq!(picked(vec![own(3)], &policy), Some(1), "its own limit counts");
        assert_eq!(picked(vec![own(1)], &Policy::default()), None);
        assert_eq!(picked(vec![full, lane(2, 5.0, vec![head(2, "a")])], &policy), Some(2));
    }
}
