//! One binary for every integration test: linking once is what keeps CI short.

mod generate;
mod goldens;
mod layers;
mod models;
mod openapi;
mod serve;
