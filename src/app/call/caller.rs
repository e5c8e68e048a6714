//! Who calls.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    domain::{
        confinement::{Confinement, reaches},
        scope::Scopes,
    },
    store::{Session, User},
};

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
    /// The organizations that its keys are confined to; `None`: they reach all.
    pub(crate) confinement: Option<Confinement>,
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
    /// A person for whom a service does what is its own right: recorded, and asked for nothing.
    pub(crate) named: Option<Uuid>,
}

impl Caller {
    /// The caller of a method by the service's own right: the person for whom it calls is the one who is recorded, and no more.
    pub(crate) fn by_the_services_right(self) -> Self {
        let named = self.user.map(|caller| caller.user.id).or(self.named);
        Self { service: self.service, user: None, named }
    }

    /// Whether a service acts for no user.
    pub(crate) fn is_service_alone(&self) -> bool {
        self.service.is_some() && self.user.is_none()
    }

    /// Whether the caller holds a scope; a user by themselves holds none.
    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.service.as_ref().is_some_and(|service| service.scopes.allow(scope))
    }

    /// Whether the caller's key is confined to organizations.
    pub(crate) fn is_confined(&self) -> bool {
        self.service.as_ref().is_some_and(|service| service.confinement.is_some())
    }

    /// Whether an organization is one that the caller's key reaches. A user by themselves has no key.
    pub(crate) fn reaches(&self, organization: Uuid) -> bool {
        self.service.as_ref().is_none_or(|service| reaches(service.confinement.as_ref(), organization))
    }

    /// The user who calls, or for whom a service calls.
    pub(crate) fn user_id(&self) -> Option<Uuid> {
        self.user.as_ref().map(|caller| caller.user.id)
    }
}
