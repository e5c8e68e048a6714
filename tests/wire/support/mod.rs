//! What every wire test stands on: a world with a server, a database, a mailbox and a clock of its own, and the runner.

pub(crate) mod grpcurl;
pub(crate) mod mailbox;
pub(crate) mod postgres;
pub(crate) mod runner;
pub(crate) mod scenario;
pub(crate) mod world;

pub(crate) use roster::grpc::pb;
