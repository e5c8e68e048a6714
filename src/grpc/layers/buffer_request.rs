//! The message of a call, which has to be there as a whole before the call is looked at.
//!
//! Until then a call is at no work and has no place among those that are: headers alone cost their sender nothing, and would keep the places from everybody (ab_32). What arrives is
//! bounded for the process, and no connection has more of it than what is left for the others.

use std::time::Duration;

use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use prost::{
    bytes::{Buf, Bytes},
    encoding::{DecodeContext, WireType, decode_key, message::merge, skip_field},
};
use tonic::{Status, body::Body};

use crate::{
    app::call::{directory::Freshness, rule::Rule},
    domain::error::Reason,
    grpc::{
        Peer,
        layers::around::{Around, Inner},
        pb,
        wire::status::{refuse, retryable},
    },
    platform::fair_limit::{FairLimit, FairPermit},
};

/// Bytes of calls that are arriving, in the whole process.
const ARRIVING: usize = 64 * 1024 * 1024;
/// What a call costs beside its headers and its message.
const CALL: usize = 4 * 1024;
/// What stands before a message: whether it is compressed, and its length in four bytes.
const FRAME: usize = 5;
/// Calls whose answer may begin before their message is there.
const CONVERSATION: &str = "/grpc.reflection.";

/// Waits for the whole message before each call.
#[derive(Clone)]
pub(crate) struct BufferRequest {
    limit: Duration,
    largest: usize,
    arriving: FairLimit<Peer>,
}

impl BufferRequest {
    /// Gives messages of up to `largest` bytes the time `limit` to arrive.
    pub(crate) fn new(limit: Duration, largest: usize) -> Self {
        Self { limit, largest, arriving: FairLimit::new(ARRIVING, 0) }
    }

    /// The whole message of a call.
    async fn message(&self, peer: Peer, headers: &HeaderMap, body: Body) -> Result<Bytes, Status> {
        let overloaded = || retryable(Reason::Overloaded);
        let headers = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
        let mut share = self.arriving.take(&peer, CALL + headers).ok_or_else(overloaded)?;
        let whole = tokio::time::timeout(self.limit, self.read(body, &mut share));
        match whole.await {
            Ok(message) => message,
            Err(_) => Err(refuse(&Reason::DeadlineExceeded.into())),
        }
    }

    /// Reads to the end, and of what is longer than a message may be only enough for tonic to say so.
    async fn read(&self, mut body: Body, share: &mut FairPermit<Peer>) -> Result<Bytes, Status> {
        let mut message = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            if !share.grow(data.len()) {
                return Err(retryable(Reason::Overloaded));
            }
            message.extend_from_slice(&data);
            let announced = message.get(1..FRAME).map(|mut length| length.get_u32());
            if announced.is_some_and(|length| length as usize > self.largest) || message.len() > FRAME + self.largest {
                break;
            }
        }
        Ok(message.into())
    }
}

/// What a call's answer has to know of, by this field of its message. Everything, where that cannot be told: the message is compressed or broken, or the method has no such field.
fn freshness(field: u32, message: &Bytes) -> Freshness {
    let read = || {
        let (flag, mut rest) = (message.first()?, message.get(FRAME..)?);
        let mut consistency = pb::Consistency::default();
        while *flag == 0 && rest.has_remaining() {
            let (tag, wire) = decode_key(&mut rest).ok()?;
            match tag == field && wire == WireType::LengthDelimited {
                true => merge(wire, &mut consistency, &mut rest, DecodeContext::default()).ok()?,
                false => skip_field(wire, tag, &mut rest, DecodeContext::default()).ok()?,
            }
        }
        Some(Freshness::from(&consistency))
    };
    if field == 0 { Freshness::Full } else { read().unwrap_or_default() }
}

impl Around for BufferRequest {
    async fn answer<S: Inner>(self, mut inner: S, request: Request<Body>) -> Result<Response<Body>, S::Error> {
        let path = request.uri().path();
        if path.starts_with(CONVERSATION) || Rule::of(path).is_some_and(|rule| rule.streams_requests) {
            return inner.call(request).await;
        }
        let field = Rule::of(path).map_or(0, |rule| rule.consistency);
        let (mut head, body) = request.into_parts();
        match self.message(Peer::of(&head.extensions), &head.headers, body).await {
            Ok(message) => {
                // Who calls is found out before the request is parsed, and as freshly as it asks for.
                head.extensions.insert(freshness(field, &message));
                inner.call(Request::from_parts(head, Body::new(Full::new(message)))).await
            }
            Err(status) => Ok(status.into_http()),
        }
    }
}
