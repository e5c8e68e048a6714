//! What every wire test stands on: a world with a server, a database, a mailbox and a clock of its own, and the runner.

pub(crate) mod authenticator;
pub(crate) mod callers;
pub(crate) mod constraints;
pub(crate) mod contents;
pub(crate) mod disk;
pub(crate) mod dynamic;
pub(crate) mod follower;
pub(crate) mod grpcurl;
pub(crate) mod identity_provider;
pub(crate) mod ledger;
pub(crate) mod mailbox;
pub(crate) mod models;
pub(crate) mod otlp;
pub(crate) mod place;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod race;
pub(crate) mod real_provider;
pub(crate) mod runner;
pub(crate) mod scenario;
pub(crate) mod schedule;
pub(crate) mod sqlite;
pub(crate) mod steps;
pub(crate) mod tenant;
pub(crate) mod waiting;
pub(crate) mod world;

pub(crate) use roster::grpc::pb;
