//! Contacts: who gets the notifications of an organization.

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
        contact::NotificationRoles,
        email::EmailAddress,
        error::{Reason, Refusal},
        text::{DisplayName, sort_key},
    },
    store::{Contact, Cursor, Tx},
};

/// Adds a contact.
#[derive(Debug)]
pub(crate) struct Create {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The address.
    pub(crate) email: EmailAddress,
    /// The name that people see.
    pub(crate) display_name: DisplayName,
    /// The kinds of notification.
    pub(crate) notification_roles: NotificationRoles,
    /// Whether everything is checked and nothing is created.
    pub(crate) validate_only: bool,
}

impl Mutation for Create {
    type Outcome = (Contact, i64);

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Permission))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Self::Outcome> {
        let mut access = self.lock(app, ctx, tx).await?;
        require_free(tx, &access, &self.email, None).await?;
        let contact = Contact {
            id: app.entropy.uuid(ctx.now),
            organization_id: access.organization.id,
            email: self.email.typed().to_owned(),
            email_key: self.email.key().to_owned(),
            display_name: self.display_name.as_str().to_owned(),
            notification_roles: self.notification_roles.clone(),
            sort_key: sort_key(self.display_name.as_str()),
            changed_revision: access.organization.next_revision(),
            create_time: ctx.now,
            update_time: ctx.now,
        };
        tx.insert_contact(contact.clone()).await?;
        let data = json!({ "after": facts(&contact) });
        ctx.record(tx, &mut access.organization, "contact.created", Some(contact.id), data).await?;
        Ok((contact, access.organization.revision))
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

/// An address is a contact of an organization once: otherwise a notification would reach it twice, and a change would miss one of the two.
async fn require_free(tx: &Tx, access: &Access, email: &EmailAddress, but: Option<Uuid>) -> Result<()> {
    let existing = tx.contact_by_email(access.organization.id, email.key()).await?;
    match existing.filter(|contact| Some(contact.id) != but) {
        Some(contact) => Err(Refusal::new(Reason::ContactExists).with("contact_id", contact.id.to_string()).into()),
        None => Ok(()),
    }
}

fn facts(contact: &Contact) -> Value {
    json!({
        "email": contact.email,
        "display_name": contact.display_name,
        "notification_roles": contact.notification_roles,
    })
}

/// Changes a contact.
#[derive(Debug)]
pub(crate) struct Update {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The contact.
    pub(crate) contact_id: Uuid,
    /// The new address, where it changes.
    pub(crate) email: Option<EmailAddress>,
    /// The new name, where it changes.
    pub(crate) display_name: Option<DisplayName>,
    /// The new kinds of notification, where they change.
    pub(crate) notification_roles: Option<NotificationRoles>,
    /// The state that the change is based on.
    pub(crate) etag: String,
}

impl Mutation for Update {
    type Outcome = (Contact, i64);

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Permission))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Self::Outcome> {
        let mut access = self.lock(app, ctx, tx).await?;
        let mut contact = find(tx, &access, self.contact_id).await?;
        require_etag(&self.etag, contact.changed_revision)?;
        let before = facts(&contact);
        if let Some(email) = &self.email {
            require_free(tx, &access, email, Some(contact.id)).await?;
            contact.email = email.typed().to_owned();
            contact.email_key = email.key().to_owned();
        }
        if let Some(name) = &self.display_name {
            contact.display_name = name.as_str().to_owned();
            contact.sort_key = sort_key(name.as_str());
        }
        if let Some(roles) = &self.notification_roles {
            contact.notification_roles = roles.clone();
        }
        let after = facts(&contact);
        if after == before {
            return Ok((contact, access.organization.revision));
        }
        contact.changed_revision = access.organization.next_revision();
        contact.update_time = ctx.now;
        tx.update_contact(contact.clone()).await?;
        let data = json!({ "before": before, "after": after });
        ctx.record(tx, &mut access.organization, "contact.updated", Some(contact.id), data).await?;
        Ok((contact, access.organization.revision))
    }
}

/// Deletes a contact.
#[derive(Debug)]
pub(crate) struct Delete {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The contact.
    pub(crate) contact_id: Uuid,
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
        let contact = find(tx, &access, self.contact_id).await?;
        require_etag(&self.etag, contact.changed_revision)?;
        tx.delete_contact(contact.id).await?;
        let data = json!({ "before": facts(&contact) });
        ctx.record(tx, &mut access.organization, "contact.deleted", Some(contact.id), data).await?;
        Ok(access.organization.revision)
    }
}

async fn find(tx: &Tx, access: &Access, id: Uuid) -> Result<Contact> {
    let contact = tx.contact(access.organization.id, id).await?;
    Ok(contact.ok_or(Reason::ContactNotFound)?)
}

/// One contact.
///
/// # Errors
/// `CONTACT_NOT_FOUND`.
pub(crate) async fn get(app: &App, ctx: &Ctx, organization: Uuid, id: Uuid) -> Result<Contact> {
    let access = access::enter(app, ctx, organization).await?;
    let contact = app.store.read().contact(access.organization.id, id).await?;
    Ok(contact.ok_or(Reason::ContactNotFound)?)
}

/// Which contacts.
#[derive(Debug)]
pub(crate) struct List {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// Only the one with this address.
    pub(crate) email: Option<EmailAddress>,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// Contacts, by name.
///
/// # Errors
/// Those of [`access::enter`].
pub(crate) async fn list(app: &App, ctx: &Ctx, query: List) -> Result<Page<Contact>> {
    let access = access::enter(app, ctx, query.organization_id).await?;
    let view = app.store.read();
    let (id, email) = (access.organization.id, query.email.as_ref().map(EmailAddress::key));
    let rows = view.contacts_page(id, email, query.page.after(), query.page.limit()).await?;
    let total = query.page.total(view.contacts_count(id, email)).await?;
    Ok(query.page.page(rows, total, |row| Cursor { key: row.sort_key.clone(), id: row.id }))
}

/// Whom to notify.
#[derive(Debug)]
pub(crate) struct ListRecipients {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The kind of notification.
    pub(crate) notification_role: String,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// The contacts that have a notification role.
///
/// # Errors
/// Those of [`access::enter`].
pub(crate) async fn list_recipients(app: &App, ctx: &Ctx, query: ListRecipients) -> Result<Page<Contact>> {
    let access = access::enter(app, ctx, query.organization_id).await?;
    let view = app.store.read();
    let (id, role) = (access.organization.id, query.notification_role.as_str());
    let rows = view.recipients_page(id, role, query.page.after(), query.page.limit()).await?;
    let total = query.page.total(view.recipients_count(id, role)).await?;
    Ok(query.page.page(rows, total, |row| Cursor::by_id(row.id)))
}
