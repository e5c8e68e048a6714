//! People who are brought in from another system, with the hashes of their passwords.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access::{self, Access, Asked},
            context::Ctx,
            error::{Error, Result},
            mutation::Mutation,
        },
        users::profiles::described,
    },
    domain::{
        access_model::RoleSet,
        authority::{decide_addition, decide_create, require_usernames},
        digest::sha256,
        email::EmailAddress,
        error::{Reason, Refusal, Violation},
        import::{Admission, Earlier, Names, Taken},
        member::MemberState,
        password_hash::HashCost,
        phone::PhoneNumber,
        text::{DisplayName, Locale, PersonName, Username},
        user::UserState,
    },
    platform::hashing::{self, Cost, Unusable},
    store::{Event, ImportedUser, Member, StoreError, Tx, User},
};

/// The scope that a caller needs besides, where people come with memberships: that of CreateMember.
const MEMBERSHIPS: &str = "members.write";

/// A membership that a person is to have.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The roles to hold; none gives the default role.
    pub(crate) roles: RoleSet,
}

/// A person who is brought in.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// The place in the whole import.
    pub(crate) index: i64,
    /// The address.
    pub(crate) email: EmailAddress,
    /// Whether the other system has made sure that the address is the person's.
    pub(crate) email_verified: bool,
    /// Given name.
    pub(crate) given_name: PersonName,
    /// Family name.
    pub(crate) family_name: Option<PersonName>,
    /// The name that people see, where it is one of its own.
    pub(crate) display_name: Option<DisplayName>,
    /// A name to sign in with besides the address.
    pub(crate) username: Option<Username>,
    /// The language of messages.
    pub(crate) locale: Option<Locale>,
    /// How people reach the person besides by mail.
    pub(crate) phone_number: Option<PhoneNumber>,
    /// The password's hash, which [`check_hash`] has accepted.
    pub(crate) password_hash: Option<SecretString>,
    /// Whether the account is out of use.
    pub(crate) suspended: bool,
    /// Since when there is the account.
    pub(crate) create_time: DateTime<Utc>,
    /// The memberships.
    pub(crate) memberships: Vec<Membership>,
}

/// Somebody who was refused.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// The place in the whole import.
    pub(crate) index: i64,
    /// Why.
    pub(crate) refusal: Refusal,
    /// Every field that breaks a constraint.
    pub(crate) violations: Vec<Violation>,
}

/// Somebody who has an account.
#[derive(Debug, Clone)]
pub(crate) struct ImportedPerson {
    /// The place in the whole import.
    pub(crate) index: i64,
    /// The account; `None` where a validation would create it.
    pub(crate) user_id: Option<Uuid>,
    /// Whether the same import has created it before.
    pub(crate) already: bool,
}

/// Brings a batch of people in.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The import.
    pub(crate) import_id: Uuid,
    /// The people; those whose fields break constraints are refused already.
    pub(crate) people: Vec<std::result::Result<Person, Refused>>,
    /// Whether everything is checked and nothing is created.
    pub(crate) validate_only: bool,
}

/// What became of each of a batch, in its order.
pub(crate) type ImportResults = Vec<std::result::Result<ImportedPerson, Refused>>;

/// Whether a hash of another system can be compared with, at a cost that is accepted.
///
/// # Errors
/// `HASH_UNSUPPORTED`, `HASH_MALFORMED`, `HASH_TOO_EXPENSIVE`.
pub(crate) fn check_hash(stored: &str) -> std::result::Result<(), Refusal> {
    let cost = hashing::examine(stored).map_err(|unusable| match unusable {
        Unusable::Unsupported => {
            Refusal::new(Reason::HashUnsupported).with("supported", "argon2, bcrypt, scrypt, PBKDF2")
        }
        Unusable::Malformed { scheme, flaw } => {
            Refusal::new(Reason::HashMalformed).with("scheme", scheme).with("flaw", flaw)
        }
    })?;
    let cost = match cost {
        Cost::Argon2 { memory_kib, iterations, lanes } => {
            HashCost::Argon2 { memory_kib: memory_kib.into(), iterations: iterations.into(), lanes: lanes.into() }
        }
        Cost::Bcrypt { log_rounds } => HashCost::Bcrypt { cost: log_rounds.into() },
        Cost::Scrypt { memory_kib, passes, blocks } => HashCost::Scrypt { blocks, memory_kib, passes: passes.into() },
        Cost::Pbkdf2 { rounds } => HashCost::Pbkdf2 { rounds },
    };
    cost.require_bounded()
}

