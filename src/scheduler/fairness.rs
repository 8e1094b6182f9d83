//! Whether the queue shares the service of its workers as it promises, and lets none idle that could serve.

use super::queue::{Queue, Waiting};
use super::tests::Bench;
use super::*;
use crate::domain::clock::UnixMillis;
use crate::domain::estimate::Shape;
use crate::domain::failure::FailureClass;
use crate::domain::id::VideoId;
use crate::domain::model::ModelId;
use crate::domain::sample;
use crate::domain::size::Resolution;

const NOW: UnixMillis = UnixMillis(1);

fn waiting(project: u64, number: usize, cost: u32) -> Waiting {
    Waiting {
        video: VideoId::new(number as u64, [project as u8; 10]),
        project: sample::scope(project).project,
        shape: Shape { model: ModelId::new("m"), resolution: Resolution::P128, steps: 1, frames: 17 },
        cost: f64::from(cost),
        not_before: NOW,
        avoid: None,
        fresh: true,
    }
}

fn worker() -> Asking {
    Asking { name: "w".into(), hosted: vec![ModelId::new("m")], resident: vec![], hosted_elsewhere: vec![] }
}

/// Takes the next job out of line.
fn next(queue: &mut Queue, worker: &Asking) -> Option<Waiting> {
    let (_, video) = pick(&queue.snapshot(worker, NOW), worker, &Policy::default(), NOW)?;
    queue.start(video)
}

proptest::proptest! {
    /// Two projects that always have work are never further apart than twice the largest job.
    #[test]
    fn service_is_shared_fairly(costs in proptest::collection::vec((1u32..100, 1u32..100), 200)) {
        let mut queue = Queue::default();
        for (number, (one, two)) in costs.iter().enumerate() {
            queue.push(waiting(1, number, *one));
            queue.push(waiting(2, number, *two));
        }
        let worker = worker();
        let mut served = [0.0f64; 2];
        for _ in 0..200 {
            if queue.snapshot(&worker, NOW).lanes.len() < 2 {
                break;
            }
            let taken = next(&mut queue, &worker).unwrap();
            queue.stop(taken.project, taken.cost, taken.cost);
            served[usize::from(taken.project != sample::scope(1).project)] += taken.cost;
            proptest::prop_assert!((served[0] - served[1]).abs() <= 200.0, "{served:?}");
        }
    }

    /// Whatever was tried where before: a worker takes what is its own to take, first in first out, and leaves nothing
    /// but what others should take.
    #[test]
    fn no_worker_idles_behind_a_job_that_it_leaves_to_others(
        failed in proptest::collection::vec(proptest::option::of(0..2usize), 1..20),
    ) {
        let names = ["w", "other"];
        let mut queue = Queue::default();
        for (number, on) in failed.iter().enumerate() {
            queue.push(Waiting { avoid: on.map(|on| names[on].to_owned()), ..waiting(1, number, 1) });
        }
        let worker = Asking { hosted_elsewhere: vec![ModelId::new("m")], ..worker() };
        let taken: Vec<_> = std::iter::from_fn(|| next(&mut queue, &worker)).map(|job| job.video).collect();
        let own = (0..failed.len()).filter(|number| failed[*number] != Some(0));
        proptest::prop_assert_eq!(taken, own.map(|number| waiting(1, number, 1).video).collect::<Vec<_>>());
    }
}

#[test]
fn a_job_goes_back_to_the_worker_it_failed_on_only_if_no_other_has_the_model() {
    let mut queue = Queue::default();
    queue.push(Waiting { avoid: Some("w".to_owned()), ..waiting(1, 1, 1) });
    let among_others = Asking { hosted_elsewhere: vec![ModelId::new("m")], ..worker() };
    assert_eq!(next(&mut queue, &among_others), None);
    assert!(next(&mut queue, &worker()).is_some());
}

#[tokio::test]
async fn a_job_that_was_handed_back_may_return_to_where_it_was() {
    let mut bench = Bench::new().await;
    let worker = bench.worker("a", false).await;
    bench.worker("b", false).await;
    let video = bench.submit(1, 1).await;
    let lease = bench.lease(worker).await.unwrap();
    bench.fail(worker, &lease, FailureClass::HandedBack).await;
    let again = bench.lease(worker).await.unwrap();
    assert_eq!((again.video, again.attempt), (video, 1));
    bench.fail(worker, &again, FailureClass::Infra).await;
    bench.pass(1).await;
    assert_eq!(bench.lease(worker).await, None, "a fault is another worker's to try");
}
