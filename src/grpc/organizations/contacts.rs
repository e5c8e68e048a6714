//! ContactService.

use tonic::{Request, Response, Status};

use crate::{
    app::{etag, organizations::contacts, records::Contact},
    domain::{contact::NotificationRoles, text::DisplayName},
    grpc::{
        pb::{self, contact_service_server::ContactService},
        wire::{
            convert::timestamp,
            edge::Edge,
            fields::{ETAG, Fields, Parse},
        },
    },
};

/// Notification roles of one contact at the most.
const ROLES: usize = 50;

#[tonic::async_trait]
impl ContactService for Edge {
    async fn create_contact(
        &self,
        request: Request<pb::CreateContactRequest>,
    ) -> Result<Response<pb::CreateContactResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn get_contact(
        &self,
        request: Request<pb::GetContactRequest>,
    ) -> Result<Response<pb::GetContactResponse>, Status> {
        let (ctx, (organization, id)) = self.admit(request).await?;
        Ok(Response::new(contacts::get(&self.app, &ctx, organization, id).await?.into()))
    }

    async fn list_contacts(
        &self,
        request: Request<pb::ListContactsRequest>,
    ) -> Result<Response<pb::ListContactsResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let page = contacts::list(&self.app, &ctx, query).await?;
        Ok(Response::new(page.map(contact).await.into()))
    }

    async fn update_contact(
        &self,
        request: Request<pb::UpdateContactRequest>,
    ) -> Result<Response<pb::UpdateContactResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn delete_contact(
        &self,
        request: Request<pb::DeleteContactRequest>,
    ) -> Result<Response<pb::DeleteContactResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn list_contact_recipients(
        &self,
        request: Request<pb::ListContactRecipientsRequest>,
    ) -> Result<Response<pb::ListContactRecipientsResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let page = contacts::list_recipients(&self.app, &ctx, query).await?;
        Ok(Response::new(page.map(recipient).await.into()))
    }
}

fn notification_roles(fields: &mut Fields<'_>, ids: &[String]) -> Option<NotificationRoles> {
    fields.identifiers("notification_roles", ids, ROLES).map(NotificationRoles::from_iter)
}

impl Parse for pb::CreateContactRequest {
    type Command = contacts::Create;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let email = fields.email("email", &self.email);
        let display_name = fields.text("display_name", &self.display_name, DisplayName::parse);
        let notification_roles = notification_roles(fields, &self.notification_roles);
        Some(contacts::Create {
            organization_id: organization_id?,
            email: email?,
            display_name: display_name?,
            notification_roles: notification_roles?,
            validate_only: self.validate_only,
        })
    }
}

impl Parse for pb::GetContactRequest {
    type Command = (uuid::Uuid, uuid::Uuid);

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization = fields.uuid("organization_id", &self.organization_id);
        let contact = fields.uuid("contact_id", &self.contact_id);
        Some((organization?, contact?))
    }
}

impl Parse for pb::ListContactsRequest {
    type Command = contacts::List;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let page = fields.page(self);
        let email = fields.optional_email("email", &self.email);
        Some(contacts::List { organization_id: organization_id?, email: email?, page: page? })
    }
}

impl Parse for pb::UpdateContactRequest {
    type Command = contacts::Update;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        let mask = fields.mask(
            self.update_mask.as_ref(),
            self.contact.as_ref(),
            &["organization_id", "contact_id"],
            CHANGEABLE,
        );
        let contact = fields.required("contact", self.contact.as_ref())?;
        fields.within("contact", |fields| {
            let organization_id = fields.uuid("organization_id", &contact.organization_id);
            let contact_id = fields.uuid("contact_id", &contact.contact_id);
            let email = fields.changed(&mask, "email", |fields, field| fields.email(field, &contact.email));
            let display_name = fields.changed(&mask, "display_name", |fields, field| {
                fields.text(field, &contact.display_name, DisplayName::parse)
            });
            let roles = fields.changed(&mask, "notification_roles", |fields, _| {
                notification_roles(fields, &contact.notification_roles)
            });
            Some(contacts::Update {
                organization_id: organization_id?,
                contact_id: contact_id?,
                email: email?,
                display_name: display_name?,
                notification_roles: roles?,
                etag: etag?,
            })
        })
    }
}

/// The fields that a mask may name.
const CHANGEABLE: &[&str] = &["email", "display_name", "notification_roles"];

impl Parse for pb::DeleteContactRequest {
    type Command = contacts::Delete;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let contact_id = fields.uuid("contact_id", &self.contact_id);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        Some(contacts::Delete { organization_id: organization_id?, contact_id: contact_id?, etag: etag? })
    }
}

impl Parse for pb::ListContactRecipientsRequest {
    type Command = contacts::ListRecipients;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let notification_role = fields.identifier("notification_role", &self.notification_role);
        let page = fields.page(self);
        Some(contacts::ListRecipients {
            organization_id: organization_id?,
            notification_role: notification_role?,
            page: page?,
        })
    }
}

fn contact(row: Contact) -> pb::Contact {
    pb::Contact {
        organization_id: row.organization_id.to_string(),
        contact_id: row.id.to_string(),
        email: row.email,
        display_name: row.display_name,
        notification_roles: row.notification_roles.iter().map(ToOwned::to_owned).collect(),
        create_time: Some(timestamp(row.create_time)),
        update_time: Some(timestamp(row.update_time)),
        etag: etag(row.changed_revision),
    }
}

impl From<(Contact, i64)> for pb::CreateContactResponse {
    fn from((row, revision): (Contact, i64)) -> Self {
        Self { contact: Some(contact(row)), revision }
    }
}

impl From<Contact> for pb::GetContactResponse {
    fn from(row: Contact) -> Self {
        Self { contact: Some(contact(row)) }
    }
}

impl From<(Contact, i64)> for pb::UpdateContactResponse {
    fn from((row, revision): (Contact, i64)) -> Self {
        Self { contact: Some(contact(row)), revision }
    }
}

impl From<i64> for pb::DeleteContactResponse {
    fn from(revision: i64) -> Self {
        Self { revision }
    }
}

fn recipient(row: Contact) -> pb::ContactRecipient {
    pb::ContactRecipient { contact_id: row.id.to_string(), email: row.email, display_name: row.display_name }
}