/// The organizations that a batch is about, each locked, or why the caller may add nobody there.
type LockedOrganizations = BTreeMap<Uuid, std::result::Result<Access, Refusal>>;

impl Mutation for Batch {
    type Outcome = ImportResults;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<ImportResults> {
        let mut locked_organizations = self.lock_organizations(app, ctx, tx).await?;
        let mut taken = self.taken(tx).await?;
        let (mut results, mut accounts) = (Vec::new(), Vec::new());
        for person in &self.people {
            let person = match person {
                Ok(person) => person,
                Err(refused) => {
                    results.push(Err(refused.clone()));
                    continue;
                }
            };
            let admitted = match taken.admit(person.names()) {
                Ok(Admission::Already(user_id)) => {
                    results.push(Ok(person.imported(Some(user_id), true)));
                    continue;
                }
                Ok(Admission::New) => person.memberships(ctx, tx, &locked_organizations).await?,
                Err(refusal) => Err(refusal),
            };
            let seats = match admitted {
                Ok(seats) => seats,
                Err(refusal) => {
                    results.push(Err(person.refused(refusal)));
                    continue;
                }
            };
            taken.note(person.names());
            let account = self.account(app, ctx, person);
            results.push(Ok(person.imported(Some(account.0.id).filter(|_| !self.validate_only), false)));
            if seats.is_empty() {
                accounts.push(account);
                continue;
            }
            // At once: the organization's next decision counts with these.
            let user = account.0.clone();
            tx.insert_imported(vec![account]).await.map_err(meanwhile)?;
            for (organization, roles) in seats {
                if let Some(Ok(access)) = locked_organizations.get_mut(&organization) {
                    add_member(ctx, tx, access, &user, roles).await?;
                }
            }
        }
        tx.insert_imported(accounts).await.map_err(meanwhile)?;
        Ok(results)
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

impl Batch {
    fn not_yet_imported(&self) -> impl Iterator<Item = &Person> {
        self.people.iter().filter_map(|person| person.as_ref().ok())
    }

    /// Locks the organizations, by ascending id, as everybody does who locks several.
    async fn lock_organizations(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<LockedOrganizations> {
        let wanted: BTreeSet<Uuid> = self
            .not_yet_imported()
            .flat_map(|person| &person.memberships)
            .map(|membership| membership.organization_id)
            .collect();
        if !wanted.is_empty() {
            ctx.require_scope(MEMBERSHIPS)?;
        }
        let mut locked_organizations = LockedOrganizations::new();
        for id in wanted {
            let locked = match access::lock(app, ctx, tx, id, Asked::Permission).await {
                Ok(access) => Ok(access),
                Err(Error::Refused(refusal)) => Err(refusal),
                Err(error) => return Err(error),
            };
            locked_organizations.insert(id, locked);
        }
        Ok(locked_organizations)
    }

    async fn taken(&self, tx: &Tx) -> Result<Taken> {
        let emails: Vec<String> = self.not_yet_imported().map(|person| person.email.key().to_owned()).collect();
        let usernames = self.not_yet_imported().filter_map(|person| person.username.as_ref());
        let usernames = usernames.map(|name| name.as_str().to_owned()).collect();
        let digests: HashMap<Vec<u8>, String> = emails.iter().map(|key| (address_digest(key), key.clone())).collect();
        let (emails, usernames) = (tx.emails_taken(emails).await?, tx.usernames_taken(usernames).await?);
        // After the addresses: read before them, the same batch committed in between would look like somebody else's.
        let before = tx.imported_before(self.import_id, digests.keys().cloned().collect()).await?;
        let earlier = before.into_iter().filter_map(|row| {
            let earlier = Earlier { index: row.place, user_id: row.user_id };
            Some((digests.get(&row.address_digest)?.clone(), earlier))
        });
        let others = |names: HashSet<String>| names.into_iter().map(|name| (name, None)).collect();
        Ok(Taken { earlier: earlier.collect(), emails: others(emails), usernames: others(usernames) })
    }

    fn account(&self, app: &App, ctx: &Ctx, person: &Person) -> (User, Event, ImportedUser) {
        let text = |name: Option<&str>| name.map(ToOwned::to_owned);
        let hash = person.password_hash.as_ref();
        let user = User {
            id: app.entropy.uuid(ctx.now),
            email: person.email.typed().to_owned(),
            email_key: person.email.key().to_owned(),
            email_verify_time: person.email_verified.then_some(ctx.now),
            given_name: person.given_name.as_str().to_owned(),
            family_name: text(person.family_name.as_ref().map(PersonName::as_str)).unwrap_or_default(),
            locale: text(person.locale.as_ref().map(Locale::as_str)),
            password_hash: text(hash.map(ExposeSecret::expose_secret)),
            last_sign_in_time: None,
            last_active_time: None,
            create_time: person.create_time,
            update_time: ctx.now,
            state: match person.suspended {
                true => UserState::Suspended,
                false => UserState::Active,
            },
            display_name: text(person.display_name.as_ref().map(DisplayName::as_str)),
            username: text(person.username.as_ref().map(Username::as_str)),
            revision: 1,
            delete_time: None,
            mfa_enabled: false,
            phone_number: text(person.phone_number.as_ref().map(PhoneNumber::as_str)),
            state_before_deletion: None,
            proof_time: None,
            sign_in_count: 0,
            scheduled_delete_time: None,
            erase_time: None,
            attributes: None,
        };
        let data = json!({ "after": described(&user), "import_id": self.import_id, "index": person.index });
        let event = ctx.event("user.imported", Some(user.id), data);
        let origin = ImportedUser {
            import_id: self.import_id,
            address_digest: address_digest(person.email.key()),
            place: person.index,
            user_id: user.id,
            create_time: ctx.now,
        };
        (user, event, origin)
    }
}

impl Person {
    fn names(&self) -> Names<'_> {
        Names { index: self.index, email_key: self.email.key(), username: self.username.as_ref().map(Username::as_str) }
    }

    fn imported(&self, user_id: Option<Uuid>, already: bool) -> ImportedPerson {
        ImportedPerson { index: self.index, user_id, already }
    }

    fn refused(&self, refusal: Refusal) -> Refused {
        Refused { index: self.index, refusal, violations: Vec::new() }
    }

    /// Where the person is to sit, by the rules of CreateMember; or the first refusal.
    async fn memberships(
        &self,
        ctx: &Ctx,
        tx: &Tx,
        locked_organizations: &LockedOrganizations,
    ) -> Result<std::result::Result<BTreeMap<Uuid, RoleSet>, Refusal>> {
        let mut seats = BTreeMap::new();
        for membership in &self.memberships {
            let access = match locked_organizations.get(&membership.organization_id) {
                Some(Ok(access)) => access,
                Some(Err(refusal)) => return Ok(Err(refusal.clone())),
                None => return Ok(Err(Reason::OrganizationNotFound.into())),
            };
            let owners = access::owners_where_it_matters(tx, access, &[&membership.roles]).await?;
            // A new user is no member yet, unless the request names the membership twice.
            let existing = seats.contains_key(&membership.organization_id).then_some(MemberState::Active);
            let situation = access.situation(ctx, owners);
            let decided = decide_create(&situation, &membership.roles, !self.suspended).and_then(|roles| {
                if self.username.is_some() {
                    require_usernames(&access.model)?;
                }
                decide_addition(&access.model, existing)?;
                Ok(roles)
            });
            match decided {
                Ok(roles) => seats.insert(membership.organization_id, roles),
                Err(refusal) => return Ok(Err(refusal)),
            };
        }
        Ok(Ok(seats))
    }
}

/// Makes an account a member, with the event of it.
async fn add_member(ctx: &Ctx, tx: &mut Tx, access: &mut Access, user: &User, roles: RoleSet) -> Result<()> {
    let member = Member::new(&access.organization, user, roles, ctx.now);
    tx.insert_member(member.clone()).await?;
    ctx.record(tx, &mut access.organization, "member.created", Some(user.id), json!({ "roles": member.roles })).await
}

fn address_digest(key: &str) -> Vec<u8> {
    sha256(key.as_bytes()).to_vec()
}

/// An address or username that was free when we looked: the batch is tried again as a whole, and finds it taken then.
fn meanwhile(error: StoreError) -> Error {
    match error {
        StoreError::Duplicate(cause) => Error::Busy(cause),
        error => error.into(),
    }
}
