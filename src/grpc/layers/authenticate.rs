//! Who calls, and whether they may call this method at all.
//!
//! A tower layer in front of every service of ours: it finds the method's access rule, refuses a method that has none, reads the credentials, and hands
//! both on. Health and reflection carry no data of ours and need no credential.

use std::{net::IpAddr, sync::Arc};

use chrono::{DateTime, Utc};
use http::{HeaderMap, Request, Response};
use secrecy::SecretString;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Code, Status, body::Body};
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            authentication::{self, Credentials},
            caller::Caller,
            directory::Freshness,
            error::{Error, Result},
            rule::{Proof, Rule},
        },
    },
    domain::error::Reason,
    grpc::{
        Peer,
        layers::around::{Around, Inner},
        wire::status::{defect, retryable},
    },
    platform::{
        fair_limit::FairLimit,
        fair_queue::{FairQueue, QueuePermit},
        network::Network,
    },
};

/// Calls of one connection that may be at work for as long as there is any place, however many others there are.
const LEAST: usize = 2;

/// The services that need no credential.
const OPEN: [&str; 2] = ["/grpc.health.v1.", "/grpc.reflection."];

/// What the layer found out about a call.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) caller: Caller,
    /// What the caller showed, for a stream that asks again with each message.
    pub(crate) credentials: Credentials,
    pub(crate) rule: &'static Rule,
    /// Whether the right that the rule asks for has been proven.
    pub(crate) proof: Proof,
    /// What the answer has to know of.
    pub(crate) freshness: Freshness,
    pub(crate) now: DateTime<Utc>,
    pub(crate) client_ip: Option<String>,
    /// Where in the network the connection comes from.
    pub(crate) peer: Option<Network>,
    /// The places of the calls at work.
    places: Arc<Semaphore>,
    /// The queue of those who read much, where the method does.
    reading: Option<FairQueue<Reader>>,
}

/// Who reads: the user, or the service that acts for no user.
type Reader = Option<Uuid>;

impl Admitted {
    /// A call without credentials, for tests of what comes behind the layer.
    #[cfg(test)]
    pub(crate) fn without_credentials(rule: &'static Rule, now: DateTime<Utc>) -> Self {
        Self {
            caller: Caller::default(),
            credentials: Credentials::default(),
            rule,
            proof: Proof::default(),
            freshness: Freshness::Full,
            now,
            client_ip: None,
            peer: None,
            places: Arc::new(Semaphore::new(1)),
            reading: None,
        }
    }

    /// A place among the calls at work for a message of a stream. Between its messages a stream has none: a client that sends nothing, or takes nothing, would
    /// keep it from the others for as long as it likes (ab_13). A call that has begun is not refused in the middle, but waits.
    ///
    /// # Errors
    /// `OVERLOADED`, where the server is closing.
    pub(crate) async fn permits(&self) -> std::result::Result<(OwnedSemaphorePermit, Option<QueuePermit>), Status> {
        let place = self.places.clone().acquire_owned().await;
        let place = place.map_err(|_| retryable(Reason::Overloaded))?;
        // In this order, as a call takes them, or two could wait for each other.
        Ok((place, self.reading_permit().await?))
    }

    /// A permit to read much, where the method does: they have some connections to the database and never all, so that checks find one (ab_54).
    async fn reading_permit(&self) -> std::result::Result<Option<QueuePermit>, Status> {
        let Some(reading) = &self.reading else {
            return Ok(None);
        };
        let user = self.caller.user.as_ref().map(|caller| caller.user.id);
        let reader = user.or(self.caller.service.as_ref().map(|service| service.account_id));
        let permit = reading.take(reader).await;
        permit.map(Some).map_err(|_| retryable(Reason::Overloaded))
    }
}

/// Finds out who calls before each call, and refuses who may not.
#[derive(Clone)]
pub(crate) struct Authenticate {
    app: Arc<App>,
    places: Arc<Semaphore>,
    calls: FairLimit<Peer>,
    reading: FairQueue<Reader>,
}

impl Authenticate {
    /// Lets `places` calls be at work at a time and refuses the next at once, so that an overloaded server answers quickly instead of queueing. No
    /// connection has more of them than what is left for the others. A call is at work from when its message has arrived until its answer begins.
    /// Of those that read many rows, `readers` are at it at a time, and the others wait for their turns.
    pub(crate) fn new(app: Arc<App>, places: usize, readers: usize) -> Self {
        Self {
            app,
            places: Arc::new(Semaphore::new(places)),
            calls: FairLimit::new(places, LEAST),
            reading: FairQueue::new(readers),
        }
    }
}

