//! Who calls, by which rule, and when: what every use case gets to know of its call.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    app::call::{
        caller::Caller,
        directory::Freshness,
        error::{Error, Result},
        rule::{Proof, Rule},
    },
    domain::{
        authority::Authority,
        error::{Reason, Refusal},
        scope::{self, Scopes},
    },
    platform::network::Network,
    store::{Actor, Event, Member, Organization, ReplayKey, Session, StoreError, Tx, User},
};

/// The organization and the user that the method's rule names, as they are in the request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Named {
    /// Where the rule's permission is looked up.
    pub(crate) organization: Option<Uuid>,
    /// Who may call for themselves.
    pub(crate) user: Option<Uuid>,
}

/// What a use case knows of its call.
#[derive(Debug, Clone)]
pub(crate) struct Ctx {
    /// Who calls.
    pub(crate) caller: Caller,
    /// The method's rule.
    pub(crate) rule: &'static Rule,
    /// What the rule names, as the request has it.
    pub(crate) named: Named,
    /// Whether the right that the rule asks for has been proven.
    pub(crate) proof: Proof,
    /// What the answer has to know of.
    pub(crate) freshness: Freshness,
    /// The time of the call, read once.
    pub(crate) now: DateTime<Utc>,
    /// The id that makes the call safe to repeat, with a fingerprint of the request.
    pub(crate) request: Option<RequestIdentity>,
    /// The network address of the person, where a service reported it.
    pub(crate) client_ip: Option<String>,
    /// Where in the network the connection comes from: behind a proxy, where the proxy is.
    pub(crate) peer: Option<Network>,
}

/// The id that a caller gave a call, and what the call was.
#[derive(Debug, Clone)]
pub(crate) struct RequestIdentity {
    /// The id.
    pub(crate) id: Uuid,
    /// A digest of the request, to tell a repetition from another request under the same id.
    pub(crate) fingerprint: [u8; 32],
}

impl Ctx {
    /// What the server does by itself because a person has asked for it earlier: recorded as theirs, by no right of a caller.
    pub(crate) fn of_the_person(user: Uuid, now: DateTime<Utc>) -> Self {
        // No method, so that nobody calls it.
        static BY_ITSELF: LazyLock<Rule> = LazyLock::new(Rule::default);
        Self {
            caller: Caller { named: Some(user), ..Caller::default() },
            rule: &BY_ITSELF,
            named: Named::default(),
            proof: Proof::default(),
            freshness: Freshness::default(),
            now,
            request: None,
            client_ip: None,
            peer: None,
        }
    }

    /// Where in the network the person is, where a service reported it.
    pub(crate) fn network(&self) -> Option<Network> {
        self.client_ip.as_deref().and_then(Network::parse)
    }

    /// Who calls, as a number to tell callers apart by: a service, a user, or where the connection comes from.
    pub(crate) fn caller_number(&self) -> u128 {
        let service = self.caller.service.as_ref().map(|service| service.account_id);
        let id = service.or(self.caller.user_id()).map(|id| id.as_u128());
        id.or(self.peer.map(Network::number)).unwrap_or_default()
    }

    /// Who stands in the event.
    pub(crate) fn actor(&self) -> Actor {
        Actor {
            user: self.caller.user_id().or(self.caller.named),
            service_account: self.caller.service.as_ref().map(|service| service.account_id),
        }
    }

    /// The key that a service calls with, and the scopes that it needs for this very call: the method's, and the one to act as a user it names. Kept with what waits for somebody's
    /// answer, so that it ends with the service's rights (ab_35). Neither where no service calls.
    pub(crate) fn service_authorization(&self) -> (Option<Uuid>, Option<Scopes>) {
        let Some(service) = &self.caller.service else {
            return (None, None);
        };
        let named = self.caller.user.as_ref().is_some_and(|user| user.session.is_none());
        let needed = [self.rule.scope, scope::ACT_AS_USER];
        let needed = needed.into_iter().take(if named { 2 } else { 1 });
        (Some(service.key_id), Scopes::parse(needed).ok())
    }

