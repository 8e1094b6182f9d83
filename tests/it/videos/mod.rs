//! `/v1/videos…` over HTTP, a file a verb.

mod cancel;
mod content;
mod create;
mod events;
mod from_image;
mod idempotency;
mod list;
mod order;
mod read;
mod remix;
mod warnings;
