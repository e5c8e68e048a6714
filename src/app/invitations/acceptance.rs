//! How an invited person gets in: preview, and acceptance with an account or as a new person.

pub(crate) mod preview;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access,
            context::Ctx,
            error::{Error, Result},
            mutation::{Mutation, Prepare},
        },
        credentials::{chosen_password::ChosenPassword, providers::ShownToken},
        invitations::{
            find,
            issuers::{Inviter, inviter},
        },
        sessions::sign_in::Entry,
        users::{HashedUser, NewUser, email_unverified},
    },
    domain::{
        access_model::RoleSet,
        attributes::Attributes,
        authority::Owners,
        email::EmailAddress,
        error::{Reason, Refusal},
        id_token::Identity,
        invitation::{self, Acceptance, InvitationState},
        phone::PhoneNumber,
        session::{self, Interruption},
        text::{Locale, PersonName},
        token::{Token, TokenKind},
    },
    store::{Event, Invitation, InvitationKey, InvitationRow, Member, Organization, Tx, User},
};

fn digest(token: &SecretString) -> Result<[u8; 32]> {
    let token = Token::parse(TokenKind::Invitation, token.expose_secret());
    Ok(token.ok_or(Reason::InvitationNotFound)?.digest())
}

/// What a new person signs in with from now on (JH07).
#[derive(Debug)]
pub(crate) enum FirstCredential {
    /// A password.
    Password(ChosenPassword),
    /// An identity at a provider.
    Identity(ShownToken),
}

/// A new person, by their own hand.
#[derive(Debug)]
pub(crate) struct SignUp {
    /// Given name.
    pub(crate) given_name: PersonName,
    /// Family name.
    pub(crate) family_name: Option<PersonName>,
    /// What they sign in with from now on.
    pub(crate) way: FirstCredential,
    /// The language of messages.
    pub(crate) locale: Option<Locale>,
    /// How people reach the person besides by mail (JP01).
    pub(crate) phone_number: Option<PhoneNumber>,
    /// Whether the person wants a second factor, where none is asked for (JP06).
    pub(crate) enroll_mfa: bool,
}

/// By what somebody has an invitation.
#[derive(Debug)]
pub(crate) enum Hold {
    /// The token of its link.
    Link(SecretString),
    /// That their account has its address, verified: its id.
    Address(Uuid),
}

impl Hold {
    /// By what it is found. Of an invitation that is named by its id nothing is told, not even that there is one, to anybody but the account whose verified address it goes to.
    ///
    /// # Errors
    /// `INVITATION_NOT_FOUND`, `CREDENTIALS_MISSING`, `EMAIL_UNVERIFIED`.
    fn key(&self, ctx: &Ctx) -> Result<InvitationKey> {
        Ok(match self {
            Hold::Link(token) => InvitationKey::Token(digest(token)?),
            Hold::Address(id) => {
                let caller = &ctx.caller.user.as_ref().ok_or_else(credentials_missing)?.user;
                if caller.email_verify_time.is_none() {
                    return Err(email_unverified());
                }
                InvitationKey::Address(*id, caller.email_key.clone())
            }
        })
    }
}

fn credentials_missing() -> Error {
    Refusal::new(Reason::CredentialsMissing).with("hint", "call with the account's session").into()
}

/// Accepts an invitation.
#[derive(Debug)]
pub(crate) struct Accept {
    /// The invitation.
    pub(crate) hold: Hold,
    /// The new person; `None`: the caller's session says who accepts.
    pub(crate) sign_up: Option<SignUp>,
}

/// What came of an acceptance.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// The user, new or not.
    pub(crate) user_id: Uuid,
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The roles that the user now holds.
    pub(crate) roles: RoleSet,
    /// A new person's session, or the question for their second factor.
    pub(crate) entry: Option<Entry>,
    /// The invitation afterwards.
    pub(crate) invitation: InvitationRow,
    /// The organization's revision afterwards.
    pub(crate) revision: i64,
}

/// An acceptance whose person is known, or ready to be added.
pub(crate) struct PreparedAccept {
    key: InvitationKey,
    organization_id: Uuid,
    who: Who,
    enroll_mfa: bool,
}

enum Who {
    /// The caller.
    Known,
    New(Box<HashedUser>, Option<Identity>),
}

/// Accepts an invitation: creates user, membership and session in one commit, or nothing.
///
/// # Errors
/// `INVITATION_NOT_FOUND`, why it cannot be accepted any more, `ACCOUNT_EXISTS`, `EMAIL_MISMATCH`, `EMAIL_UNVERIFIED`, `CREDENTIALS_MISSING`;
/// of an identity `ID_TOKEN_INVALID`, `ID_TOKEN_USED`, `IDENTITY_TAKEN`, `IDENTITY_PROVIDER_UNAVAILABLE`.
impl Prepare for Accept {
    type Mutation = PreparedAccept;

