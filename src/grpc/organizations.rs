//! OrganizationService.

pub(super) mod activity;
pub(super) mod contacts;
pub(super) mod ownership;
pub(super) mod roles;

use tonic::{Request, Response, Status};

use crate::{
    app::{
        etag,
        organizations::{self, settings, slugs},
        records::Organization,
        users::NewUser,
    },
    domain::{
        attributes::Attributes,
        organization::OrganizationChange,
        search::Search,
        slug::Slug,
        text::{OrganizationName, PersonName},
    },
    grpc::{
        invitations::invitation,
        pb::{self, organization_service_server::OrganizationService},
        wire::{
            convert::{id, timestamp},
            edge::Edge,
            fields::{ETAG, Fields, Parse},
        },
    },
};

#[tonic::async_trait]
impl OrganizationService for Edge {
    async fn create_organization(
        &self,
        request: Request<pb::CreateOrganizationRequest>,
    ) -> Result<Response<pb::CreateOrganizationResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn get_organization(
        &self,
        request: Request<pb::GetOrganizationRequest>,
    ) -> Result<Response<pb::GetOrganizationResponse>, Status> {
        let (ctx, id) = self.admit(request).await?;
        Ok(Response::new(organizations::get(&self.app, &ctx, id).await?.into()))
    }

    async fn list_organizations(
        &self,
        request: Request<pb::ListOrganizationsRequest>,
    ) -> Result<Response<pb::ListOrganizationsResponse>, Status> {
        let (ctx, page) = self.admit(request).await?;
        let page = organizations::list(&self.app, &ctx, page).await?;
        Ok(Response::new(page.map(organization).await.into()))
    }

    async fn lookup_organization(
        &self,
        request: Request<pb::LookupOrganizationRequest>,
    ) -> Result<Response<pb::LookupOrganizationResponse>, Status> {
        let (ctx, slug) = self.admit(request).await?;
        Ok(Response::new(slugs::lookup(&self.app, &ctx, slug).await?.into()))
    }

    async fn update_organization(
        &self,
        request: Request<pb::UpdateOrganizationRequest>,
    ) -> Result<Response<pb::UpdateOrganizationResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn suspend_organization(
        &self,
        request: Request<pb::SuspendOrganizationRequest>,
    ) -> Result<Response<pb::SuspendOrganizationResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn activate_organization(
        &self,
        request: Request<pb::ActivateOrganizationRequest>,
    ) -> Result<Response<pb::ActivateOrganizationResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn delete_organization(
        &self,
        request: Request<pb::DeleteOrganizationRequest>,
    ) -> Result<Response<pb::DeleteOrganizationResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn undelete_organization(
        &self,
        request: Request<pb::UndeleteOrganizationRequest>,
    ) -> Result<Response<pb::UndeleteOrganizationResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }
}

impl Parse for pb::CreateOrganizationRequest {
    type Command = organizations::Create;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        use pb::create_organization_request::Owner;

        fields.request_id(&self.request_id);
        let display_name = fields.text("display_name", &self.display_name, OrganizationName::parse);
        let access_model = fields.optional_identifier("access_model", &self.access_model);
        let kind = fields.optional_identifier("organization_kind", &self.organization_kind);
        let locale = fields.locale("locale", &self.locale);
        let attributes = fields.attributes("attributes", &self.attributes);
        let slug = fields.optional_text("slug", &self.slug, Slug::parse);
        let owner = match fields.required("owner", self.owner.as_ref()) {
            None => None,
            Some(Owner::OwnerUserId(id)) => fields.uuid("owner_user_id", id).map(organizations::FirstOwner::User),
            Some(Owner::NewOwner(person)) => {
                fields.within("new_owner", |fields| new_owner(person, fields)).map(organizations::FirstOwner::New)
            }
            Some(Owner::Founder(founder)) => fields.within("founder", |fields| {
                let email = fields.email("email", &founder.email);
                let locale = fields.locale("locale", &founder.locale);
                Some(organizations::FirstOwner::Founder(email?, locale?))
            }),
        };
        Some(organizations::Create {
            display_name: display_name?,
            access_model: access_model?,
            kind: kind?,
            locale: locale?,
            attributes: attributes?,
            slug: slug?,
            owner: owner?,
            validate_only: self.validate_only,
        })
    }
}

fn new_owner(person: &pb::NewUser, fields: &mut Fields<'_>) -> Option<NewUser> {
    let email = fields.email("email", &person.email);
    let given_name = fields.text("given_name", &person.given_name, PersonName::parse);
    let family_name = fields.optional_text("family_name", &person.family_name, PersonName::parse);
    let password = fields.password("password", &person.password);
    let locale = fields.locale("locale", &person.locale);
    let phone_number = fields.phone_number("phone_number", &person.phone_number);
    Some(NewUser {
        email: email?,
        email_verified: person.email_verified,
        proven: false,
        given_name: given_name?,
        family_name: family_name?,
        password: Some(password?),
        locale: locale?,
        username: None,
        phone_number: phone_number?,
        attributes: Attributes::default(),
    })
}

