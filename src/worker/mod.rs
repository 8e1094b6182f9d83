//! The other side of the lease protocol: takes a job, makes the video, stores it, says so.
//! Holds no key to the database or the storage, and decides nothing about who comes next.
//!
//! Read in this order: the loop (`run`), one job (`attempt`), its sign of life (`heartbeat`) and how far it is
//! (`progress`), the thread that owns the models (`engine_thread`), the frames on their way to a file (`publish`),
//! why there is no video (`failure`), the calls (`client`), the devices (`devices`).

mod attempt;
mod client;
mod devices;
mod engine_thread;
mod failure;
mod heartbeat;
mod progress;
mod publish;
mod run;

pub use devices::ProcessMemory;
pub use run::{Ended, OfferedModel, Setup, WorkerError, run};
