//! Users: the people, whichever organizations they belong to.

pub(crate) mod addresses;
pub(crate) mod imports;
pub(crate) mod profiles;
pub(crate) mod states;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::{Error, Result},
            mutation::{Mutation, Prepare},
            paging::{Page, PageRequest},
        },
        credentials::chosen_password::ChosenPassword,
        search,
        users::profiles::described,
    },
    domain::{
        attributes::Attributes,
        email::EmailAddress,
        error::{Reason, Refusal},
        phone::PhoneNumber,
        search::{Search, USERS},
        text::{Locale, PersonName, Username},
        user::UserState,
    },
    store::{Cursor, Event, StoreError, Tx, User},
};

/// A person who gets an account.
#[derive(Debug, Clone)]
pub(crate) struct NewUser {
    /// The address.
    pub(crate) email: EmailAddress,
    /// Whether somebody has made sure that the address is the person's.
    pub(crate) email_verified: bool,
    /// Whether the person has come by a link that went to the address, so that what they sign in with is theirs alone (ab_34).
    pub(crate) proven: bool,
    /// Given name.
    pub(crate) given_name: PersonName,
    /// Family name.
    pub(crate) family_name: Option<PersonName>,
    /// The password; none for somebody who signs in with an identity.
    pub(crate) password: Option<ChosenPassword>,
    /// The language of messages.
    pub(crate) locale: Option<Locale>,
    /// A name to sign in with besides the address.
    pub(crate) username: Option<Username>,
    /// How people reach the person besides by mail.
    pub(crate) phone_number: Option<PhoneNumber>,
    /// What services keep with the person.
    pub(crate) attributes: Attributes,
}

/// A person whose password has been hashed: ready for a transaction.
#[derive(Debug, Clone)]
pub(crate) struct HashedUser {
    person: NewUser,
    password_hash: Option<String>,
}

impl App {
    /// Hashes the person's password, where they have one, outside any transaction. `others` are words of theirs that somebody else wrote.
    ///
    /// # Errors
    /// Those of [`App::hash_chosen`].
    pub(crate) async fn hashed(&self, ctx: &Ctx, person: NewUser, others: &[&str]) -> Result<HashedUser> {
        let mut words = vec![person.email.typed(), person.given_name.as_str()];
        words.extend(person.family_name.as_ref().map(PersonName::as_str));
        words.extend(person.username.as_ref().map(Username::as_str));
        words.extend(others);
        let password_hash = match &person.password {
            Some(password) => Some(self.hash_chosen(ctx, password, &words).await?),
            None => None,
        };
        Ok(HashedUser { person, password_hash })
    }
}

impl HashedUser {
    /// Adds the user.
    ///
    /// # Errors
    /// `taken` where another account has the address.
    pub(super) async fn insert(&self, app: &App, ctx: &Ctx, tx: &mut Tx, taken: Error) -> Result<User> {
        if tx.user_by_email(self.person.email.key()).await?.is_some() {
            return Err(taken);
        }
        let user = self.user(app, ctx.now);
        if let Some(username) = &user.username
            && tx.user_by_username(username).await?.is_some()
        {
            return Err(Reason::UsernameTaken.into());
        }
        match tx.insert_user(user.clone(), created(ctx, &user)).await {
            Ok(()) => Ok(user),
            // Another transaction added the address since we looked.
            Err(StoreError::Duplicate(_)) => Err(taken),
            Err(error) => Err(error.into()),
        }
    }