impl Parse for pb::GetOrganizationRequest {
    type Command = uuid::Uuid;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.uuid("organization_id", &self.organization_id)
    }
}

impl Parse for pb::LookupOrganizationRequest {
    type Command = Slug;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Slug> {
        fields.text("slug", &self.slug, Slug::parse)
    }
}

impl From<slugs::Lookup> for pb::LookupOrganizationResponse {
    fn from(found: slugs::Lookup) -> Self {
        Self { organization_id: found.organization_id.to_string(), slug: found.slug.unwrap_or_default() }
    }
}

impl Parse for pb::ListOrganizationsRequest {
    type Command = organizations::List;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let page = fields.page(self);
        let search = fields.optional_text("search", &self.search, Search::parse);
        Some(organizations::List { search: search?, page: page? })
    }
}

impl Parse for pb::UpdateOrganizationRequest {
    type Command = settings::Update;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        let mask = fields.mask(self.update_mask.as_ref(), self.organization.as_ref(), &["organization_id"], CHANGEABLE);
        let organization = fields.required("organization", self.organization.as_ref())?;
        let (id, name, locale, attributes, slug) = fields.within("organization", |fields| {
            let id = fields.uuid("organization_id", &organization.organization_id);
            let name = fields.changed(&mask, "display_name", |fields, field| {
                fields.text(field, &organization.display_name, OrganizationName::parse)
            });
            let locale = fields.changed(&mask, "locale", |fields, field| fields.locale(field, &organization.locale));
            let attributes =
                fields.changed(&mask, "attributes", |fields, field| fields.attributes(field, &organization.attributes));
            let slug = fields
                .changed(&mask, "slug", |fields, field| fields.optional_text(field, &organization.slug, Slug::parse));
            (id, name, locale, attributes, slug)
        });
        Some(settings::Update {
            organization_id: id?,
            display_name: name?,
            mfa_required: mask.names("mfa_required").then_some(organization.mfa_required),
            locale: locale?,
            attributes: attributes?,
            slug: slug?,
            etag: etag?,
        })
    }
}

/// The fields that a mask may name.
const CHANGEABLE: &[&str] = &["display_name", "mfa_required", "locale", "attributes", "slug"];

/// Reads a request that changes the state: all of them have the same fields, and one can be tried out.
macro_rules! change_of_state {
    ($($request:ident => $change:ident, $validate_only:expr;)*) => {$(
        impl Parse for pb::$request {
            type Command = organizations::ChangeOrganizationState;

            fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
                fields.request_id(&self.request_id);
                let organization_id = fields.uuid("organization_id", &self.organization_id);
                let etag = fields.at_most("etag", &self.etag, ETAG);
                let validate_only: fn(&Self) -> bool = $validate_only;
                Some(organizations::ChangeOrganizationState {
                    organization_id: organization_id?,
                    change: OrganizationChange::$change,
                    etag: etag?,
                    validate_only: validate_only(self),
                })
            }
        }
    )*};
}

change_of_state! {
    SuspendOrganizationRequest => Suspend, |_| false;
    ActivateOrganizationRequest => Activate, |_| false;
    DeleteOrganizationRequest => Delete, |request| request.validate_only;
    UndeleteOrganizationRequest => Undelete, |_| false;
}

/// The organization in the contract's terms.
pub(super) fn organization(row: Organization) -> pb::Organization {
    pb::Organization {
        organization_id: row.id.to_string(),
        display_name: row.display_name,
        access_model: row.access_model,
        organization_kind: row.kind.unwrap_or_default(),
        state: pb::OrganizationState::from(row.state).into(),
        create_time: Some(timestamp(row.create_time)),
        update_time: Some(timestamp(row.update_time)),
        revision: row.revision,
        mfa_required: row.mfa_required,
        etag: etag(row.changed_revision),
        delete_time: row.delete_time.map(timestamp),
        locale: row.locale.unwrap_or_default(),
        attributes: row.attributes.unwrap_or_default().into_iter().collect(),
        slug: row.slug.unwrap_or_default(),
    }
}

impl From<organizations::Created> for pb::CreateOrganizationResponse {
    fn from(created: organizations::Created) -> Self {
        let now = created.organization.create_time;
        Self {
            owner_user_id: id(created.owner_user_id),
            invitation: created.invitation.map(|row| invitation(row, now)),
            revision: created.organization.revision,
            organization: Some(organization(created.organization)),
        }
    }
}

impl From<Organization> for pb::GetOrganizationResponse {
    fn from(row: Organization) -> Self {
        Self { organization: Some(organization(row)) }
    }
}

/// Responses that carry the organization and its revision.
macro_rules! changed {
    ($($response:ty),*) => {
        $(impl From<Organization> for $response {
            fn from(row: Organization) -> Self {
                Self {
                    revision: row.revision,
                    organization: Some(organization(row)),
                }
            }
        })*
    };
}

changed!(
    pb::UpdateOrganizationResponse,
    pb::SuspendOrganizationResponse,
    pb::ActivateOrganizationResponse,
    pb::DeleteOrganizationResponse,
    pb::UndeleteOrganizationResponse
);
