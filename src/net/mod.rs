//! The outgoing HTTP connections of the program, and the rules on where they may go. Nothing else builds a client.
//!
//! Read in this order: which addresses are public (`address`), which URLs may be asked for (`policy`), how names become
//! checked addresses (`resolver`), and the client that obeys all of it (`outgoing`).

mod address;
mod outgoing;
mod policy;
mod resolver;

pub use address::{BadCidr, Cidr, is_global};
pub use outgoing::{FetchError, Outgoing, Post, PostAnswer, PostError};
pub use policy::{Policy, PolicySettings, Purpose, Refusal, Target};
pub use resolver::{Lookup, Names, SystemNames};