    /// The user as [`Self::insert`] would add them, for a transaction that is taken back. Whether somebody has the address or the username is neither looked at nor told:
    /// who only tries it out leaves no trace (ab_40).
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn try_out(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<User> {
        let user = self.user(app, ctx.now);
        let row = User {
            // No address has this form.
            email_key: format!("tried_out:{}", user.id),
            username: None,
            ..user.clone()
        };
        tx.insert_user(row, created(ctx, &user)).await?;
        Ok(user)
    }

    fn user(&self, app: &App, now: DateTime<Utc>) -> User {
        let person = &self.person;
        User {
            id: app.entropy.uuid(now),
            email: person.email.typed().to_owned(),
            email_key: person.email.key().to_owned(),
            email_verify_time: person.email_verified.then_some(now),
            given_name: person.given_name.as_str().to_owned(),
            family_name: person.family_name.as_ref().map_or_else(String::new, |name| name.as_str().to_owned()),
            locale: person.locale.as_ref().map(|locale| locale.as_str().to_owned()),
            password_hash: self.password_hash.clone(),
            last_sign_in_time: None,
            last_active_time: None,
            create_time: now,
            update_time: now,
            state: UserState::Active,
            display_name: None,
            username: person.username.as_ref().map(|name| name.as_str().to_owned()),
            revision: 0,
            delete_time: None,
            mfa_enabled: false,
            phone_number: person.phone_number.as_ref().map(|number| number.as_str().to_owned()),
            state_before_deletion: None,
            proof_time: person.proven.then_some(now),
            sign_in_count: 0,
            scheduled_delete_time: None,
            erase_time: None,
            attributes: person.attributes.stored(),
        }
    }
}

fn created(ctx: &Ctx, user: &User) -> Event {
    ctx.event("user.created", Some(user.id), json!({ "after": described(user) }))
}

/// Refuses what needs an address that is known to be the person's.
pub(super) fn email_unverified() -> Error {
    Refusal::new(Reason::EmailUnverified)
        .with("hint", "have the account's address confirmed with ChangeUserEmail")
        .into()
}

/// Refuses an address that another account has.
pub(super) fn email_taken() -> Error {
    Refusal::new(Reason::EmailTaken).with("hint", "use the account that has the address, or another address").into()
}

/// Creates a user with a password.
#[derive(Debug)]
pub(crate) struct Create {
    /// The person.
    pub(crate) person: NewUser,
    /// Whether everything is checked and nothing is created.
    pub(crate) validate_only: bool,
}

/// A user whose password is hashed.
pub(crate) struct PreparedCreate {
    person: HashedUser,
    validate_only: bool,
}

/// Creates a user with a password.
///
/// # Errors
/// `EMAIL_TAKEN`.
impl Prepare for Create {
    type Mutation = PreparedCreate;

    async fn prepare(self, app: &App, ctx: &Ctx) -> Result<PreparedCreate> {
        Ok(PreparedCreate { person: app.hashed(ctx, self.person, &[]).await?, validate_only: self.validate_only })
    }
}

impl Mutation for PreparedCreate {
    type Outcome = User;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<User> {
        self.person.insert(app, ctx, tx, email_taken()).await
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

/// One user.
///
/// # Errors
/// `USER_NOT_FOUND`.
pub(crate) async fn get(app: &App, ctx: &Ctx, id: Uuid) -> Result<User> {
    ctx.require_self(id)?;
    let user = app.store.read().user(id).await?;
    Ok(user.ok_or(Reason::UserNotFound)?)
}

/// Many users at once, in the order asked for; those that do not exist are left out.
///
/// # Errors
/// The database's.
pub(crate) async fn get_batch(app: &App, _ctx: &Ctx, ids: Vec<Uuid>) -> Result<Vec<User>> {
    let found = app.store.read().users_by_id(&ids).await?;
    let by_id: HashMap<Uuid, User> = found.into_iter().map(|user| (user.id, user)).collect();
    Ok(ids.iter().filter_map(|id| by_id.get(id).cloned()).collect())
}

/// Which users.
#[derive(Debug)]
pub(crate) struct List {
    /// Only the one with this address.
    pub(crate) email: Option<EmailAddress>,
    /// Only the one with this username.
    pub(crate) username: Option<Username>,
    /// Only those whose name, address or username begins like this, in the order of what they are found by.
    pub(crate) search: Option<Search>,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// Users, oldest first, or the one with an address or a username.
///
/// # Errors
/// The database's.
pub(crate) async fn list(app: &App, _ctx: &Ctx, query: List) -> Result<Page<User>> {
    let view = app.store.read();
    if let Some(search) = &query.search {
        let load = async |ids: &[Uuid]| Ok(view.users_by_id(ids).await?.into_iter().map(|row| (row.id, row)).collect());
        return search::find(app, USERS, search, &query.page, load).await;
    }
    let named = match (&query.email, &query.username) {
        (Some(email), _) => Some(view.user_by_email(email.key()).await?),
        (None, Some(username)) => Some(view.user_by_username(username.as_str()).await?),
        (None, None) => None,
    };
    if let Some(found) = named {
        let asked = |user: &User| {
            let username = query.username.as_ref().map(Username::as_str);
            username.is_none() || user.username.as_deref() == username
        };
        let found: Vec<User> = found.into_iter().filter(asked).collect();
        let total = query.page.count.then_some(found.len() as u64);
        return Ok(query.page.page(found, total, |row| Cursor::by_id(row.id)));
    }
    let rows = view.users_page(query.page.after(), query.page.limit()).await?;
    let total = query.page.total(view.users_count()).await?;
    Ok(query.page.page(rows, total, |row| Cursor::by_id(row.id)))
}
