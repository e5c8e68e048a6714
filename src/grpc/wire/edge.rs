//! The way of every call from a request to a use case's context and command.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access::require_no_colleague,
            authentication::authenticate,
            caller::Caller,
            context::{Ctx, Named, RequestIdentity},
            directory::Freshness,
            error::Error,
            mutation::Answer,
            rule::Rule,
        },
    },
    domain::{digest::sha256, error::Reason},
    grpc::{
        layers::authenticate::Admitted,
        pb,
        wire::{
            fields::{Fields, Parse},
            requests::Ruled,
            status::refuse,
        },
    },
};

/// Implements the services of the contract.
#[derive(Clone)]
pub(crate) struct Edge {
    pub(crate) app: Arc<App>,
    /// Ends the streams that would go on for ever.
    pub(crate) stop: CancellationToken,
}

impl Edge {
    /// The edge of an application.
    pub(crate) fn new(app: Arc<App>, stop: CancellationToken) -> Self {
        Self { app, stop }
    }

    /// The call's context and command.
    ///
    /// # Errors
    /// Every violated field at once. A call that did not pass authentication is refused, and one about a colleague that is only for themselves: `SELF_ONLY`.
    pub(crate) async fn admit<R: Parse + Ruled>(&self, request: Request<R>) -> Result<(Ctx, R::Command), Status> {
        let admitted = admitted(&request)?;
        let caller = admitted.caller.clone();
        self.read(&admitted, caller, admitted.now, &request.into_inner()).await
    }

    /// The same for a message of a stream, by who its caller is now: credentials may have been taken back since the stream began.
    ///
    /// # Errors
    /// Those of a new call.
    pub(crate) async fn admit_again<R: Parse + Ruled>(
        &self,
        admitted: &Admitted,
        message: &R,
    ) -> Result<(Ctx, R::Command), Status> {
        let now = self.app.clock.now();
        let caller = authenticate(&self.app, &admitted.credentials, Freshness::Full, now).await?;
        admitted.rule.admit(&caller).map_err(Error::from)?;
        admitted.proof.withdraw();
        self.read(admitted, caller, now, message).await
    }

    /// The command of a request that has been read before, as a stream changed it.
    ///
    /// # Errors
    /// Every violated field at once.
    pub(crate) fn command<R: Parse>(&self, rule: &Rule, message: &R) -> Result<R::Command, Status> {
        Ok(self.parse(rule, self.app.clock.now(), message)?.0)
    }

    fn parse<R: Parse>(
        &self,
        rule: &Rule,
        now: DateTime<Utc>,
        message: &R,
    ) -> Result<(R::Command, Option<Uuid>), Error> {
        let mut fields = Fields::new(&self.app.passwords, now, rule.method);
        let command = message.parse(&mut fields);
        fields.finish(command)
    }

    async fn read<R: Parse + Ruled>(
        &self,
        admitted: &Admitted,
        caller: Caller,
        now: DateTime<Utc>,
        message: &R,
    ) -> Result<(Ctx, R::Command), Status> {
        let (command, request_id) = self.parse(admitted.rule, now, message)?;
        let caller = match admitted.rule.names_actor {
            true => caller.by_the_services_right(),
            false => caller,
        };
        let ctx = Ctx {
            caller,
            rule: admitted.rule,
            named: Named { organization: id_in(message.organization()), user: id_in(message.user()) },
            proof: admitted.proof.clone(),
            freshness: admitted.freshness,
            now,
            request: request_id.map(|id| RequestIdentity { id, fingerprint: fingerprint(message) }),
            client_ip: admitted.client_ip.clone(),
            peer: admitted.peer,
        };
        require_no_colleague(&self.app, &ctx).await?;
        Ok((ctx, command))
    }
}

/// What the layer in front found out about a call.
///
/// # Errors
/// `CREDENTIALS_MISSING`: without the layer in front there is no caller, and the call is refused.
pub(crate) fn admitted<T>(request: &Request<T>) -> Result<Arc<Admitted>, Status> {
    let admitted = request.extensions().get::<Arc<Admitted>>().cloned();
    admitted.ok_or_else(|| refuse(&Reason::CredentialsMissing.into()))
}

fn id_in(field: Option<&str>) -> Option<Uuid> {
    field.and_then(|text| Uuid::parse_str(text).ok())
}

fn fingerprint(message: &impl Message) -> [u8; 32] {
    sha256(&message.encode_to_vec())
}

/// A response of the contract is what the use case's outcome converts to, and is kept in its wire form.
impl<T, M: Message + Default + From<T>> Answer<T> for M {
    fn of(outcome: T) -> Self {
        outcome.into()
    }

    fn encode(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        <M as Message>::decode(bytes).ok()
    }
}

/// Requests without fields.
macro_rules! empty_requests {
    ($($request:ty),*) => {
        $(impl Parse for $request {
            type Command = ();

            fn parse(&self, _fields: &mut Fields<'_>) -> Option<()> {
                Some(())
            }
        })*
    };
}

empty_requests!(pb::ListAccessModelsRequest, pb::GetMeRequest, pb::SignOutRequest);