    async fn prepare(self, app: &App, ctx: &Ctx) -> Result<PreparedAccept> {
        let key = self.hold.key(ctx)?;
        // Looked at before the lock, so that a token that is none costs neither a transaction nor a password hash.
        let invitation = app.store.read().invitation_by(&key).await?.ok_or(Reason::InvitationNotFound)?;
        let enroll_mfa = self.sign_up.as_ref().is_some_and(|sign_up| sign_up.enroll_mfa);
        let who = match (self.sign_up, &ctx.caller.user) {
            (Some(sign_up), _) => {
                // Looked at once more under the lock; here, so that a link that is good for nothing costs neither a password hash nor a question to a provider (ab_31).
                invitation.facts().open(ctx.now)?;
                let organization = app.store.read().organization(invitation.organization_id).await?;
                let organization = organization.ok_or(Reason::InvitationNotFound)?;
                organization.state.usable()?;
                let (password, identity) = match &sign_up.way {
                    FirstCredential::Password(password) => (Some(password.clone()), None),
                    FirstCredential::Identity(shown) => (None, Some(app.identify(ctx, shown).await?)),
                };
                let invited = [invitation.given_name.as_str(), &invitation.family_name];
                let language = invited_in(app, &invitation, &organization, &sign_up).await?;
                let person = person(&invitation, sign_up, password, language)?;
                Who::New(Box::new(app.hashed(ctx, person, &invited).await?), identity)
            }
            (None, Some(_)) => Who::Known,
            (None, None) => {
                return Err(Refusal::new(Reason::CredentialsMissing)
                    .with("hint", "call with the account's session, or give sign_up")
                    .into());
            }
        };
        Ok(PreparedAccept { key, organization_id: invitation.organization_id, who, enroll_mfa })
    }
}

/// The language of a new person: the one that they name, or the one in which they were invited. `None`: the server's.
async fn invited_in(
    app: &App,
    invitation: &Invitation,
    organization: &Organization,
    sign_up: &SignUp,
) -> Result<Option<Locale>> {
    if sign_up.locale.is_some() {
        return Ok(sign_up.locale.clone());
    }
    let named = match invitation.locale.clone().or_else(|| organization.locale.clone()) {
        Some(named) => Some(named),
        None => match invitation.inviter_user_id {
            Some(inviter) => app.store.read().user(inviter).await?.and_then(|inviter| inviter.locale),
            None => None,
        },
    };
    Ok(named.and_then(|named| Locale::parse(&named).ok()))
}

/// The link went to the address, so a person who signs up through it has shown that the address is theirs.
fn person(
    invitation: &Invitation,
    sign_up: SignUp,
    password: Option<ChosenPassword>,
    locale: Option<Locale>,
) -> Result<NewUser> {
    let email = EmailAddress::parse(&invitation.email)
        .map_err(|flaw| Error::Internal(format!("the stored address of an invitation {flaw}")))?;
    Ok(NewUser {
        email,
        email_verified: true,
        proven: true,
        given_name: sign_up.given_name,
        family_name: sign_up.family_name,
        password,
        locale,
        username: None,
        phone_number: sign_up.phone_number,
        attributes: Attributes::default(),
    })
}

