//! Who calls, by which rule, and when: what every use case gets to know of its call.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    app::call::error::Result,
    domain::{
        error::{Reason, Refusal},
        roster::Authority,
        scope::{self, Scopes},
    },
    platform::network::Network,
    store::{Actor, Member, ReplayKey, Session, User},
};

/// Who may call a method: the contract's `AccessRule`, read from the descriptor set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The method's full name, such as `/roster.v1.UserService/GetUser`.
    pub(crate) method: String,
    /// No credential is needed: the request carries it.
    pub(crate) public: bool,
    /// The scope that a service key needs; empty: no service key may call.
    pub(crate) scope: String,
    /// The permission that a user needs in the organization of the request; empty: none.
    pub(crate) permission: String,
    /// The field that names the user who may call for themselves; empty: none.
    pub(crate) self_field: String,
    /// Any signed-in user may call.
    pub(crate) signed_in: bool,
}

/// A service that calls, by one of its keys.
#[derive(Debug, Clone)]
pub(crate) struct ServiceCaller {
    /// The service account.
    pub(crate) account_id: Uuid,
    /// The key.
    pub(crate) key_id: Uuid,
    /// What its keys may do.
    pub(crate) scopes: Scopes,
    /// From when on this key of it is refused; `None` means never.
    pub(crate) key_expire_time: Option<DateTime<Utc>>,
}

/// A user who calls, or for whom a service calls.
#[derive(Debug, Clone)]
pub(crate) struct UserCaller {
    /// The user.
    pub(crate) user: User,
    /// Their session; `None` where a service acts as the user.
    pub(crate) session: Option<Session>,
}

/// Who calls: nobody, a service, a user, or a service for a user.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    /// The service.
    pub(crate) service: Option<ServiceCaller>,
    /// The user.
    pub(crate) user: Option<UserCaller>,
}

impl Caller {
    /// Whether a service calls for nobody.
    pub(crate) fn is_service_alone(&self) -> bool {
        self.service.is_some() && self.user.is_none()
    }

    /// Whether the caller holds a scope; a user by themselves holds none.
    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.service.as_ref().is_some_and(|service| service.scopes.allow(scope))
    }

    /// The user who calls, or for whom a service calls.
    pub(crate) fn user_id(&self) -> Option<Uuid> {
        self.user.as_ref().map(|caller| caller.user.id)
    }
}

impl Rule {
    /// Refuses a caller who may not call the method, whatever the request says. What depends on the request, [`Ctx::require_self`] and
    /// [`crate::app::call::access`] decide.
    ///
    /// # Errors
    /// `CREDENTIALS_MISSING`, `SCOPE_REQUIRED`, `CALLER_NOT_ALLOWED`.
    pub(crate) fn admit(&self, caller: &Caller) -> std::result::Result<(), Refusal> {
        if self.public {
            return Ok(());
        }
        let not_allowed = || Refusal::new(Reason::CallerNotAllowed).with("method", self.method.as_str());
        match &caller.service {
            None if caller.user.is_none() => return Err(Reason::CredentialsMissing.into()),
            Some(_) if self.scope.is_empty() => return Err(not_allowed()),
            Some(service) if !service.scopes.allow(&self.scope) => {
                return Err(Refusal::new(Reason::ScopeRequired).with("scope", self.scope.as_str()));
            }
            _ => {}
        }
        let for_users = self.signed_in || !self.permission.is_empty() || !self.self_field.is_empty();
        if caller.user.is_some() && !for_users {
            return Err(not_allowed());
        }
        Ok(())
    }
}

/// What a use case knows of its call.
#[derive(Debug, Clone)]
pub(crate) struct Ctx {
    /// Who calls.
    pub(crate) caller: Caller,
    /// The method's rule.
    pub(crate) rule: Arc<Rule>,
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
            user: self.caller.user_id(),
            service_account: self.caller.service.as_ref().map(|service| service.account_id),
        }
    }

    /// The key that a service calls with, and the scopes that it needs for this very call: the method's, and the one to act as a user it names. Kept with what waits for somebody's
    /// answer, so that it ends with the service's rights (ab_35). Neither where no service calls.
    pub(crate) fn warrant(&self) -> (Option<Uuid>, Option<Scopes>) {
        let Some(service) = &self.caller.service else {
            return (None, None);
        };
        let named = self.caller.user.as_ref().is_some_and(|user| user.session.is_none());
        let needed = [self.rule.scope.as_str(), scope::ACT_AS_USER];
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
            Some(caller) if self.rule.self_field.is_empty() || caller != user => Err(Reason::UserNotFound.into()),
            _ => Ok(()),
        }
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

    /// By whose right the caller acts in an organization where they have this seat.
    pub(crate) fn authority<'a>(&self, seat: Option<&'a Member>) -> Authority<'a> {
        match seat {
            Some(member) => Authority::Member {
                user_id: member.user_id,
                roles: &member.roles,
            },
            None => Authority::Service {
                operator: self.caller.has_scope(scope::OPERATOR),
            },
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
        Some(ReplayKey {
            caller,
            method: self.rule.method.clone(),
            request_id: request.id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(scopes: &[&str]) -> Caller {
        Caller {
            service: Some(ServiceCaller {
                account_id: Uuid::nil(),
                key_id: Uuid::nil(),
                scopes: Scopes::parse(scopes.iter().copied()).unwrap(),
                key_expire_time: None,
            }),
            user: None,
        }
    }

    fn reason(rule: &Rule, caller: &Caller) -> Option<Reason> {
        rule.admit(caller).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn a_method_without_any_rule_admits_nobody() {
        let none = Rule::default();
        assert_eq!(reason(&none, &Caller::default()), Some(Reason::CredentialsMissing));
        assert_eq!(reason(&none, &service(&["operator"])), Some(Reason::CallerNotAllowed));
    }

    #[test]
    fn a_service_needs_the_scope() {
        let rule = Rule {
            scope: "users.read".to_owned(),
            ..Rule::default()
        };
        assert_eq!(reason(&rule, &service(&["users.write"])), Some(Reason::ScopeRequired));
        assert_eq!(reason(&rule, &service(&["users.read"])), None);
        assert_eq!(reason(&rule, &Caller::default()), Some(Reason::CredentialsMissing));
    }
}
