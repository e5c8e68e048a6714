//! Organizations: create, read, change, suspend.

pub(crate) mod activity;
pub(crate) mod contacts;
pub(crate) mod memberships;
pub(crate) mod roles;
pub(crate) mod settings;
pub(crate) mod slugs;

use serde_json::json;
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access::{self, Access, Asked},
            context::Ctx,
            error::Result,
            mutation::{Mutation, Prepare},
            paging::{Page, PageRequest},
        },
        invitations::{self, Cleared},
        mail::budgets::MailPermits,
        require_etag, search,
        users::{HashedUser, NewUser, email_taken},
    },
    domain::{
        access_model::AccessModel,
        attributes::Attributes,
        authority::{Owners, decide_invite, founding_roles},
        email::EmailAddress,
        error::{Reason, Refusal},
        organization::{OrganizationChange, OrganizationState},
        search::{ORGANIZATIONS, Search},
        slug::Slug,
        stream::CHAIN_START,
        text::{Locale, OrganizationName},
        user::UserState,
    },
    store::{Cursor, InvitationRow, Member, Organization, Tx, User},
};

/// The access model of an organization where nobody says.
const DEFAULT_MODEL: &str = "default";

/// Who owns a new organization.
#[derive(Debug)]
pub(crate) enum FirstOwner {
    /// An account that exists.
    User(Uuid),
    /// A new account.
    New(NewUser),
    /// Somebody who gets an invitation.
    Founder(EmailAddress, Option<Locale>),
}

/// Creates an organization.
#[derive(Debug)]
pub(crate) struct Create {
    /// The name that people see.
    pub(crate) display_name: OrganizationName,
    /// The access model; `None`: the default one.
    pub(crate) access_model: Option<String>,
    /// The kind of organization, where the model tells kinds apart.
    pub(crate) kind: Option<String>,
    /// The language of mail about it.
    pub(crate) locale: Option<Locale>,
    /// What services keep with it.
    pub(crate) attributes: Attributes,
    /// What addresses of its pages are made of.
    pub(crate) slug: Option<Slug>,
    /// Who owns it.
    pub(crate) owner: FirstOwner,
    /// Whether everything is checked and nothing is created.
    pub(crate) validate_only: bool,
}

/// An organization that was created.
#[derive(Debug)]
pub(crate) struct Created {
    /// The organization.
    pub(crate) organization: Organization,
    /// The owner; `None` while the founder has not accepted.
    pub(crate) owner_user_id: Option<Uuid>,
    /// The founder's invitation.
    pub(crate) invitation: Option<InvitationRow>,
}

enum ReadyOwner {
    User(Uuid),
    New(Box<HashedUser>),
    Founder(EmailAddress, Option<Locale>),
}

/// An organization whose first owner is known, or ready to be added.
pub(crate) struct PreparedCreate {
    display_name: OrganizationName,
    access_model: Option<String>,
    kind: Option<String>,
    locale: Option<Locale>,
    attributes: Option<Attributes>,
    slug: Option<Slug>,
    owner: ReadyOwner,
    validate_only: bool,
}

/// Creates an organization with its first owner, or a founder's invitation, in one commit.
///
/// # Errors
/// `ACCESS_MODEL_NOT_FOUND`, `ORGANIZATION_KIND_UNKNOWN`, `USER_NOT_FOUND`, `USER_STATE_CONFLICT`, `EMAIL_TAKEN`.
impl Prepare for Create {
    type Mutation = PreparedCreate;

    async fn prepare(self, app: &App, ctx: &Ctx) -> Result<PreparedCreate> {
        // Nothing is hashed for an organization that cannot be.
        chosen_model(app, self.access_model.as_deref(), self.kind.as_deref())?;
        let owner = match self.owner {
            FirstOwner::User(id) => ReadyOwner::User(id),
            FirstOwner::New(person) => ReadyOwner::New(Box::new(app.hashed(ctx, person, &[]).await?)),
            FirstOwner::Founder(email, locale) => ReadyOwner::Founder(email, locale),
        };
        Ok(PreparedCreate {
            display_name: self.display_name,
            access_model: self.access_model,
            kind: self.kind,
            locale: self.locale,
            attributes: self.attributes.stored(),
            slug: self.slug,
            owner,
            validate_only: self.validate_only,
        })
    }
}

