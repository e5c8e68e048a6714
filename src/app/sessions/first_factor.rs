//! Signing in by a first factor: a password, or an identity at an OpenID Connect provider.

use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::{Error, Result},
            mutation::Mutation,
        },
        credentials::{
            attempts::{Account, Pass},
            providers::ShownToken,
        },
        sessions::sign_in::{Entry, may_sign_in},
    },
    domain::{
        email::EmailAddress,
        error::{Reason, Refusal},
        id_token::Identity,
        password,
        text::Username,
    },
    platform::hashing::Verdict,
    store::{LinkedIdentity, Tx, User},
};

/// What a person shows.
#[derive(Debug)]
pub(crate) enum FirstFactor {
    /// A password.
    Password(Password),
    /// An identity at a provider.
    Identity(ShownIdentity),
}

/// Signs in: into a session, or to the question for the second factor.
///
/// # Errors
/// `SIGN_IN_FAILED`, and where the account may not sign in; overloaded, where too many are signing in. With an identity: `ID_TOKEN_INVALID`, `ID_TOKEN_USED`, `IDENTITY_UNKNOWN`,
/// `IDENTITY_PROVIDER_UNAVAILABLE`.
pub(crate) async fn sign_in(app: &App, ctx: &Ctx, command: FirstFactor) -> Result<Entry> {
    match command {
        FirstFactor::Password(command) => by_password(app, ctx, command).await,
        FirstFactor::Identity(command) => by_identity(app, ctx, command).await,
    }
}

/// By what a person says who they are.
#[derive(Debug)]
pub(crate) enum Identifier {
    /// The address, as it was typed: one that is none gets the answer of an unknown one.
    Email(String),
    /// The username (PF09).
    Username(Username),
}

/// A password, and whose it is.
#[derive(Debug)]
pub(crate) struct Password {
    /// Who.
    pub(crate) identifier: Identifier,
    /// The password.
    pub(crate) password: SecretString,
    /// The person's user agent.
    pub(crate) user_agent: Option<String>,
}

/// Signs in: into a session, or to the question for the second factor. An unknown address, an account without a password and a wrong password get the same answer for the
/// same work (ab_15).
///
/// # Errors
/// `SIGN_IN_FAILED`, `TOO_MANY_ATTEMPTS`; overloaded, where too many are signing in.
async fn by_password(app: &App, ctx: &Ctx, command: Password) -> Result<Entry> {
    let named = Named::of(&command.identifier);
    let user = named.find(app).await?;
    let known = user.as_ref().map(|user| user.id);
    let pass = app.pass(ctx, named.account(), known).await?;
    let attempted = match attempt(app, ctx, &command, user, &pass).await? {
        // Once more, with the hash of now: of two right sign-ins at once, one replaces a hash that is outdated, and the other one is right all the same.
        Attempt::Overtaken => attempt(app, ctx, &command, named.find(app).await?, &pass).await?,
        attempted => attempted,
    };
    if let Attempt::Entered(entry) = attempted {
        return Ok(*entry);
    }
    app.run(ctx, &RefusedPassword { user: known, pass: &pass, user_agent: command.user_agent.as_deref() }).await?;
    Err(Reason::SignInFailed.into())
}

/// What is kept of a password that did not let anybody in.
struct RefusedPassword<'a> {
    user: Option<Uuid>,
    pass: &'a Pass,
    user_agent: Option<&'a str>,
}

impl Mutation for RefusedPassword<'_> {
    type Outcome = ();

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<()> {
        app.note_refused_sign_in(ctx, tx, self.user, self.user_agent).await?;
        app.count_wrong(ctx, tx, self.pass).await
    }
}

enum Attempt {
    Entered(Box<Entry>),
    /// The password is wrong, or the account may not sign in.
    Refused,
    /// The stored hash is not the one that was compared any more.
    Overtaken,
}

async fn attempt(app: &App, ctx: &Ctx, command: &Password, user: Option<User>, pass: &Pass) -> Result<Attempt> {
    let stored = user.as_ref().and_then(|user| user.password_hash.as_ref());
    let hasher = app.hasher(ctx, pass.number());
    let verdict = app.compare(&hasher, &command.password, stored).await?;
    let (Some(user), Verdict::Match { outdated }) = (user, verdict) else {
        return Ok(Attempt::Refused);
    };
    let rehashed = match outdated {
        true => {
            let normal = SecretString::from(password::normalize(command.password.expose_secret()).as_str());
            Some(hasher.hash(normal, app.entropy.bytes()).await?)
        }
        false => None,
    };
    app.run(ctx, &RightPassword { user, rehashed, pass, user_agent: command.user_agent.as_deref() }).await
}