    /// The caller's session; `None` without one, as of a service that calls as the user.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.caller.user.as_ref()?.session.as_ref()
    }

    /// Refuses a user who asks about anybody but themselves, with the answer for a user who does not exist. A service may ask about all.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`.
    pub(crate) fn require_self(&self, user: Uuid) -> Result<()> {
        match self.caller.user_id() {
            Some(caller) if self.named.user != Some(user) || caller != user => Err(Reason::UserNotFound.into()),
            _ => {
                self.proof.give();
                Ok(())
            }
        }
    }

    /// The call's right in an organization is proven. Only in the one that the method's rule names: by another one's, nothing is.
    pub(crate) fn prove_in(&self, organization: Uuid) {
        if self.named.organization == Some(organization) {
            self.proof.give();
        }
    }

    /// Refuses to go on where the right that the method's rule asks of the caller has not been proven: a use case has forgotten it.
    ///
    /// # Errors
    /// Internal.
    pub(crate) fn require_proof(&self) -> Result<()> {
        let missing = self.caller.user.as_ref().and_then(|_| self.rule.unproven(&self.proof));
        missing.map_or(Ok(()), |cause| Err(Error::Internal(cause)))
    }

    /// Records what the caller has done in an organization: to whom or to what, and before and after, without secrets. Needs the organization's lock, and moves its revision by one.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn record(
        &self,
        tx: &mut Tx,
        organization: &mut Organization,
        kind: &'static str,
        subject: Option<Uuid>,
        data: Value,
    ) -> Result<()> {
        Ok(tx.record(organization, self.event(kind, subject, data)).await?)
    }

    /// Records what the caller has done to the installation: to a service account, a key or an access model. Takes the installation's lock, so it is the last thing that a transaction does. Answers
    /// with the installation's revision.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn record_installation(
        &self,
        tx: &mut Tx,
        kind: &'static str,
        subject: impl Into<Option<Uuid>>,
        data: Value,
    ) -> Result<i64> {
        Ok(tx.record_installation(self.event(kind, subject.into(), data)).await?)
    }

    /// Records what the caller has done to an account, and stores the account as it is now. Needs the user's lock, and moves their revision by one.
    ///
    /// # Errors
    /// The database's; a duplicate where the address or the username is taken.
    pub(crate) async fn record_user(
        &self,
        tx: &mut Tx,
        user: &mut User,
        kind: &'static str,
        data: Value,
    ) -> std::result::Result<(), StoreError> {
        let event = self.event(kind, Some(user.id), data);
        tx.record_user(user, event).await
    }

    /// Ends every session of a user but one, and what they have begun. Needs the user's lock. Answers with how many sessions ended.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn end_sessions(&self, tx: &mut Tx, user: Uuid, spared: Option<Uuid>) -> Result<u64> {
        let ended = tx.end_sessions(user, spared, self.now).await?;
        if ended > 0 {
            let data = json!({ "sessions": ended, "spared_session_id": spared });
            tx.record_of_user(user, self.event("user.sessions_ended", Some(user), data)).await?;
        }
        Ok(ended)
    }

    /// What the caller does: to whom or to what, and before and after, without secrets.
    pub(crate) fn event(&self, kind: &'static str, subject: Option<Uuid>, data: Value) -> Event {
        Event { kind: kind.into(), actor: self.actor(), subject, data, time: self.now }
    }

    /// Refuses a caller who asks for an invitation's link without the right to it.
    ///
    /// # Errors
    /// `SCOPE_REQUIRED`.
    pub(crate) fn require_scope(&self, scope: &str) -> Result<()> {
        if self.caller.has_scope(scope) {
            return Ok(());
        }
        Err(Refusal::new(Reason::ScopeRequired).with("scope", scope).into())
    }

    /// Refuses people, and services that act for them, a field that products keep for themselves.
    ///
    /// # Errors
    /// `FIELD_NOT_EDITABLE`.
    pub(crate) fn require_service_for(&self, field: &'static str) -> Result<()> {
        if self.caller.user.is_none() {
            return Ok(());
        }
        let refusal = Refusal::new(Reason::FieldNotEditable).with("field", field);
        Err(refusal.with("hint", "have a service set it, by its own right").into())
    }

    /// By whose right the caller acts in an organization where they have this membership.
    pub(crate) fn authority<'a>(&self, membership: Option<&'a Member>) -> Authority<'a> {
        match membership {
            Some(member) => Authority::Member { user_id: member.user_id, roles: &member.roles },
            None => Authority::Service { operator: self.caller.has_scope(scope::OPERATOR) },
        }
    }

    /// What the answer of this call is kept for beside the request: the key and the session that showed who calls. The next key or session of the same caller is another one, and gets no
    /// secret that the first was told (ab_51).
    pub(crate) fn shown(&self) -> [Option<Uuid>; 2] {
        let session = self.caller.user.as_ref().and_then(|caller| caller.session.as_ref());
        let service = self.caller.service.as_ref();
        [service.map(|service| service.key_id), session.map(|session| session.id)]
    }

    /// Under which key the answer of this call is kept; `None` where the caller gave no id. Callers without a credential share a name: they can only
    /// get an answer by repeating the whole request, its secrets included.
    pub(crate) fn replay_key(&self) -> Option<ReplayKey> {
        let request = self.request.as_ref()?;
        let caller = match (&self.caller.service, self.caller.user_id()) {
            (Some(service), Some(user)) => format!("service:{}:user:{user}", service.account_id),
            (Some(service), None) => format!("service:{}", service.account_id),
            (None, Some(user)) => format!("user:{user}"),
            (None, None) => "anyone".to_owned(),
        };
        Some(ReplayKey { caller, method: self.rule.method.to_owned(), request_id: request.id })
    }
}
