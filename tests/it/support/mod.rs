//! What tests share: a server in this process, a client, a worker that follows a script; eyes for finished clips.

mod app;
mod bucket;
mod client;
pub(crate) mod clip;
mod clock;
mod documented;
pub(crate) mod judge;
mod mp4;
mod picture;
pub(crate) mod postgres;
mod sink;
mod worker;

pub(crate) use app::{Setup, TestApp, capabilities, deployed};
pub(crate) use bucket::{ACCESS_KEY, BUCKET, Bucket, Mood, SECRET_KEY};
pub(crate) use client::{Answer, Client, Part};
pub(crate) use mp4::{ClipFacts, clip_facts};
pub(crate) use picture::{encoded, jpeg, png};
pub(crate) use sink::{Received, Sink};
pub(crate) use worker::{CLIP, Script, THUMBNAIL};