impl Mutation for PreparedAccept {
    type Outcome = Accepted;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Accepted> {
        let known = match &self.who {
            // Before the organization, as everywhere: an account that is being deleted either joins first and is removed with it, or is gone.
            Who::Known => Some(ctx.lock_caller(tx).await?),
            Who::New(..) => None,
        };
        // The token is the caller's right to this organization; the lock is what makes acceptance, revocation, resending and suspension come one
        // after the other.
        let mut organization = tx.lock_organization(self.organization_id).await?.ok_or(Reason::InvitationNotFound)?;
        organization.state.usable()?;
        let model = app.model_of(&organization)?;
        // Only now: read before the lock, it could have been accepted, revoked or replaced while we waited.
        let mut invitation = tx.invitation_by(&self.key).await?.ok_or(Reason::InvitationNotFound)?;
        invitation.facts().open(ctx.now)?;

        let (user, is_new) = match &self.who {
            Who::Known => {
                let user = known.ok_or(Reason::CredentialsInvalid)?;
                (require_invited(user, &invitation)?, false)
            }
            Who::New(person, identity) => {
                let user = person.insert(app, ctx, tx, account_exists()).await?;
                if let Some(identity) = identity {
                    app.use_id_token(ctx, tx, identity).await?;
                    app.add_identity(ctx, tx, user.id, identity, true).await?;
                }
                (user, true)
            }
        };
        let existing = match is_new {
            true => None,
            false => tx.member(organization.id, user.id).await?,
        };
        if let Some(account) = invitation.inviter_service_account_id {
            tx.hold_service_account(account).await?;
        }
        let issuer = invitation.issuer();
        let inviter = inviter(&issuer, tx.sender(&issuer).await?);
        let owner_role = model.owner_role();
        let owners = match invitation.roles.contains(owner_role) {
            true => tx.count_active_holders(organization.id, owner_role.as_str()).await?,
            false => 0,
        };
        let acceptance = Acceptance {
            model: &model,
            organization_kind: organization.kind.as_deref(),
            inviter: inviter.as_ref().map(Inviter::authority),
            existing: existing.as_ref().map(|member| member.state),
            owners: Owners { active: owners },
            now: ctx.now,
        };
        let roles = invitation::decide_accept(&acceptance, &invitation.facts())?;
        // A user who comes back needs a session that began after the removal. The session that accepts is no exception: otherwise those in between would work again, too.
        let left = existing.as_ref().map(|removed| Interruption {
            after_sign_in: removed.interrupted_after_sign_in,
            time: Some(removed.update_time),
        });
        if let Some((session, left)) = ctx.session().zip(left)
            && session::outdated(access::began(session), left)
        {
            return Err(access::session_outdated());
        }

        let revision = organization.next_revision();
        let member = Member {
            invitation_id: Some(invitation.id),
            invitation_sent_time: Some(invitation.sent_time),
            invitation_accepted_time: Some(ctx.now),
            create_time: existing.as_ref().map_or(ctx.now, |member| member.create_time),
            // Sessions from before the removal stay dead here (ab_24).
            admit_time: existing.as_ref().map(|removed| removed.update_time),
            interrupted_after_sign_in: existing.as_ref().and_then(|removed| removed.interrupted_after_sign_in),
            ..Member::new(&organization, &user, roles.clone(), ctx.now)
        };
        let before = existing.map(|member| json!({ "state": member.state.as_str(), "roles": member.roles }));
        let after = json!({ "user_id": user.id, "state": member.state.as_str(), "roles": member.roles });
        match before {
            None => tx.insert_member(member).await?,
            Some(_) => tx.update_member(member).await?,
        }
        // The link may have come another way, before its message.
        tx.cancel_message(invitation.message_id, ctx.now).await?;
        invitation.state = InvitationState::Accepted;
        invitation.accept_time = Some(ctx.now);
        invitation.accepted_user_id = Some(user.id);
        invitation.signup_completed = is_new;
        invitation.changed_revision = revision;
        tx.update_invitation(invitation.clone()).await?;
        let entry = match is_new {
            true => Some(app.enter(ctx, tx, user.clone(), None, self.enroll_mfa).await?),
            false => None,
        };
        let event = Event {
            kind: "invitation.accepted".into(),
            actor: crate::store::Actor { user: Some(user.id), ..ctx.actor() },
            subject: Some(invitation.id),
            data: json!({ "before": before, "after": after }),
            time: ctx.now,
        };
        tx.record(&mut organization, event).await?;
        Ok(Accepted {
            invitation: find(tx, organization.id, invitation.id).await?,
            user_id: user.id,
            organization_id: organization.id,
            roles,
            entry,
            revision,
        })
    }
}

/// Declines an invitation.
#[derive(Debug)]
pub(crate) struct Decline {
    /// The invitation.
    pub(crate) hold: Hold,
}

impl Mutation for Decline {
    type Outcome = (InvitationRow, i64);

    async fn apply(&self, _app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Self::Outcome> {
        let key = self.hold.key(ctx)?;
        let found = tx.invitation_by(&key).await?;
        let organization_id = found.ok_or(Reason::InvitationNotFound)?.organization_id;
        let organization = tx.lock_organization(organization_id).await?;
        let mut organization = organization.ok_or(Reason::InvitationNotFound)?;
        organization.state.usable()?;
        // Only now: read before the lock, it could have been accepted, revoked or replaced while we waited.
        let mut invitation = tx.invitation_by(&key).await?.ok_or(Reason::InvitationNotFound)?;
        let declined = invitation::decide_decline(&invitation.facts(), ctx.now)?;
        let before = std::mem::replace(&mut invitation.state, declined);
        invitation.changed_revision = organization.next_revision();
        tx.cancel_message(invitation.message_id, ctx.now).await?;
        let data = json!({
            "before": { "state": before.as_str() },
            "after": { "state": declined.as_str(), "email": invitation.email },
        });
        let id = invitation.id;
        tx.update_invitation(invitation).await?;
        ctx.record(tx, &mut organization, "invitation.declined", Some(id), data).await?;
        Ok((find(tx, organization.id, id).await?, organization.revision))
    }
}

/// An account is never handed to the holder of a link: its user has to sign in (ab_18).
fn account_exists() -> Error {
    Refusal::new(Reason::AccountExists).with("hint", "accept with the account's session").into()
}

/// Refuses an account of another address, and one whose address nobody has shown to be theirs: it could have been made in the invited person's name.
fn require_invited(user: User, invitation: &Invitation) -> Result<User> {
    if user.email_key != invitation.email_key {
        return Err(Reason::EmailMismatch.into());
    }
    if user.email_verify_time.is_none() {
        return Err(email_unverified());
    }
    Ok(user)
}
