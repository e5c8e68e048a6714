//! RoleService.

use std::collections::BTreeSet;

use tonic::{Request, Response, Status};

use crate::{
    app::{
        etag,
        organizations::roles::{self, Draft, ListedRole},
    },
    domain::{
        access_model::{MAX_PERMISSIONS, MAX_ROLES, PermissionId, RoleId},
        text::one_line,
    },
    grpc::{
        pb::{self, role_service_server::RoleService},
        permissions::access_models::{permission, role as shown},
        wire::{
            edge::Edge,
            fields::{ETAG, Fields, Parse},
        },
    },
};

/// Characters of a role's name and description at the most, as in an access model.
const NAME: usize = 100;
const DESCRIPTION: usize = 1000;

#[tonic::async_trait]
impl RoleService for Edge {
    async fn list_roles(
        &self,
        request: Request<pb::ListRolesRequest>,
    ) -> Result<Response<pb::ListRolesResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let (page, revision) = roles::list(&self.app, &ctx, query).await?;
        let answer = pb::ListRolesResponse::from(page.map(role).await);
        Ok(Response::new(pb::ListRolesResponse { revision, ..answer }))
    }

    async fn get_role(&self, request: Request<pb::GetRoleRequest>) -> Result<Response<pb::GetRoleResponse>, Status> {
        let (ctx, (organization, role)) = self.admit(request).await?;
        Ok(Response::new(roles::get(&self.app, &ctx, organization, role).await?.into()))
    }

    async fn create_role(
        &self,
        request: Request<pb::CreateRoleRequest>,
    ) -> Result<Response<pb::CreateRoleResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn update_role(
        &self,
        request: Request<pb::UpdateRoleRequest>,
    ) -> Result<Response<pb::UpdateRoleResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn delete_role(
        &self,
        request: Request<pb::DeleteRoleRequest>,
    ) -> Result<Response<pb::DeleteRoleResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn list_permissions(
        &self,
        request: Request<pb::ListPermissionsRequest>,
    ) -> Result<Response<pb::ListPermissionsResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let page = roles::list_permissions(&self.app, &ctx, query).await?;
        Ok(Response::new(page.map(|row| permission(&row)).await.into()))
    }
}

fn permissions(fields: &mut Fields<'_>, ids: &[String]) -> Option<BTreeSet<PermissionId>> {
    let read = fields.identifiers("permissions", ids, MAX_PERMISSIONS)?;
    Some(read.into_iter().map(PermissionId::from).collect())
}

fn role_ids(fields: &mut Fields<'_>, field: &str, ids: &[String]) -> Option<BTreeSet<RoleId>> {
    let read = fields.identifiers(field, ids, MAX_ROLES)?;
    Some(read.into_iter().map(RoleId::from).collect())
}

fn name(fields: &mut Fields<'_>, text: &str) -> Option<String> {
    fields.text("display_name", text, |text| one_line(text, NAME))
}

fn description(fields: &mut Fields<'_>, text: &str) -> Option<String> {
    let read = fields.optional_text("description", text, |text| one_line(text, DESCRIPTION));
    read.map(Option::unwrap_or_default)
}

impl Parse for pb::ListRolesRequest {
    type Command = roles::List;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let page = fields.page(self);
        Some(roles::List { organization_id: organization_id?, page: page? })
    }
}

impl Parse for pb::ListPermissionsRequest {
    type Command = roles::List;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let page = fields.page(self);
        Some(roles::List { organization_id: organization_id?, page: page? })
    }
}

impl Parse for pb::GetRoleRequest {
    type Command = (uuid::Uuid, RoleId);

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization = fields.uuid("organization_id", &self.organization_id);
        let role = fields.identifier("role", &self.role);
        Some((organization?, RoleId::from(role?)))
    }
}

impl Parse for pb::CreateRoleRequest {
    type Command = roles::Create;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let id = fields.custom_role("role", &self.role);
        let name = name(fields, &self.display_name);
        let description = description(fields, &self.description);
        let permissions = permissions(fields, &self.permissions);
        let grants = role_ids(fields, "grants", &self.grants);
        let manages = role_ids(fields, "manages", &self.manages);
        Some(roles::Create {
            organization_id: organization_id?,
            draft: Draft {
                id: RoleId::from(id?),
                name: name?,
                description: description?,
                permissions: permissions?,
                grants: grants?,
                manages: manages?,
            },
            validate_only: self.validate_only,
        })
    }
}

impl Parse for pb::UpdateRoleRequest {
    type Command = roles::Update;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        let mask = fields.mask(self.update_mask.as_ref(), self.role.as_ref(), &["role"], CHANGEABLE);
        let role = fields.required("role", self.role.as_ref())?;
        fields.within("role", |fields| {
            let id = fields.identifier("role", &role.role);
            let name = fields.changed(&mask, "display_name", |fields, _| name(fields, &role.display_name));
            let description = fields.changed(&mask, "description", |fields, _| description(fields, &role.description));
            let permissions = fields.changed(&mask, "permissions", |fields, _| permissions(fields, &role.permissions));
            let grants = fields.changed(&mask, "grants", |fields, field| role_ids(fields, field, &role.grants));
            let manages = fields.changed(&mask, "manages", |fields, field| role_ids(fields, field, &role.manages));
            Some(roles::Update {
                organization_id: organization_id?,
                role: RoleId::from(id?),
                name: name?,
                description: description?,
                permissions: permissions?,
                grants: grants?,
                manages: manages?,
                etag: etag?,
            })
        })
    }
}

/// The fields that a mask may name.
const CHANGEABLE: &[&str] = &["display_name", "description", "permissions", "grants", "manages"];

impl Parse for pb::DeleteRoleRequest {
    type Command = roles::Delete;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let role = fields.identifier("role", &self.role);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        Some(roles::Delete { organization_id: organization_id?, role: RoleId::from(role?), etag: etag? })
    }
}

fn role(seen: ListedRole) -> pb::Role {
    pb::Role {
        custom: seen.changed_revision.is_some(),
        etag: seen.changed_revision.map(etag).unwrap_or_default(),
        ..shown(&seen.role)
    }
}

impl From<ListedRole> for pb::GetRoleResponse {
    fn from(seen: ListedRole) -> Self {
        Self { role: Some(role(seen)) }
    }
}

impl From<(ListedRole, i64)> for pb::CreateRoleResponse {
    fn from((seen, revision): (ListedRole, i64)) -> Self {
        Self { role: Some(role(seen)), revision }
    }
}

impl From<(ListedRole, i64)> for pb::UpdateRoleResponse {
    fn from((seen, revision): (ListedRole, i64)) -> Self {
        Self { role: Some(role(seen)), revision }
    }
}

impl From<i64> for pb::DeleteRoleResponse {
    fn from(revision: i64) -> Self {
        Self { revision }
    }
}