/// The access model of a new organization.
fn chosen_model(app: &App, id: Option<&str>, kind: Option<&str>) -> Result<std::sync::Arc<AccessModel>> {
    let model = app.model(id.unwrap_or(DEFAULT_MODEL))?;
    match kind.filter(|kind| !model.organization_kinds().contains(*kind)) {
        Some(kind) => Err(Refusal::new(Reason::OrganizationKindUnknown).with("organization_kind", kind).into()),
        None => Ok(model),
    }
}

impl Mutation for PreparedCreate {
    type Outcome = Created;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Created> {
        let model = chosen_model(app, self.access_model.as_deref(), self.kind.as_deref())?;
        let owner = match &self.owner {
            // Under the user's lock: an account that is being deleted or suspended either counts this organization among what it owns, or is out of use here.
            ReadyOwner::User(id) => Some(in_use(tx.lock_user(*id).await?.ok_or(Reason::UserNotFound)?)?),
            ReadyOwner::New(person) if self.validate_only => Some(person.try_out(app, ctx, tx).await?),
            ReadyOwner::New(person) => Some(person.insert(app, ctx, tx, email_taken()).await?),
            ReadyOwner::Founder(..) => None,
        };
        let mut organization = Organization {
            id: app.entropy.uuid(ctx.now),
            display_name: self.display_name.as_str().to_owned(),
            access_model: model.id().to_owned(),
            kind: self.kind.clone(),
            state: OrganizationState::Active,
            revision: 0,
            changed_revision: 1,
            chain_hash: CHAIN_START.to_vec(),
            create_time: ctx.now,
            update_time: ctx.now,
            custom_roles: None,
            delete_time: None,
            mfa_required: false,
            state_before_deletion: None,
            chain_seal: None,
            locale: self.locale.as_ref().map(|locale| locale.as_str().to_owned()),
            attributes: self.attributes.clone(),
            slug: None,
        };
        slugs::change(ctx, tx, &mut organization, self.slug.as_ref()).await?;
        tx.insert_organization(organization.clone()).await?;
        let data = json!({
            "display_name": organization.display_name,
            "access_model": organization.access_model,
            "locale": organization.locale,
            "attributes": organization.attributes,
            "slug": organization.slug,
        });
        ctx.record(tx, &mut organization, "organization.created", None, data).await?;
        let mut access = Access::of_new(organization, model);
        let invitation = match (&self.owner, &owner) {
            (_, Some(user)) => {
                self.add_owner(ctx, tx, &mut access, user).await?;
                None
            }
            (ReadyOwner::Founder(email, locale), None) => {
                Some(self.invite_founder(app, ctx, tx, &mut access, email, locale.clone()).await?)
            }
            (_, None) => None,
        };
        Ok(Created { organization: access.organization, owner_user_id: owner.map(|user| user.id), invitation })
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

/// An organization belongs to nobody whose account is out of use.
fn in_use(user: User) -> Result<User> {
    match user.state {
        UserState::Active => Ok(user),
        state => Err(Refusal::new(Reason::UserStateConflict).with("state", state.as_str().to_uppercase()).into()),
    }
}

impl PreparedCreate {
    async fn add_owner(&self, ctx: &Ctx, tx: &mut Tx, access: &mut Access, user: &User) -> Result<()> {
        let member = Member::new(&access.organization, user, founding_roles(&access.model), ctx.now);
        let data = json!({ "roles": member.roles });
        tx.insert_member(member).await?;
        ctx.record(tx, &mut access.organization, "member.added", Some(user.id), data).await
    }

    async fn invite_founder(
        &self,
        app: &App,
        ctx: &Ctx,
        tx: &mut Tx,
        access: &mut Access,
        email: &EmailAddress,
        locale: Option<Locale>,
    ) -> Result<InvitationRow> {
        let roles = decide_invite(&access.situation(ctx, Owners { active: 0 }), &founding_roles(&access.model))?;
        let known = tx.user_by_email(email.key()).await?;
        let command = invitations::Create {
            organization_id: access.organization.id,
            email: email.clone(),
            given_name: None,
            family_name: None,
            roles: roles.clone(),
            personal_message: None,
            locale,
            include_link: false,
            validate_only: self.validate_only,
        };
        let permit = MailPermits::default().permit(app, ctx, tx, access, email.typed(), self.validate_only).await?;
        let cleared = Cleared { roles, known, permit };
        let issued = invitations::issue(app, ctx, tx, access, &command, cleared).await?;
        Ok(issued.row)
    }
}

/// One organization.
///
/// # Errors
/// Those of [`access::enter`].
pub(crate) async fn get(app: &App, ctx: &Ctx, id: Uuid) -> Result<Organization> {
    Ok(access::enter(app, ctx, id).await?.organization)
}

/// Which organizations.
#[derive(Debug)]
pub(crate) struct List {
    /// Only those whose name begins like this, or a word of it does, in the order of what they are found by.
    pub(crate) search: Option<Search>,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// Organizations, oldest first, or by what they are found by.
///
/// # Errors
/// The database's.
pub(crate) async fn list(app: &App, _ctx: &Ctx, List { search, page }: List) -> Result<Page<Organization>> {
    let view = app.store.read();
    if let Some(search) = &search {
        let load = async |ids: &[Uuid]| {
            let rows = view.organizations_by_id(&ids.iter().copied().collect()).await?;
            Ok(rows.into_iter().map(|row| (row.id, row)).collect())
        };
        return search::find(app, ORGANIZATIONS, search, &page, load).await;
    }
    let rows = view.organizations_page(page.after(), page.limit()).await?;
    let total = page.total(view.organizations_count()).await?;
    Ok(page.page(rows, total, |row| Cursor::by_id(row.id)))
}

/// Suspends, activates, deletes or undeletes an organization.
#[derive(Debug)]
pub(crate) struct ChangeOrganizationState {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// What is done.
    pub(crate) change: OrganizationChange,
    /// The state that the change is based on.
    pub(crate) etag: String,
    /// Whether everything is checked and nothing is changed.
    pub(crate) validate_only: bool,
}

impl Mutation for ChangeOrganizationState {
    type Outcome = Organization;

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::PermissionInAnyState))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Organization> {
        let mut access = self.lock(app, ctx, tx).await?;
        if ctx.caller.user.is_some() {
            access.organization.state.usable()?;
        }
        let organization = &mut access.organization;
        require_etag(&self.etag, organization.changed_revision)?;
        let state = self.change.apply(organization.state, organization.state_before_deletion)?;
        if state == organization.state {
            return Ok(access.organization);
        }
        let kind = match self.change {
            OrganizationChange::Suspend => "organization.suspended",
            OrganizationChange::Activate => "organization.activated",
            OrganizationChange::Delete => "organization.deleted",
            OrganizationChange::Undelete => {
                refuse_idle_owners(tx, &access.model, organization).await?;
                "organization.undeleted"
            }
        };
        let data = json!({ "before": organization.state.as_str(), "after": state.as_str() });
        let deleted = state == OrganizationState::Deleted;
        organization.state_before_deletion = deleted.then_some(organization.state);
        organization.state = state;
        organization.delete_time = deleted.then_some(ctx.now);
        store_change(ctx, tx, organization, kind, data).await?;
        Ok(access.organization)
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

/// Its owners' accounts may have been suspended while it was deleted: then it would come back with owners who can do nothing, and might get one more. Where
/// their accounts have been deleted it has none, as an organization whose founder has not accepted yet, and the service names one.
async fn refuse_idle_owners(tx: &Tx, model: &AccessModel, organization: &Organization) -> Result<()> {
    let owner = model.owner_role().as_str();
    let idle = tx.count_idle_holders(organization.id, owner).await?;
    if idle == 0 || tx.count_active_holders(organization.id, owner).await? > 0 {
        return Ok(());
    }
    Err(Refusal::new(Reason::LastOwner)
        .with("role", owner)
        .with("hint", "activate the account of an owner first")
        .into())
}

async fn store_change(
    ctx: &Ctx,
    tx: &mut Tx,
    organization: &mut Organization,
    kind: &'static str,
    data: serde_json::Value,
) -> Result<()> {
    organization.changed_revision = organization.next_revision();
    organization.update_time = ctx.now;
    tx.update_organization(organization.clone()).await?;
    ctx.record(tx, organization, kind, None, data).await
}
