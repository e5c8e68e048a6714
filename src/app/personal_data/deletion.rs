//! Deletion that people ask for themselves, with a delay and a way back, and what happens by itself to accounts: deletion when it is due, and the end of what a deleted account still holds.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::{Error, Result},
            mutation::{Mutation, Prepare},
        },
        require_etag,
        users::states::{ChangeUserState, require_other_owners, seats},
    },
    domain::{
        error::{Reason, Refusal},
        mail::Notice,
        user::{UserChange, UserState},
    },
    store::{Actor, Event, Tx, User},
};

/// Accounts that are looked at in one go.
const BATCH: u64 = 100;

/// Has an account deleted later.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Whose.
    pub(crate) user_id: Uuid,
    /// The person's password, where they do it themselves and have one.
    pub(crate) password: Option<SecretString>,
    /// The state that the deletion is based on.
    pub(crate) etag: String,
    /// Whether everything is checked and nothing is changed.
    pub(crate) validate_only: bool,
}

/// A deletion whose password has been compared.
pub(crate) struct PreparedSchedule {
    command: Schedule,
    /// The hash that the person's password fits; `None` where they have none, or a service asks.
    verified: Option<String>,
}

/// Has an account deleted after the delay of the settings. The person enters their password, or has signed in recently where they have none; a service that acts for nobody answers for it.
///
/// # Errors
/// `USER_NOT_FOUND`, `LAST_OWNER` with the organizations, `PASSWORD_INCORRECT`, `SESSION_NOT_RECENT`, `TOO_MANY_ATTEMPTS`, `USER_STATE_CONFLICT`; a violation where the person gives no
/// password.
impl Prepare for Schedule {
    type Mutation = PreparedSchedule;

    async fn prepare(self, app: &App, ctx: &Ctx) -> Result<PreparedSchedule> {
        ctx.require_self(self.user_id)?;
        let Some(caller) = &ctx.caller.user else {
            return Ok(PreparedSchedule { command: self, verified: None });
        };
        match (&caller.user.password_hash, &self.password) {
            (None, _) => ctx.require_recent_sign_in()?,
            (Some(_), None) => return Err(Error::violation("password", "is required of the person themselves")),
            (Some(_), Some(password)) => app.require_password_of(ctx, &caller.user, password).await?,
        }
        let verified = caller.user.password_hash.clone();
        Ok(PreparedSchedule { command: self, verified })
    }
}

impl Mutation for PreparedSchedule {
    type Outcome = User;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<User> {
        let command = &self.command;
        let mut user = match ctx.caller.user {
            Some(_) => ctx.lock_caller(tx).await?,
            None => tx.lock_user(command.user_id).await?.ok_or(Reason::UserNotFound)?,
        };
        // What was verified may be the old password by now.
        if ctx.caller.user.is_some() && user.password_hash != self.verified {
            return Err(Reason::PasswordIncorrect.into());
        }
        require_etag(&command.etag, user.revision)?;
        require_existing(&user)?;
        // Told now, while something can be done about it; asked again when it is due.
        let seats = seats(tx, &user).await?;
        require_other_owners(app, tx, &user, &seats).await?;
        if user.scheduled_delete_time.is_some() {
            return Ok(user);
        }
        let time = app.deletion.due(ctx.now);
        user.scheduled_delete_time = Some(time);
        let data = json!({ "after": { "scheduled_delete_time": time.to_rfc3339() } });
        ctx.record_user(tx, &mut user, "user.deletion_scheduled", data).await?;
        app.notify(ctx, tx, &user, Notice::DeletionScheduled).await?;
        Ok(user)
    }

    fn validate_only(&self) -> bool {
        self.command.validate_only
    }
}

fn require_existing(user: &User) -> Result<()> {
    match user.state {
        UserState::Deleted => Err(Refusal::new(Reason::UserStateConflict).with("state", "DELETED").into()),
        UserState::Active | UserState::Suspended => Ok(()),
    }
}

/// Takes back that an account is to be deleted.
#[derive(Debug)]
pub(crate) struct Cancel {
    /// Whose.
    pub(crate) user_id: Uuid,
    /// The state that this is based on.
    pub(crate) etag: String,
}

impl Mutation for Cancel {
    type Outcome = User;

