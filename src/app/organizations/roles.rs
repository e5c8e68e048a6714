//! The roles of an organization: those of its access model, and those that it makes for itself.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access::{self, Access, Asked},
            context::Ctx,
            error::Result,
            mutation::Mutation,
            paging::{Page, PageRequest},
        },
        require_etag,
    },
    domain::{
        access_model::{AccessModel, CustomRole, CustomRoles, Permission, PermissionId, Role, RoleId},
        authority::Owners,
        custom_role::{CustomRoleRules, Holders},
        error::{Reason, Refusal},
    },
    store::{Cursor, OwnRoles, Tx},
};

/// A role, and the revision of its last change where it is the organization's own.
#[derive(Debug, Clone)]
pub(crate) struct ListedRole {
    /// The role.
    pub(crate) role: Role,
    /// When a custom role last changed; `None` for a role of the access model.
    pub(crate) changed_revision: Option<i64>,
}

/// The model without an organization's own roles, those, and the two together.
struct Roles {
    base: Arc<AccessModel>,
    own: CustomRoles,
}

impl Roles {
    fn of(app: &App, access: &Access) -> Result<Self> {
        let own = access.organization.custom_roles.as_ref().map(OwnRoles::read);
        Ok(Self { base: app.base_model_of(&access.organization)?, own: own.transpose()?.unwrap_or_default() })
    }

    fn see(&self, model: &AccessModel, id: &str) -> Result<ListedRole> {
        let role = model.role(id).ok_or(Reason::RoleNotFound)?.clone();
        Ok(ListedRole { role, changed_revision: self.own.get(id).map(|role| role.changed_revision) })
    }

    /// One of the organization's own, to be changed.
    fn own(&self, id: &RoleId) -> Result<&CustomRole> {
        match self.own.get(id.as_str()) {
            Some(role) => Ok(role),
            None if self.base.role(id.as_str()).is_some() => {
                Err(Refusal::new(Reason::RoleOfModel).with("role", id.as_str()).into())
            }
            None => Err(Reason::RoleNotFound.into()),
        }
    }

    fn rules<'a>(&'a self, ctx: &Ctx, access: &'a Access) -> CustomRoleRules<'a> {
        CustomRoleRules {
            // No decision about roles themselves asks for the number of owners.
            situation: access.situation(ctx, Owners { active: 0 }),
            base: &self.base,
            present: &self.own,
        }
    }
}

/// What a custom role consists of.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// The id.
    pub(crate) id: RoleId,
    /// The name that people see.
    pub(crate) name: String,
    /// Who should have it.
    pub(crate) description: String,
    /// Its permissions.
    pub(crate) permissions: BTreeSet<PermissionId>,
    /// The roles that its holder may give.
    pub(crate) grants: BTreeSet<RoleId>,
    /// The roles whose holders it may change.
    pub(crate) manages: BTreeSet<RoleId>,
}

/// Makes a role.
#[derive(Debug)]
pub(crate) struct Create {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The role.
    pub(crate) draft: Draft,
    /// Whether everything is checked and nothing is created.
    pub(crate) validate_only: bool,
}

impl Mutation for Create {
    type Outcome = (ListedRole, i64);

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Permission))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Self::Outcome> {
        let mut access = self.lock(app, ctx, tx).await?;
        let roles = Roles::of(app, &access)?;
        let draft = self.draft.clone();
        let role = CustomRole {
            id: draft.id,
            name: draft.name,
            description: draft.description,
            permissions: draft.permissions,
            grants: draft.grants,
            manages: draft.manages,
            changed_revision: access.organization.next_revision(),
        };
        let changed = roles.rules(ctx, &access).decide_create(role.clone())?;
        let data = json!({ "after": facts(&role) });
        store(ctx, tx, &mut access, changed, "role.created", data).await?;
        seen(app, &access, &role.id)
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

/// Stores an organization's own roles with the event of the change.
async fn store(
    ctx: &Ctx,
    tx: &mut Tx,
    access: &mut Access,
    changed: CustomRoles,
    kind: &'static str,
    data: Value,
) -> Result<()> {
    let changed = (!changed.is_empty()).then(|| OwnRoles::of(&changed));
    access.organization.custom_roles = changed.clone();
    tx.update_custom_roles(access.organization.id, changed).await?;
    ctx.record(tx, &mut access.organization, kind, None, data).await
}

fn facts(role: &CustomRole) -> Value {
    json!({
        "role": role.id,
        "display_name": role.name,
        "description": role.description,
        "permissions": role.permissions,
        "grants": role.grants,
        "manages": role.manages,
    })
}

/// A role as it is after the change.
fn seen(app: &App, access: &Access, id: &RoleId) -> Result<(ListedRole, i64)> {
    let roles = Roles::of(app, access)?;
    let model = app.model_of(&access.organization)?;
    Ok((roles.see(&model, id.as_str())?, access.organization.revision))
}

/// Changes a role.
#[derive(Debug)]
pub(crate) struct Update {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The role.
    pub(crate) role: RoleId,
    /// The new name, where it changes.
    pub(crate) name: Option<String>,
    /// The new description, where it changes.
    pub(crate) description: Option<String>,
    /// The new permissions, where they change.
    pub(crate) permissions: Option<BTreeSet<PermissionId>>,
    /// The roles that its holder may give from now on, where they change.
    pub(crate) grants: Option<BTreeSet<RoleId>>,
    /// The roles whose holders it may change from now on, where they change.
    pub(crate) manages: Option<BTreeSet<RoleId>>,
    /// The state that the change is based on.
    pub(crate) etag: String,
}

impl Mutation for Update {
    type Outcome = (ListedRole, i64);

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Permission))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Self::Outcome> {
        let mut access = self.lock(app, ctx, tx).await?;
        let roles = Roles::of(app, &access)?;
        let old = roles.own(&self.role)?;
        require_etag(&self.etag, old.changed_revision)?;
        let mut new = old.clone();
        replace(&mut new.name, &self.name);
        replace(&mut new.description, &self.description);
        replace(&mut new.permissions, &self.permissions);
        replace(&mut new.grants, &self.grants);
        replace(&mut new.manages, &self.manages);
        new.changed_revision = access.organization.next_revision();
        let holders = holders(tx, &access, &self.role).await?;
        let changed = roles.rules(ctx, &access).decide_update(old, new.clone(), holders)?;
        let (before, after) = (facts(old), facts(&new));
        if after != before {
            let data = json!({ "before": before, "after": after });
            store(ctx, tx, &mut access, changed, "role.updated", data).await?;
        }
        seen(app, &access, &self.role)
    }
}

