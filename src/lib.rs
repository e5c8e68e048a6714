//! Roster: who a person is, which organizations they belong to, what they may do there, and how they got in.
//!
//! The layers and their rules are described in `docs/architecture.md`. Imports point one way: `grpc` to `app`, `app` to `store`, and everything to
//! `domain`; `outbox` to `store` and `domain`; `domain` and `platform` to nothing of ours.

pub mod admin;
pub mod config;
pub mod domain;
pub mod grpc;
pub mod http;
pub mod platform;
pub mod server;

mod app;
mod outbox;
mod store;
