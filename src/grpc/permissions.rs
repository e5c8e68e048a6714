//! PermissionService.

pub(super) mod access_models;

use tonic::{Request, Response, Status};

use crate::{
    app::{
        call::directory::Freshness,
        permissions::{self, Check, Decision, Denial, Effective},
    },
    domain::{access_model::PermissionId, member::DenyReason},
    grpc::{
        pb::{self, consistency::Requirement, permission_service_server::PermissionService},
        wire::{
            convert::roles,
            edge::Edge,
            fields::{Fields, Parse},
        },
    },
};

/// Questions of one batch at the most.
const BATCH: usize = 500;

#[tonic::async_trait]
impl PermissionService for Edge {
    async fn check_permission(
        &self,
        request: Request<pb::CheckPermissionRequest>,
    ) -> Result<Response<pb::CheckPermissionResponse>, Status> {
        let (ctx, question) = self.admit(request)?;
        Ok(Response::new(permissions::check(&self.app, &ctx, question).await?.into()))
    }

    async fn batch_check_permissions(
        &self,
        request: Request<pb::BatchCheckPermissionsRequest>,
    ) -> Result<Response<pb::BatchCheckPermissionsResponse>, Status> {
        let (ctx, questions) = self.admit(request)?;
        Ok(Response::new(permissions::check_batch(&self.app, &ctx, questions).await?.into()))
    }

    async fn list_effective_permissions(
        &self,
        request: Request<pb::ListEffectivePermissionsRequest>,
    ) -> Result<Response<pb::ListEffectivePermissionsResponse>, Status> {
        let (ctx, (organization, user)) = self.admit(request)?;
        let effective = permissions::list_effective(&self.app, &ctx, organization, user).await?;
        Ok(Response::new(effective.into()))
    }
}

fn check(fields: &mut Fields<'_>, organization: &str, user: &str, permission: &str) -> Option<Check> {
    let organization_id = fields.uuid("organization_id", organization);
    let user_id = fields.uuid("user_id", user);
    let permission = fields.identifier("permission", permission);
    Some(Check { organization_id: organization_id?, user_id: user_id?, permission: PermissionId::from(permission?) })
}

impl Parse for pb::CheckPermissionRequest {
    type Command = Check;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let question = check(fields, &self.organization_id, &self.user_id, &self.permission);
        consistency(fields, self.consistency.as_ref())?;
        question
    }
}

/// Looks at what an answer has to know of. It has been read before the call was authenticated.
pub(crate) fn consistency(fields: &mut Fields<'_>, consistency: Option<&pb::Consistency>) -> Option<()> {
    match consistency.and_then(|consistency| consistency.requirement) {
        Some(Requirement::AtLeastAsFresh(least)) => {
            fields.not_negative("consistency.at_least_as_fresh.revision", least.revision).map(drop)
        }
        _ => Some(()),
    }
}

impl From<&pb::Consistency> for Freshness {
    fn from(consistency: &pb::Consistency) -> Self {
        match consistency.requirement {
            Some(Requirement::AtLeastAsFresh(least)) => Freshness::Revision(least.revision),
            Some(Requirement::MinimizeLatency(true)) => Freshness::Recent,
            Some(Requirement::MinimizeLatency(false) | Requirement::Full(_)) | None => Freshness::Full,
        }
    }
}

impl Parse for pb::BatchCheckPermissionsRequest {
    type Command = Vec<Check>;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.items("checks", &self.checks, BATCH)?;
        if self.checks.is_empty() {
            fields.violation("checks", "is required");
            return None;
        }
        let read: Vec<Option<Check>> = self
            .checks
            .iter()
            .enumerate()
            .map(|(index, one)| {
                fields.within(&format!("checks[{index}]"), |fields| {
                    check(fields, &one.organization_id, &one.user_id, &one.permission)
                })
            })
            .collect();
        consistency(fields, self.consistency.as_ref())?;
        read.into_iter().collect()
    }
}

impl Parse for pb::ListEffectivePermissionsRequest {
    type Command = (uuid::Uuid, uuid::Uuid);

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization = fields.uuid("organization_id", &self.organization_id);
        let user = fields.uuid("user_id", &self.user_id);
        consistency(fields, self.consistency.as_ref())?;
        Some((organization?, user?))
    }
}

impl From<Decision> for pb::CheckPermissionResponse {
    fn from(decision: Decision) -> Self {
        let (answer, reason) = match decision.denial {
            None => (pb::Decision::Allow, pb::DenyReason::Unspecified),
            Some(denial) => (pb::Decision::Deny, denial.into()),
        };
        Self { decision: answer.into(), deny_reason: reason.into(), revision: decision.revision }
    }
}

impl From<Denial> for pb::DenyReason {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::NotGranted => pb::DenyReason::NotGranted,
            Denial::Denied(deny_reason) => deny_reason.into(),
        }
    }
}

impl From<DenyReason> for pb::DenyReason {
    fn from(deny_reason: DenyReason) -> Self {
        match deny_reason {
            DenyReason::NotAMember => pb::DenyReason::NotAMember,
            DenyReason::SessionOutdated => pb::DenyReason::SessionOutdated,
            DenyReason::MemberSuspended => pb::DenyReason::MemberSuspended,
            DenyReason::MfaRequired => pb::DenyReason::MfaRequired,
            DenyReason::OrganizationSuspended => pb::DenyReason::OrganizationSuspended,
        }
    }
}

impl From<Vec<Decision>> for pb::BatchCheckPermissionsResponse {
    fn from(decisions: Vec<Decision>) -> Self {
        Self { results: decisions.into_iter().map(Into::into).collect() }
    }
}

impl From<Effective> for pb::ListEffectivePermissionsResponse {
    fn from(effective: Effective) -> Self {
        Self {
            roles: roles(&effective.roles),
            permissions: effective.permissions,
            revision: effective.revision,
            deny_reason: effective.denial.map_or(pb::DenyReason::Unspecified, Into::into).into(),
        }
    }
}
