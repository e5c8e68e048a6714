//! PermissionService.

pub(super) mod access_models;

use tonic::{Request, Response, Status};

use crate::{
    app::{
        call::directory::Freshness,
        members::{
            List,
            holders::{self, Holder, Holders},
        },
        permissions::{self, Check, Decision, Effective, denial::Denial, explanation::Explanation},
        records::RosterFilter,
    },
    domain::{
        access_model::{PermissionId, RoleId},
        member::{DenyReason, MemberState},
    },
    grpc::{
        pb::{self, consistency::Requirement, permission_service_server::PermissionService},
        wire::{
            convert::{count, roles},
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
        let (ctx, question) = self.admit(request).await?;
        Ok(Response::new(permissions::check(&self.app, &ctx, question).await?.into()))
    }

    async fn batch_check_permissions(
        &self,
        request: Request<pb::BatchCheckPermissionsRequest>,
    ) -> Result<Response<pb::BatchCheckPermissionsResponse>, Status> {
        let (ctx, questions) = self.admit(request).await?;
        Ok(Response::new(permissions::check_batch(&self.app, &ctx, questions).await?.into()))
    }

    async fn list_effective_permissions(
        &self,
        request: Request<pb::ListEffectivePermissionsRequest>,
    ) -> Result<Response<pb::ListEffectivePermissionsResponse>, Status> {
        let (ctx, (organization, user)) = self.admit(request).await?;
        let effective = permissions::list_effective(&self.app, &ctx, organization, user).await?;
        Ok(Response::new(effective.into()))
    }

    async fn list_permission_holders(
        &self,
        request: Request<pb::ListPermissionHoldersRequest>,
    ) -> Result<Response<pb::ListPermissionHoldersResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        Ok(Response::new(holders::list(&self.app, &ctx, query).await?.into()))
    }
}

fn check(fields: &mut Fields<'_>, organization: &str, user: &str, permission: &str) -> Option<Check> {
    let organization_id = fields.uuid("organization_id", organization);
    let user_id = fields.uuid("user_id", user);
    let permission = fields.identifier("permission", permission);
    let permission = PermissionId::from(permission?);
    Some(Check { organization_id: organization_id?, user_id: user_id?, permission, explain: false })
}

impl Parse for pb::CheckPermissionRequest {
    type Command = Check;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let question = check(fields, &self.organization_id, &self.user_id, &self.permission);
        consistency(fields, self.consistency.as_ref())?;
        Some(Check { explain: self.explain, ..question? })
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
        Self { decision: answer.into(), deny_reason: reason.into(), revision: decision.revision, explanation: None }
    }
}

impl From<(Decision, Option<Explanation>)> for pb::CheckPermissionResponse {
    fn from((decision, explanation): (Decision, Option<Explanation>)) -> Self {
        Self { explanation: explanation.map(Into::into), ..decision.into() }
    }
}

impl From<Explanation> for pb::CheckExplanation {
    fn from(explanation: Explanation) -> Self {
        let obstacles = explanation.obstacles.into_iter().map(|denial| pb::DenyReason::from(denial).into());
        Self {
            summary: explanation.summary,
            member_roles: roles(&explanation.roles),
            granting_roles: ids(&explanation.granting),
            roles_with_permission: ids(&explanation.giving),
            obstacles: obstacles.collect(),
        }
    }
}

fn ids(roles: &[RoleId]) -> Vec<String> {
    roles.iter().map(|role| role.as_str().to_owned()).collect()
}

impl Parse for pb::ListPermissionHoldersRequest {
    type Command = List;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let permission = fields.identifier("permission", &self.permission);
        let page = fields.page(self);
        Some(List {
            organization_id: organization_id?,
            filter: RosterFilter { states: vec![MemberState::Active], ..RosterFilter::default() },
            permission: Some(PermissionId::from(permission?)),
            search: None,
            by_activity: false,
            include_invitations: false,
            page: page?,
        })
    }
}

impl From<Holders> for pb::ListPermissionHoldersResponse {
    fn from(found: Holders) -> Self {
        let holder = |holder: Holder| pb::PermissionHolder {
            user_id: holder.user.user_id.to_string(),
            display_name: holder.user.effective_display_name(),
            email: holder.user.email,
            roles: ids(&holder.roles),
            deny_reason: holder.deny_reason.map_or(pb::DenyReason::Unspecified, Into::into).into(),
        };
        Self {
            holders: found.page.items.into_iter().map(holder).collect(),
            next_page_token: found.page.next_page_token,
            total_size: count(found.page.total_size),
            roles: ids(&found.roles),
            revision: found.revision,
        }
    }
}

impl From<Denial> for pb::DenyReason {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::NotGranted => pb::DenyReason::NotGranted,
            Denial::Unknown => pb::DenyReason::PermissionUnknown,
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
