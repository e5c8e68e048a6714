//! AccessModelService.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::{
    app::permissions::access_models::{self, ChangedMember, Replaced},
    domain::access_model::{AccessModel, Permission, RightsChange, Role},
    grpc::{
        pb::{self, access_model_service_server::AccessModelService},
        wire::{
            convert::{count, permissions},
            edge::Edge,
            fields::{ETAG, Fields, Parse},
        },
    },
};

#[tonic::async_trait]
impl AccessModelService for Edge {
    async fn list_access_models(
        &self,
        request: Request<pb::ListAccessModelsRequest>,
    ) -> Result<Response<pb::ListAccessModelsResponse>, Status> {
        let (_ctx, ()) = self.admit(request).await?;
        Ok(Response::new(access_models::list(&self.app).into()))
    }

    async fn get_access_model(
        &self,
        request: Request<pb::GetAccessModelRequest>,
    ) -> Result<Response<pb::GetAccessModelResponse>, Status> {
        let (_ctx, id) = self.admit(request).await?;
        Ok(Response::new(access_models::get(&self.app, &id)?.into()))
    }

    async fn put_access_model(
        &self,
        request: Request<pb::PutAccessModelRequest>,
    ) -> Result<Response<pb::PutAccessModelResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }
}

impl Parse for pb::PutAccessModelRequest {
    type Command = access_models::Put;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        let model = fields.access_model("document", &self.document).map(Arc::new);
        Some(access_models::Put { model: model?, etag: etag?, validate_only: self.validate_only })
    }
}

impl From<Replaced> for pb::PutAccessModelResponse {
    fn from(replaced: Replaced) -> Self {
        Self {
            access_model: Some(whole(&replaced.model)),
            differences: replaced.differences,
            rights_changes: replaced.changes.into_iter().map(Into::into).collect(),
            changed_member_count: count(Some(replaced.changed_members)),
            changed_members: replaced.members.into_iter().map(Into::into).collect(),
            revision: replaced.revision,
        }
    }
}

impl From<RightsChange> for pb::RightsChange {
    fn from(change: RightsChange) -> Self {
        Self {
            organization_kind: change.organization_kind.unwrap_or_default(),
            roles: change.roles.to_strings(),
            gained_permissions: permissions(&change.change.gained),
            lost_permissions: permissions(&change.change.lost),
            member_count: count(Some(change.members)),
            organization_count: count(Some(change.organizations)),
        }
    }
}

impl From<ChangedMember> for pb::ChangedMember {
    fn from(member: ChangedMember) -> Self {
        Self {
            organization_id: member.held.organization_id.to_string(),
            user_id: member.held.user_id.to_string(),
            roles: member.held.roles.to_strings(),
            gained_permissions: permissions(&member.change.gained),
            lost_permissions: permissions(&member.change.lost),
        }
    }
}

impl Parse for pb::GetAccessModelRequest {
    type Command = String;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<String> {
        fields.identifier("access_model", &self.access_model)
    }
}

impl From<Vec<Arc<AccessModel>>> for pb::ListAccessModelsResponse {
    fn from(models: Vec<Arc<AccessModel>>) -> Self {
        Self { access_models: models.iter().map(|model| summary(model)).collect() }
    }
}

impl From<Arc<AccessModel>> for pb::GetAccessModelResponse {
    fn from(model: Arc<AccessModel>) -> Self {
        Self { access_model: Some(whole(&model)) }
    }
}

/// A model with its document.
fn whole(model: &AccessModel) -> pb::AccessModel {
    pb::AccessModel { document: model.source().to_owned(), ..summary(model) }
}

fn summary(model: &AccessModel) -> pb::AccessModel {
    let ttl = model.invitations().ttl;
    pb::AccessModel {
        access_model: model.id().to_owned(),
        display_name: model.name().to_owned(),
        description: model.description().to_owned(),
        permissions: model.permissions().iter().map(permission).collect(),
        roles: model.roles().iter().map(role).collect(),
        default_role: model.default_role().map(ToString::to_string).unwrap_or_default(),
        max_roles_per_member: i32::try_from(model.max_roles_per_member()).unwrap_or(i32::MAX),
        owner_role: model.owner_role().to_string(),
        invitation_ttl: Some(prost_types::Duration { seconds: ttl.num_seconds(), nanos: ttl.subsec_nanos() }),
        document: String::new(),
        etag: model.etag(),
    }
}

pub(crate) fn permission(permission: &Permission) -> pb::Permission {
    pb::Permission {
        permission: permission.id.to_string(),
        display_name: permission.name.clone(),
        description: permission.description.clone(),
        class: permission.class.clone().unwrap_or_default(),
    }
}

pub(crate) fn role(role: &Role) -> pb::Role {
    pb::Role {
        role: role.id.to_string(),
        display_name: role.name.clone(),
        description: role.description.clone(),
        permissions: role.permissions.iter().map(ToString::to_string).collect(),
        grants: role.grants.iter().map(ToString::to_string).collect(),
        manages: role.manages.iter().map(ToString::to_string).collect(),
        invitable: role.invitable,
        organization_kinds: role.organization_kinds.iter().cloned().collect(),
        ..pb::Role::default()
    }
}
