//! The use cases: each loads under lock, asks the domain, and stores the decision, its event and its messages in one commit.

pub(crate) mod audit;
pub(crate) mod call;
pub(crate) mod credentials;
pub(crate) mod events;
pub(crate) mod invitations;
pub(crate) mod mail;
pub(crate) mod members;
pub(crate) mod operators;
pub(crate) mod organizations;
pub(crate) mod ownership;
pub(crate) mod permissions;
pub(crate) mod personal_data;
pub(crate) mod search;
pub(crate) mod sessions;
pub(crate) mod users;

use std::sync::Arc;

use crate::{
    domain::{
        access_model::AccessModel,
        brand::Brands,
        deletion::DeletionPolicy,
        error::{Reason, Refusal},
        password::PasswordPolicy,
        session::SessionPolicy,
        text::Locale,
    },
    platform::{clock::Clock, entropy::Entropy, hashing::Hasher, keyring::Keyring},
    store::{Organization, Store},
};

/// The records that use cases are asked by and answer with, as the store keeps them.
pub(crate) mod records {
    pub(crate) use crate::store::{
        Challenge, Contact, EventFilter, EventRecord, HeldRoles, Invitation, InvitationFilter, InvitationRow,
        InvitedRows, JoinLink, LinkedIdentity, Member, Message, MessageFilter, MfaFactor, Organization, Profile,
        RosterFilter, RosterOrder, RosterRow, ServiceAccount, ServiceKey, Session, SessionHolder, Transfer, User,
        Waiter,
    };
}

/// What the use cases stand on.
pub(crate) struct App {
    /// The database.
    pub(crate) store: Arc<Store>,
    /// What authentication and checks read.
    pub(crate) directory: call::directory::Directory,
    /// The access models.
    pub(crate) models: Arc<call::models::LoadedModels>,
    /// The models that organizations have laid their own roles over.
    pub(crate) effective_models: permissions::effective_models::EffectiveModels,
    /// Seals what has to be kept but not read.
    pub(crate) keyring: Arc<Keyring>,
    /// Hashes passwords.
    pub(crate) hasher: Hasher,
    /// The source of randomness.
    pub(crate) entropy: Entropy,
    /// The source of time.
    pub(crate) clock: Clock,
    /// Counts wrong passwords and codes.
    pub(crate) attempts: credentials::attempts::Attempts,
    /// What a password has to be.
    pub(crate) passwords: PasswordPolicy,
    /// How long a session lasts.
    pub(crate) sessions: SessionPolicy,
    /// When accounts are deleted, and what they hold until then.
    pub(crate) deletion: DeletionPolicy,
    /// Who was active, to be put in order.
    pub(crate) active: search::activity::Active,
    /// How products show themselves to people, and where their links lead.
    pub(crate) brands: Arc<Brands>,
    /// Where second factors are good, as authenticator apps show it.
    pub(crate) mfa_issuer: String,
    /// How much mail people can have sent to others.
    pub(crate) mail_budgets: mail::budgets::Budgets,
    /// The language of mail to people for whom nobody has named one.
    pub(crate) default_locale: Locale,
    /// The identity providers that are trusted.
    pub(crate) providers: credentials::providers::Providers,
}

impl App {
    /// An access model.
    ///
    /// # Errors
    /// `ACCESS_MODEL_NOT_FOUND`.
    pub(crate) fn model(&self, id: &str) -> call::error::Result<Arc<AccessModel>> {
        self.models.get(id).ok_or_else(|| Refusal::new(Reason::AccessModelNotFound).with("access_model", id).into())
    }

    /// The access model of an organization, without its own roles. That it is loaded is made sure of when the server starts.
    ///
    /// # Errors
    /// Internal, where the installation has lost the model meanwhile.
    pub(crate) fn base_model_of(&self, organization: &Organization) -> call::error::Result<Arc<AccessModel>> {
        self.models.get(&organization.access_model).ok_or_else(|| {
            call::error::Error::Internal(format!("the access model {} is not loaded", organization.access_model))
        })
    }

    /// The access model of an organization, with its own roles laid over it where it has any. Costs the same with and without: see [`permissions::effective_models`].
    ///
    /// # Errors
    /// Those of [`App::base_model_of`].
    pub(crate) fn model_of(&self, organization: &Organization) -> call::error::Result<Arc<AccessModel>> {
        let base = self.base_model_of(organization)?;
        match &organization.custom_roles {
            Some(own) => self.effective_models.model(organization.id, base, own),
            None => Ok(base),
        }
    }
}

/// Names the state of a resource: the revision at which it last changed.
pub(crate) fn etag(changed_revision: i64) -> String {
    changed_revision.to_string()
}

/// Refuses a change that is based on another state than the present one; an empty etag is based on any.
///
/// # Errors
/// `ETAG_MISMATCH`.
pub(crate) fn require_etag(expected: &str, changed_revision: i64) -> call::error::Result<()> {
    require_state(expected, etag(changed_revision))
}

/// The same for what has no revision, by the etag of the present state.
///
/// # Errors
/// `ETAG_MISMATCH`.
pub(crate) fn require_state(expected: &str, present: String) -> call::error::Result<()> {
    if expected.is_empty() || expected == present {
        return Ok(());
    }
    Err(Refusal::new(Reason::EtagMismatch).with("etag", present).into())
}
