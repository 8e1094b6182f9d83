//! Sweeps under a clock that lies.

use std::time::Duration;

use super::Retention;
use super::tests::{BY, Bench, new_job, scope};
use crate::domain::jump::Jumps;

/// Past every time that anything is kept for.
const A_MONTH: Duration = Duration::from_secs(31 * 24 * 3600);

/// Between two sweeps.
const A_MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_clock_that_is_a_month_ahead_for_a_minute_removes_nothing() {
    let bench = Bench::new().await;
    let (done, cancelled) = (bench.submit(new_job()).await, bench.submit(new_job()).await);
    let result = bench.complete(done).await;
    bench.jobs.cancel(scope(), cancelled, BY).await.unwrap();

    let (mut jumps, retention) = (Jumps::default(), Retention::default());
    bench.jobs.sweep_unless_paused(&mut jumps, &retention).await;
    for ahead in [A_MONTH, Duration::ZERO, Duration::ZERO] {
        bench.clock.pass(A_MINUTE);
        bench.clock.set_ahead(ahead);
        bench.jobs.sweep_unless_paused(&mut jumps, &retention).await;
        assert!(!bench.jobs.get(scope(), done).await.unwrap().job.status.expired);
        assert!(bench.jobs.get(scope(), cancelled).await.is_ok());
    }
    assert_eq!(bench.storage.head(&result).await.unwrap(), Some(4));

    // One that stays there is believed after the pause.
    bench.clock.set_ahead(A_MONTH);
    bench.jobs.sweep_unless_paused(&mut jumps, &retention).await;
    assert!(bench.jobs.get(scope(), done).await.is_ok());
    bench.clock.pass(A_MINUTE);
    bench.jobs.sweep_unless_paused(&mut jumps, &retention).await;
    assert!(bench.jobs.get(scope(), done).await.is_err());
}
