//! Whether the queue shares the service of its workers as it promises.

use super::queue::{Queue, Waiting};
use super::*;
use crate::domain::clock::UnixMillis;
use crate::domain::estimate::Shape;
use crate::domain::id::VideoId;
use crate::domain::model::ModelId;
use crate::domain::sample;
use crate::domain::size::Resolution;

proptest::proptest! {
    /// Two projects that always have work are never further apart than twice the largest job.
    #[test]
    fn service_is_shared_fairly(costs in proptest::collection::vec((1u32..100, 1u32..100), 200)) {
        let mut queue = Queue::default();
        let at = UnixMillis(1);
        let waiting = |project: u64, number: usize, cost: u32| Waiting {
            video: VideoId::new(number as u64, [project as u8; 10]),
            project: sample::scope(project).project,
            shape: Shape { model: ModelId::new("m"), resolution: Resolution::P128, steps: 1, frames: 17 },
            cost: f64::from(cost),
            not_before: at,
            avoid: None,
            fresh: true,
        };
        for (number, (one, two)) in costs.iter().enumerate() {
            queue.push(waiting(1, number, *one));
            queue.push(waiting(2, number, *two));
        }
        let worker = Asking {
            name: "w".into(),
            hosted: vec![ModelId::new("m")],
            resident: vec![],
            hosted_elsewhere: vec![],
        };
        let mut served = [0.0f64; 2];
        for _ in 0..200 {
            let snapshot = queue.snapshot(at);
            if snapshot.lanes.len() < 2 {
                break;
            }
            let (_, video) = pick(&snapshot, &worker, &Policy::default(), at).unwrap();
            let taken = queue.start(video).unwrap();
            queue.stop(taken.project, taken.cost, taken.cost);
            served[usize::from(taken.project != sample::scope(1).project)] += taken.cost;
            proptest::prop_assert!((served[0] - served[1]).abs() <= 200.0, "{served:?}");
        }
    }
}