impl Around for Authenticate {
    async fn answer<S: Inner>(
        self,
        mut inner: S,
        mut request: Request<Body>,
    ) -> std::result::Result<Response<Body>, S::Error> {
        if OPEN.iter().any(|service| request.uri().path().starts_with(service)) {
            return inner.call(request).await;
        }
        let peer = Peer::of(request.extensions());
        let permit = self.calls.take(&peer, 1);
        let (Some(_of_peer), Ok(_call)) = (permit, self.places.clone().try_acquire_owned()) else {
            return Ok(retryable(Reason::Overloaded).into_http());
        };
        let freshness = request.extensions().get().copied().unwrap_or_default();
        let admitted = match self.admit(request.uri().path(), request.headers(), freshness, peer).await {
            Ok(admitted) => Arc::new(admitted),
            Err(error) => return Ok(Status::from(error).into_http()),
        };
        let _reading = match admitted.reading_permit().await {
            Ok(permit) => permit,
            Err(status) => return Ok(status.into_http()),
        };
        request.extensions_mut().insert(admitted.clone());
        let response = inner.call(request).await?;
        Ok(match admitted.caller.user {
            Some(_) => proven(admitted.rule, &admitted.proof, response),
            None => response,
        })
    }
}

impl Authenticate {
    async fn admit(&self, path: &str, headers: &HeaderMap, freshness: Freshness, peer: Peer) -> Result<Admitted> {
        // A path that is no method's is not repeated: it could be anything.
        let rule = Rule::of(path).ok_or(Reason::CallerNotAllowed)?;
        let now = self.app.clock.now();
        let credentials = credentials(headers)?;
        let caller = authentication::authenticate(&self.app, &credentials, freshness, now).await?;
        rule.admit(&caller)?;
        Ok(Admitted {
            // A person reports their own address at will; a service is believed.
            client_ip: caller
                .service
                .as_ref()
                .and_then(|_| header(headers, "roster-client-ip").ok().flatten())
                .and_then(network_address),
            caller,
            credentials,
            rule,
            proof: Proof::default(),
            freshness,
            now,
            peer: peer.address.map(Network::of),
            places: self.places.clone(),
            reading: rule.reads_much().then(|| self.reading.clone()),
        })
    }
}

/// The answer to a user, or that of a defect where the method has not asked for the right that its rule asks of them. A stream of requests is answered before the first of them is
/// looked at; each of them is committed with a proof of its own.
fn proven(rule: &Rule, proof: &Proof, response: Response<Body>) -> Response<Body> {
    let refused = Status::from_header_map(response.headers()).is_some_and(|status| status.code() != Code::Ok);
    match rule.unproven(proof) {
        Some(cause) if !refused && !rule.streams_requests => defect(&cause).into_http(),
        _ => response,
    }
}

/// A header that may be there once. One that is there twice, or in bytes that are no text, is an error and never counts as absent: whoever
/// passes on what a client sent would speak for themselves then, or for whom the client likes (ab_33).
fn header<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Reason::CredentialsInvalid.into()),
        (Some(_), Some(_)) => Err(Reason::CredentialsInvalid.into()),
    }
}

/// A reported network address in the one form that it is written in (RFC 5952). What is none is not kept: people read it among their sessions, and it stands for nothing else.
fn network_address(text: &str) -> Option<String> {
    let address: IpAddr = text.parse().ok()?;
    Some(address.to_canonical().to_string())
}

fn credentials(headers: &HeaderMap) -> Result<Credentials> {
    let invalid = || Error::from(Reason::CredentialsInvalid);
    let bearer = match header(headers, "authorization")? {
        None => None,
        Some(text) => {
            let (scheme, token) = text.split_once(' ').ok_or_else(invalid)?;
            // RFC 9110, 11.1: the scheme is case-insensitive.
            if !scheme.eq_ignore_ascii_case("bearer") {
                return Err(invalid());
            }
            Some(SecretString::from(token.trim()))
        }
    };
    let user = |name: &str| {
        let id = header(headers, name)?.map(Uuid::parse_str).transpose();
        id.map_err(|_| invalid())
    };
    Ok(Credentials {
        bearer,
        on_behalf_of: header(headers, "roster-on-behalf-of")?.map(SecretString::from),
        actor: user("roster-actor")?,
        requested_by: user("roster-requested-by")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_leaves_only_with_the_right_that_its_rule_asks() {
        let code = |path: &str, proof: &Proof, response: Response<Body>| {
            let response = proven(Rule::of(path).unwrap(), proof, response);
            Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
        };
        let (missing, given) = (Proof::default(), Proof::default());
        given.give();
        let answer = || Response::new(Body::empty());
        for path in ["/roster.v1.MemberService/ListMembers", "/roster.v1.UserService/GetUser"] {
            assert_eq!(code(path, &missing, answer()), Code::Internal, "{path}");
            assert_eq!(code(path, &given, answer()), Code::Ok, "{path}");
            let refusal = Status::not_found("").into_http();
            assert_eq!(code(path, &missing, refusal), Code::NotFound, "{path}");
        }
        for path in ["/roster.v1.SessionService/SignOut", "/roster.v1.UserService/ImportUsers"] {
            assert_eq!(code(path, &missing, answer()), Code::Ok, "{path}");
        }
    }
}
