//! The server's time limit for one call.
//!
//! tonic has one too, which answers CANCELLED without details: a caller could not tell it from a call that they gave up themselves.

use std::time::Duration;

use http::{Request, Response};
use tonic::body::Body;

use crate::{
    domain::error::Reason,
    grpc::{
        layers::around::{Around, Inner},
        wire::status::refuse,
    },
};

/// A time limit for each call, until its answer begins; what then follows of a stream is not limited.
#[derive(Clone)]
pub(crate) struct Deadline(pub(crate) Duration);

impl Around for Deadline {
    async fn answer<S: Inner>(self, mut inner: S, request: Request<Body>) -> Result<Response<Body>, S::Error> {
        match tokio::time::timeout(self.0, inner.call(request)).await {
            Ok(answer) => answer,
            // The work is dropped with its future, and its transaction taken back.
            Err(_) => Ok(refuse(&Reason::DeadlineExceeded.into()).into_http()),
        }
    }
}
