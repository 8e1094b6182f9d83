//! Orders about models on their way: how they reach a worker and how they stand beside jobs.

use super::tests::{Bench, models};
use super::*;
use crate::domain::id::WorkerId;
use crate::domain::lease::{CarriedOut, LeaseAnswer, LeaseRequest, Orders};
use crate::domain::model::ModelId;

fn tiny() -> ModelId {
    models().remove(0).id
}

fn resident(resident: bool) -> LeaseRequest {
    let models = models().into_iter().map(|model| crate::domain::lease::HostedModel { resident, ..model });
    LeaseRequest { models: models.collect(), ..LeaseRequest::default() }
}

async fn ask(bench: &Bench, worker: WorkerId, request: LeaseRequest) -> LeaseAnswer {
    bench.scheduler.lease(worker, request).await.unwrap()
}

fn view(bench: &Bench) -> WorkerView {
    bench.scheduler.workers().remove(0)
}

#[tokio::test]
async fn an_order_wakes_the_worker_and_comes_before_the_next_job() {
    let bench = Bench::new().await;
    let worker = bench.worker("cpu", true).await;
    let long = LeaseRequest { wait_ms: 10_000, ..resident(true) };
    let order = async { bench.scheduler.order_model(worker, &tiny(), false).unwrap() };
    let (answer, ()) = futures_util::join!(ask(&bench, worker, long), order);
    assert!(answer.lease.is_none() && answer.orders == Orders::default());
    let [order] = &answer.models[..] else { panic!("{:?}", answer.models) };
    assert!(order.model == tiny() && !order.resident);
    assert_eq!(view(&bench).state, WorkerState::Unloading);

    let video = bench.submit(1, 1).await;
    let occupied = LeaseRequest { occupied: true, ..resident(true) };
    let answer = ask(&bench, worker, occupied).await;
    assert!(answer.lease.is_none(), "it is busy with its models");
    assert_eq!(answer.models, std::slice::from_ref(order), "told again until it is done");
    let done = CarriedOut { number: order.number, error: None };
    let answer = ask(&bench, worker, LeaseRequest { carried_out: vec![done], ..resident(false) }).await;
    assert_eq!(answer.models, []);
    assert_eq!(answer.lease.unwrap().video, video, "a job is worth loading the model again");
    let view = view(&bench);
    assert_eq!((view.state, view.models[0].ordered), (WorkerState::Busy, None));
}

#[tokio::test]
async fn a_worker_that_knows_no_such_orders_goes_on_with_its_jobs() {
    let bench = Bench::new().await;
    let worker = bench.worker("cpu", true).await;
    ask(&bench, worker, resident(true)).await;
    bench.scheduler.order_model(worker, &tiny(), false).unwrap();
    bench.submit(1, 1).await;
    assert!(ask(&bench, worker, resident(true)).await.lease.is_none(), "it is told first");
    assert!(ask(&bench, worker, resident(true)).await.lease.is_some());
    assert_eq!(view(&bench).models[0].ordered, Some(false));
}

#[tokio::test]
async fn a_draining_worker_is_told_and_an_order_ends_with_its_process() {
    let bench = Bench::new().await;
    let worker = bench.worker("cpu", true).await;
    ask(&bench, worker, resident(true)).await;
    bench.scheduler.order(worker, Orders { drain: true, ..Orders::default() }, None);
    bench.scheduler.order_model(worker, &tiny(), false).unwrap();
    assert_eq!(view(&bench).state, WorkerState::Draining);
    assert_eq!(ask(&bench, worker, resident(true)).await.models.len(), 1);
    bench.scheduler.lost("cpu").await;
    assert_eq!(bench.scheduler.order_model(worker, &tiny(), true), Err(OrderRefused::UnknownWorker));
    let fresh = bench.worker("cpu", true).await;
    assert_eq!(ask(&bench, fresh, resident(true)).await.models, []);
    let other = ModelId::new("another");
    assert_eq!(bench.scheduler.order_model(fresh, &other, true), Err(OrderRefused::NotHosted));
}

#[tokio::test]
async fn a_worker_is_ready_once_its_first_model_is_there() {
    let bench = Bench::new().await;
    let worker = bench.worker("cpu", true).await;
    bench.submit(1, 1).await;
    let loading = LeaseRequest { occupied: true, ..resident(false) };
    assert!(ask(&bench, worker, loading).await.lease.is_none());
    assert_eq!((view(&bench).state, bench.scheduler.ready_workers()), (WorkerState::Starting, (0, 1)));
    assert!(ask(&bench, worker, resident(true)).await.lease.is_some());
    assert_eq!(bench.scheduler.ready_workers(), (1, 1));
}
