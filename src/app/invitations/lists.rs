//! Looking at invitations: one, those of an organization, and those that wait for a person.

use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access,
            context::Ctx,
            error::Result,
            paging::{Page, PageRequest},
        },
        users::email_unverified,
    },
    domain::error::Reason,
    store::{Cursor, Invitation, InvitationFilter, InvitationRow, User},
};

/// One invitation of an organization.
///
/// # Errors
/// `INVITATION_NOT_FOUND`.
pub(crate) async fn get(app: &App, ctx: &Ctx, organization: Uuid, id: Uuid) -> Result<InvitationRow> {
    let access = access::enter(app, ctx, organization).await?;
    let row = app.store.read().invitation_row(access.organization.id, id).await?;
    Ok(row.ok_or(Reason::InvitationNotFound)?)
}

/// Which invitations.
#[derive(Debug)]
pub(crate) struct List {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The filter.
    pub(crate) filter: InvitationFilter,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// An organization's invitations, newest first.
///
/// # Errors
/// Those of [`access::enter`].
pub(crate) async fn list(app: &App, ctx: &Ctx, query: List) -> Result<Page<InvitationRow>> {
    let access = access::enter(app, ctx, query.organization_id).await?;
    let view = app.store.read();
    let id = access.organization.id;
    let rows = view.invitations_page(id, &query.filter, ctx.now, query.page.after(), query.page.limit()).await?;
    let total = query.page.total(view.invitations_count(id, &query.filter, ctx.now)).await?;
    Ok(query.page.page(rows, total, |row| Cursor::by_id(row.invitation.id)))
}

/// Whose invitations.
#[derive(Debug)]
pub(crate) struct ListOfUser {
    /// The user.
    pub(crate) user_id: Uuid,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// An invitation as the invited person sees it.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The invitation.
    pub(crate) invitation: Invitation,
    /// The organization's name.
    pub(crate) organization_name: String,
    /// The names of the roles.
    pub(crate) role_names: Vec<String>,
    /// The name of the user who invited.
    pub(crate) inviter_name: Option<String>,
}

/// The invitations that wait for a person, in organizations that are in use, newest first.
///
/// # Errors
/// `USER_NOT_FOUND`; `EMAIL_UNVERIFIED`, because an address that nobody has shown to be theirs could have been typed to see what waits for it.
pub(crate) async fn list_of_user(app: &App, ctx: &Ctx, query: ListOfUser) -> Result<Page<Waiting>> {
    ctx.require_self(query.user_id)?;
    let view = app.store.read();
    let user = view.user(query.user_id).await?.ok_or(Reason::UserNotFound)?;
    if user.email_verify_time.is_none() {
        return Err(email_unverified());
    }
    let total = query.page.total(view.waiting_invitations_count(&user.email_key, ctx.now)).await?;
    let rows = waiting(app, ctx, &user, query.page.after(), query.page.limit()).await?;
    Ok(query.page.page(rows, total, |one| Cursor::by_id(one.invitation.id)))
}

/// The invitations that wait for the address of an account, newest first. That it is verified has been looked at.
///
/// # Errors
/// The database's.
pub(crate) async fn waiting(
    app: &App,
    ctx: &Ctx,
    user: &User,
    after: Option<&Cursor>,
    limit: u64,
) -> Result<Vec<Waiting>> {
    let view = app.store.read();
    let rows = view.waiting_invitations_page(&user.email_key, ctx.now, after, limit).await?;
    let inviters: Vec<Uuid> = rows.iter().filter_map(|(row, _)| row.inviter_user_id).collect();
    let inviters = view.users_by_id(&inviters).await?;
    let mut waiting = Vec::new();
    for (invitation, organization) in rows {
        let model = app.model_of(&organization)?;
        let inviter = inviters.iter().find(|user| Some(user.id) == invitation.inviter_user_id);
        waiting.push(Waiting {
            organization_name: organization.display_name,
            role_names: model.role_names(&invitation.roles),
            inviter_name: inviter.map(User::effective_display_name),
            invitation,
        });
    }
    Ok(waiting)
}
