//! Which job runs on which worker, and when. Truth moves only by rows of the store; what is held here is rebuilt from them.
//! Never touches tensors; speaks HTTP only in `http`, with workers.
//!
//! Read in this order: the choice (`pick`, over `queue`), the numbers (`policy`, `retry`, `estimates`), who is there
//! (`workers`, `model_orders`, `presence`, `leases`), and the handle that joins them (`handle`, `protocol`,
//! `heartbeat`, `watchdog`).

mod changes;
mod error;
mod estimates;
#[cfg(test)]
mod fairness;
mod handle;
mod heartbeat;
mod http;
mod leases;
mod model_orders;
#[cfg(test)]
mod model_orders_tests;
mod pick;
mod policy;
mod presence;
mod protocol;
mod queue;
mod report;
mod retry;
mod system;
#[cfg(test)]
mod tests;
mod watchdog;
mod workers;

pub use changes::Watch;
pub use error::SchedulerError;
pub use handle::{Expected, Outlook, Overload, Parts, Scheduler};
pub use http::{WorkerAccess, configure};
pub use model_orders::ModelView;
pub use pick::{Asking, Head, Lane, Snapshot, pick};
pub use policy::Policy;
pub use queue::Backlog;
pub use system::{SystemClock, SystemRandom};
pub use watchdog::Watchdog;
pub use workers::{OrderRefused, WorkerState, WorkerView};