    async fn apply(&self, _app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<User> {
        ctx.require_self(self.user_id)?;
        let mut user = tx.lock_user(self.user_id).await?.ok_or(Reason::UserNotFound)?;
        require_etag(&self.etag, user.revision)?;
        require_existing(&user)?;
        if let Some(time) = user.scheduled_delete_time.take() {
            let data = json!({ "before": { "scheduled_delete_time": time.to_rfc3339() } });
            ctx.record_user(tx, &mut user, "user.deletion_cancelled", data).await?;
        }
        Ok(user)
    }
}

/// Deletes the accounts whose deletion is due. One that is the last owner of an organization by now is looked at again a day later. Answers with how many were deleted.
///
/// # Errors
/// The database's.
pub(crate) async fn delete_due(app: &App, now: DateTime<Utc>) -> Result<u64> {
    let mut deleted = 0;
    loop {
        let due = app.store.read().users_due_for_deletion(now, BATCH).await?;
        if due.is_empty() {
            return Ok(deleted);
        }
        for user_id in due {
            let ctx = Ctx::of_the_person(user_id, now);
            match app.run(&ctx, &DeleteDue { user_id }).await {
                Ok(()) => deleted += 1,
                Err(Error::Refused(refusal)) => {
                    tracing::warn!(user = %user_id, %refusal, "an account could not be deleted when it was due");
                    app.run(&ctx, &Postpone { user_id }).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Deletes an account, if that is still due.
struct DeleteDue {
    user_id: Uuid,
}

impl Mutation for DeleteDue {
    type Outcome = ();

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<()> {
        // The race that its lock prevents: the person takes it back at this very moment.
        let Some(user) = tx.lock_user(self.user_id).await? else { return Ok(()) };
        if user.scheduled_delete_time.is_none_or(|time| time > ctx.now) {
            return Ok(());
        }
        let (change, etag) = (UserChange::Delete, String::new());
        let delete = ChangeUserState { user_id: user.id, change, etag, validate_only: false };
        delete.apply(app, ctx, tx).await.map(drop)
    }
}

/// Has a deletion that was refused tried again later.
struct Postpone {
    user_id: Uuid,
}

impl Mutation for Postpone {
    type Outcome = ();

    async fn apply(&self, _app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<()> {
        let Some(mut user) = tx.lock_user(self.user_id).await? else { return Ok(()) };
        let Some(before) = user.scheduled_delete_time.filter(|time| *time <= ctx.now) else { return Ok(()) };
        let after = ctx.now + TimeDelta::days(1);
        user.scheduled_delete_time = Some(after);
        let time = |time: DateTime<Utc>| json!({ "scheduled_delete_time": time.to_rfc3339() });
        let data = json!({ "before": time(before), "after": time(after) });
        Ok(ctx.record_user(tx, &mut user, "user.deletion_postponed", data).await?)
    }
}

/// Takes out of accounts that were deleted long enough ago what nobody needs any more: password, second factor and telephone number. Answers with how many there were.
///
/// # Errors
/// The database's.
pub(crate) async fn purge(app: &App, now: DateTime<Utc>) -> Result<u64> {
    let before = app.deletion.purged_before(now);
    let mut purged = 0;
    loop {
        let held = app.store.read().users_to_purge(before, BATCH).await?;
        if held.is_empty() {
            return Ok(purged);
        }
        for user_id in held {
            app.run(&Ctx::of_the_person(user_id, now), &Purge { user_id, before }).await?;
            purged += 1;
        }
    }
}

struct Purge {
    user_id: Uuid,
    before: DateTime<Utc>,
}

impl Mutation for Purge {
    type Outcome = ();

    async fn apply(&self, _app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<()> {
        // The race that its lock prevents: the account comes back at this very moment.
        let Some(mut user) = tx.lock_user(self.user_id).await? else { return Ok(()) };
        if user.delete_time.is_none_or(|time| time > self.before) {
            return Ok(());
        }
        tx.remove_mfa_factor(user.id, ctx.now).await?;
        user.password_hash = None;

        user.phone_number = None;
        user.mfa_enabled = false;
        // By nobody: the time has come.
        let kind = "user.purged".into();
        let event = Event { kind, actor: Actor::default(), subject: Some(user.id), data: json!({}), time: ctx.now };
        Ok(tx.record_user(&mut user, event).await?)
    }
}
