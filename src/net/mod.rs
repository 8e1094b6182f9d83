//! The outgoing HTTP connections of the program, and the rules on where they may go. Nothing else builds a client.
//!
//! Read in this order: which URLs may be asked for (`policy`), how names become
//! checked addresses (`resolver`), the client that obeys all of it (`outgoing`), and the connections that need no
//! policy, a worker's to its server and to where that sends its files (`server`).

mod outgoing;
mod policy;
mod resolver;
mod server;

pub use outgoing::{FetchError, Outgoing, Post, PostAnswer, PostError};
pub use policy::{Policy, PolicySettings, Purpose, Refusal, Target};
pub use resolver::{Lookup, Names, SystemNames};
pub use server::{DirectClient, ServerAddress, ServerClient};