/// A password that was the account's when it was compared.
struct RightPassword<'a> {
    user: User,
    /// The hash to keep from now on, where the stored one is outdated.
    rehashed: Option<String>,
    pass: &'a Pass,
    user_agent: Option<&'a str>,
}

impl Mutation for RightPassword<'_> {
    type Outcome = Attempt;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Attempt> {
        // Read again under the lock: a user who is being removed, suspended or deleted meanwhile keeps no session (ab_08). And what was compared may be the old
        // password by now: the sessions that it began have ended, and so must this one.
        let mut now = tx.lock_user(self.user.id).await?.ok_or(Reason::SignInFailed)?;
        if now.password_hash != self.user.password_hash {
            return Ok(Attempt::Overtaken);
        }
        if !may_sign_in(app, tx, &now, ctx.now).await? {
            return Ok(Attempt::Refused);
        }
        if self.rehashed.is_some() {
            now.password_hash.clone_from(&self.rehashed);
            tx.update_user(now.clone()).await?;
        }
        app.count_right(tx, self.pass).await?;
        Ok(Attempt::Entered(Box::new(app.enter(ctx, tx, now, self.user_agent, false).await?)))
    }
}

/// Whom somebody says that they are, in the form that is looked up and counted.
enum Named<'a> {
    Email(EmailAddress),
    Username(&'a Username),
    /// What is no address.
    Nobody(&'a str),
}

impl<'a> Named<'a> {
    fn of(identifier: &'a Identifier) -> Self {
        match identifier {
            Identifier::Email(text) => EmailAddress::parse(text).map_or(Self::Nobody(text), Self::Email),
            Identifier::Username(username) => Self::Username(username),
        }
    }

    async fn find(&self, app: &App) -> Result<Option<User>> {
        let view = app.store.read();
        Ok(match self {
            Self::Email(email) => view.user_by_email(email.key()).await?,
            Self::Username(username) => view.user_by_username(username.as_str()).await?,
            Self::Nobody(_) => None,
        })
    }

    fn account(&self) -> Account<'_> {
        match self {
            Self::Email(email) => Account::Email(email.key()),
            Self::Username(username) => Account::Username(username.as_str()),
            Self::Nobody(typed) => Account::Nobody(typed),
        }
    }
}

/// An identity at a provider.
#[derive(Debug)]
pub(crate) struct ShownIdentity {
    /// The ID token.
    pub(crate) shown: ShownToken,
    /// The person's user agent.
    pub(crate) user_agent: Option<String>,
}

/// Signs in with an identity: from here on as with a right password, a second factor included.
///
/// # Errors
/// `ID_TOKEN_INVALID`, `ID_TOKEN_USED`, `IDENTITY_UNKNOWN`, `SIGN_IN_FAILED` where the account may not sign in, `IDENTITY_PROVIDER_UNAVAILABLE`.
async fn by_identity(app: &App, ctx: &Ctx, command: ShownIdentity) -> Result<Entry> {
    let identity = app.identify(ctx, &command.shown).await?;
    // Of nobody nothing is kept: it would be the caller's choice what.
    let linked = app.store.read().identity(&identity.issuer, &identity.subject).await?.ok_or_else(unknown)?;
    let entry = app.run(ctx, &RightIdentity { identity, linked, user_agent: command.user_agent }).await?;
    entry.ok_or_else(|| Reason::SignInFailed.into())
}

/// An identity that was linked to an account when it was looked up.
struct RightIdentity {
    identity: Identity,
    linked: LinkedIdentity,
    user_agent: Option<String>,
}

/// `None` where the account may not sign in, of which the user is told.
impl Mutation for RightIdentity {
    type Outcome = Option<Entry>;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Option<Entry>> {
        let user = tx.lock_user(self.linked.user_id).await?.ok_or_else(unknown)?;
        // Read again under the lock: it may have been taken away, or the account deleted, while we waited.
        let linked = tx.identity(&self.identity.issuer, &self.identity.subject).await?;
        if linked.is_none_or(|linked| linked.user_id != user.id) {
            return Err(unknown());
        }
        let user_agent = self.user_agent.as_deref();
        if !may_sign_in(app, tx, &user, ctx.now).await? {
            app.note_refused_sign_in(ctx, tx, Some(user.id), user_agent).await?;
            return Ok(None);
        }
        app.use_id_token(ctx, tx, &self.identity).await?;
        tx.touch_identity(self.linked.id, ctx.now).await?;
        app.enter(ctx, tx, user, user_agent, false).await.map(Some)
    }
}

fn unknown() -> Error {
    Refusal::new(Reason::IdentityUnknown)
        .with("hint", "accept an invitation with it, or link it while signed in")
        .into()
}