fn replace<T: Clone>(place: &mut T, new: &Option<T>) {
    if let Some(new) = new {
        place.clone_from(new);
    }
}

async fn holders(tx: &Tx, access: &Access, role: &RoleId) -> Result<Holders> {
    let organization = access.organization.id;
    Ok(Holders {
        members: tx.count_holders(organization, role.as_str()).await?,
        invitations: tx.count_pending_with(organization, role).await?,
    })
}

/// Deletes a role.
#[derive(Debug)]
pub(crate) struct Delete {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The role.
    pub(crate) role: RoleId,
    /// The state that the deletion is based on.
    pub(crate) etag: String,
}

impl Mutation for Delete {
    type Outcome = i64;

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Permission))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<i64> {
        let mut access = self.lock(app, ctx, tx).await?;
        let roles = Roles::of(app, &access)?;
        let old = roles.own(&self.role)?;
        require_etag(&self.etag, old.changed_revision)?;
        let holders = holders(tx, &access, &self.role).await?;
        let changed = roles.rules(ctx, &access).decide_delete(old, holders)?;
        let data = json!({ "before": facts(old) });
        store(ctx, tx, &mut access, changed, "role.deleted", data).await?;
        Ok(access.organization.revision)
    }
}

/// One role of an organization.
///
/// # Errors
/// `ROLE_NOT_FOUND`.
pub(crate) async fn get(app: &App, ctx: &Ctx, organization: Uuid, role: RoleId) -> Result<ListedRole> {
    let access = access::enter(app, ctx, organization).await?;
    let seen = Roles::of(app, &access)?.see(&access.model, role.as_str())?;
    match seen.role.in_kind(access.organization.kind.as_deref()) {
        true => Ok(seen),
        false => Err(Reason::RoleNotFound.into()),
    }
}

/// Which list of an organization's.
#[derive(Debug)]
pub(crate) struct List {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// The roles of an organization, by id, and the revision that they were read at.
///
/// # Errors
/// Those of [`access::enter`].
pub(crate) async fn list(app: &App, ctx: &Ctx, query: List) -> Result<(Page<ListedRole>, i64)> {
    let access = access::enter(app, ctx, query.organization_id).await?;
    let roles = Roles::of(app, &access)?;
    let kind = access.organization.kind.as_deref();
    let known = access.model.roles().iter().filter(|role| role.in_kind(kind));
    let seen = known.map(|role| roles.see(&access.model, role.id.as_str()));
    let seen: Vec<ListedRole> = seen.collect::<Result<_>>()?;
    let page = by_name(&query.page, seen, |seen| seen.role.id.as_str());
    Ok((page, access.organization.revision))
}

/// The permissions that roles can be made of, by id.
///
/// # Errors
/// Those of [`access::enter`].
pub(crate) async fn list_permissions(app: &App, ctx: &Ctx, query: List) -> Result<Page<Permission>> {
    let access = access::enter(app, ctx, query.organization_id).await?;
    let all = access.model.permissions().to_vec();
    Ok(by_name(&query.page, all, |permission| permission.id.as_str()))
}

/// A page of what is all in memory, in the order of its ids.
fn by_name<T>(page: &PageRequest, mut rows: Vec<T>, name: impl Fn(&T) -> &str) -> Page<T> {
    let total = page.count.then_some(rows.len() as u64);
    rows.sort_by(|one, other| name(one).cmp(name(other)));
    if let Some(after) = page.after() {
        rows.retain(|row| name(row).as_bytes() > after.key.as_slice());
    }
    page.page(rows, total, |row| Cursor { key: name(row).as_bytes().to_vec(), id: Uuid::nil() })
}
