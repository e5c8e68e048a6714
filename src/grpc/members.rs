//! MemberService.

pub(super) mod changes;
pub(super) mod memberships;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tonic::{Request, Response, Status};

use crate::{
    app::{
        etag,
        invitations::invited_name,
        members::{
            self, OrganizationActions, Roster, RosterEntry, SHOWN_BY_DEFAULT,
            preview::{self, PreviewRoles, RolePreview},
        },
        organizations,
        records::{Invitation, InvitedRows, Member, Profile, RosterFilter, RosterOrder, RosterRow},
    },
    domain::{
        access_model::RoleId,
        authority::RoleChange,
        member::{MemberState, RowState},
        search::Search,
    },
    grpc::{
        invitations::user_invitation,
        pb::{self, member_service_server::MemberService},
        wire::{
            convert::{id, permissions, roles, timestamp},
            edge::Edge,
            fields::{ETAG, Fields, Parse},
        },
    },
};

/// Roles that a roster is filtered by at the most.
const FILTER_ROLES: usize = 10;

#[tonic::async_trait]
impl MemberService for Edge {
    async fn list_members(
        &self,
        request: Request<pb::ListMembersRequest>,
    ) -> Result<Response<pb::ListMembersResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let Roster { page, actions, revision } = members::list(&self.app, &ctx, query).await?;
        let answer = pb::ListMembersResponse::from(page.map(row).await);
        let organization_actions = Some(organization_actions(actions));
        Ok(Response::new(pb::ListMembersResponse { organization_actions, revision, ..answer }))
    }

    async fn get_member(
        &self,
        request: Request<pb::GetMemberRequest>,
    ) -> Result<Response<pb::GetMemberResponse>, Status> {
        let (ctx, (organization, user)) = self.admit(request).await?;
        Ok(Response::new(members::get(&self.app, &ctx, organization, user).await?.into()))
    }

    async fn list_user_memberships(
        &self,
        request: Request<pb::ListUserMembershipsRequest>,
    ) -> Result<Response<pb::ListUserMembershipsResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let (page, waiting) = organizations::memberships::list(&self.app, &ctx, query).await?;
        let answer = pb::ListUserMembershipsResponse::from(page.map(memberships::membership).await);
        let invitations = waiting.into_iter().map(user_invitation).collect();
        Ok(Response::new(pb::ListUserMembershipsResponse { invitations, ..answer }))
    }

    async fn set_member_roles(
        &self,
        request: Request<pb::SetMemberRolesRequest>,
    ) -> Result<Response<pb::SetMemberRolesResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn add_member_roles(
        &self,
        request: Request<pb::AddMemberRolesRequest>,
    ) -> Result<Response<pb::AddMemberRolesResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn remove_member_roles(
        &self,
        request: Request<pb::RemoveMemberRolesRequest>,
    ) -> Result<Response<pb::RemoveMemberRolesResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn preview_role_change(
        &self,
        request: Request<pb::PreviewRoleChangeRequest>,
    ) -> Result<Response<pb::PreviewRoleChangeResponse>, Status> {
        let (ctx, asked) = self.admit(request).await?;
        Ok(Response::new(preview::preview_roles(&self.app, &ctx, asked).await?.into()))
    }

    async fn create_member(
        &self,
        request: Request<pb::CreateMemberRequest>,
    ) -> Result<Response<pb::CreateMemberResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn update_member(
        &self,
        request: Request<pb::UpdateMemberRequest>,
    ) -> Result<Response<pb::UpdateMemberResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn suspend_member(
        &self,
        request: Request<pb::SuspendMemberRequest>,
    ) -> Result<Response<pb::SuspendMemberResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn activate_member(
        &self,
        request: Request<pb::ActivateMemberRequest>,
    ) -> Result<Response<pb::ActivateMemberResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn remove_member(
        &self,
        request: Request<pb::RemoveMemberRequest>,
    ) -> Result<Response<pb::RemoveMemberResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn restore_member(
        &self,
        request: Request<pb::RestoreMemberRequest>,
    ) -> Result<Response<pb::RestoreMemberResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn leave_organization(
        &self,
        request: Request<pb::LeaveOrganizationRequest>,
    ) -> Result<Response<pb::LeaveOrganizationResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }
}

impl Parse for pb::ListMembersRequest {
    type Command = members::List;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let page = fields.page(self);
        let states = fields.values("states", &self.states, row_state);
        let role = fields.optional_identifier("role", &self.role);
        let roles = fields.identifiers("roles", &self.roles, FILTER_ROLES);
        let email = fields.optional_email("email", &self.email);
        let search = fields.optional_text("search", &self.search, Search::parse);
        let order = fields.value("order_by", self.order_by, roster_order);
        if !self.search.is_empty() && self.order_by != 0 {
            fields.violation("order_by", "cannot be given with search, which has an order of its own");
        }
        let states = states?;
        let (order, by_activity) = order?;
        let shown = if states.is_empty() { SHOWN_BY_DEFAULT.to_vec() } else { states };
        Some(members::List {
            organization_id: organization_id?,
            filter: RosterFilter {
                invited: match [RowState::Invited, RowState::InvitationExpired].map(|state| shown.contains(&state)) {
                    [true, true] => Some(InvitedRows::All),
                    [true, false] => Some(InvitedRows::InTime),
                    [false, true] => Some(InvitedRows::Expired),
                    [false, false] => None,
                },
                states: shown.into_iter().filter_map(RowState::of_member).collect(),
                roles: role?.into_iter().chain(roles?).map(RoleId::from).collect::<BTreeSet<_>>().into_iter().collect(),
                email_key: email?.map(|email| email.key().to_owned()),
                order,
                ..RosterFilter::default()
            },
            permission: None,
            search: search?,
            by_activity,
            include_invitations: self.include_invitations,
            page: page?,
        })
    }
}

/// The order of rows, and whether it is that of activity.
fn roster_order(number: i32) -> Option<(RosterOrder, bool)> {
    match pb::MemberOrder::try_from(number).ok()? {
        pb::MemberOrder::Unspecified => Some((RosterOrder::Name, false)),
        pb::MemberOrder::CreateTime => Some((RosterOrder::Joined, false)),
        pb::MemberOrder::LastActiveTime => Some((RosterOrder::Name, true)),
    }
}

fn row_state(number: i32) -> Option<RowState> {
    match pb::MemberState::try_from(number).ok()? {
        pb::MemberState::Unspecified => None,
        pb::MemberState::Active => Some(RowState::Member(MemberState::Active)),
        pb::MemberState::Invited => Some(RowState::Invited),
        pb::MemberState::InvitationExpired => Some(RowState::InvitationExpired),
        pb::MemberState::Suspended => Some(RowState::Member(MemberState::Suspended)),
        pb::MemberState::Removed => Some(RowState::Member(MemberState::Removed)),
    }
}

impl Parse for pb::GetMemberRequest {
    type Command = (uuid::Uuid, uuid::Uuid);

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization = fields.uuid("organization_id", &self.organization_id);
        let user = fields.uuid("user_id", &self.user_id);
        Some((organization?, user?))
    }
}

impl Parse for pb::PreviewRoleChangeRequest {
    type Command = PreviewRoles;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let user_id = fields.uuid("user_id", &self.user_id);
        let roles = fields.roles("roles", &self.roles);
        Some(PreviewRoles { organization_id: organization_id?, user_id: user_id?, roles: roles? })
    }
}

/// Requests that change a member's roles.
macro_rules! role_changes {
    ($($request:ident => $change:ident, $roles:ident;)*) => {
        $(impl Parse for pb::$request {
            type Command = members::ChangeRoles;

            fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
                fields.request_id(&self.request_id);
                let organization_id = fields.uuid("organization_id", &self.organization_id);
                let user_id = fields.uuid("user_id", &self.user_id);
                let roles = fields.$roles("roles", &self.roles);
                let etag = fields.at_most("etag", &self.etag, ETAG);
                Some(members::ChangeRoles {
                    organization_id: organization_id?,
                    user_id: user_id?,
                    change: RoleChange::$change(roles?),
                    etag: etag?,
                    validate_only: self.validate_only,
                })
            }
        })*
    };
}

role_changes! {
    SetMemberRolesRequest => Set, roles;
    AddMemberRolesRequest => Add, some_roles;
    RemoveMemberRolesRequest => Remove, some_roles;
}

fn row(entry: RosterEntry) -> pb::Member {
    let shown = match entry.row {
        RosterRow::Member(member, profile) => of_member(member, profile, entry.activity.last_active_time),
        RosterRow::Invited(invitation) => of_invitation(invitation),
    };
    pb::Member {
        state: pb::MemberState::from(entry.state).into(),
        counters: entry.activity.counters.into_iter().collect(),
        status_label: entry.status_label,
        role_display_names: entry.role_names,
        allowed_actions: entry
            .allowed_actions
            .into_iter()
            .map(|action| pb::MemberAction::from(action).into())
            .collect(),
        ..shown
    }
}

fn of_member(member: Member, profile: Profile, reported: Option<DateTime<Utc>>) -> pb::Member {
    pb::Member {
        organization_id: member.organization_id.to_string(),
        user_id: member.user_id.to_string(),
        invitation_id: id(member.invitation_id),
        display_name: profile.effective_display_name(),
        email: profile.email,
        username: profile.username.unwrap_or_default(),
        given_name: profile.given_name,
        family_name: profile.family_name,
        roles: roles(&member.roles),
        last_sign_in_time: profile.last_sign_in_time.map(timestamp),
        last_active_time: profile.last_active_time.max(reported).map(timestamp),
        mfa_enabled: profile.mfa_enabled,
        has_signed_in: profile.last_sign_in_time.is_some(),
        invitation_sent_time: member.invitation_sent_time.map(timestamp),
        invitation_accepted_time: member.invitation_accepted_time.map(timestamp),
        create_time: Some(timestamp(member.create_time)),
        etag: etag(member.changed_revision),
        ..pb::Member::default()
    }
}

fn of_invitation(invitation: Invitation) -> pb::Member {
    pb::Member {
        organization_id: invitation.organization_id.to_string(),
        invitation_id: invitation.id.to_string(),
        display_name: invited_name(&invitation.given_name, &invitation.family_name, &invitation.email),
        email: invitation.email,
        given_name: invitation.given_name,
        family_name: invitation.family_name,
        roles: roles(&invitation.roles),
        invitation_sent_time: Some(timestamp(invitation.sent_time)),
        expire_time: Some(timestamp(invitation.expire_time)),
        create_time: Some(timestamp(invitation.create_time)),
        etag: etag(invitation.changed_revision),
        ..pb::Member::default()
    }
}

impl From<RosterEntry> for pb::GetMemberResponse {
    fn from(entry: RosterEntry) -> Self {
        Self { member: Some(row(entry)) }
    }
}

impl From<RolePreview> for pb::PreviewRoleChangeResponse {
    fn from(preview: RolePreview) -> Self {
        Self {
            roles_before: roles(&preview.before),
            roles_after: roles(&preview.after),
            gained_permissions: permissions(&preview.change.gained),
            lost_permissions: permissions(&preview.change.lost),
            revision: preview.revision,
        }
    }
}

/// Responses that carry the row after the change and the organization's revision.
macro_rules! changed {
    ($($response:ty),*) => {
        $(impl From<(RosterEntry, i64)> for $response {
            fn from((entry, revision): (RosterEntry, i64)) -> Self {
                Self {
                    member: Some(row(entry)),
                    revision,
                }
            }
        })*
    };
}

changed!(
    pb::SetMemberRolesResponse,
    pb::AddMemberRolesResponse,
    pb::RemoveMemberRolesResponse,
    pb::CreateMemberResponse,
    pb::UpdateMemberResponse,
    pb::SuspendMemberResponse,
    pb::ActivateMemberResponse,
    pb::RemoveMemberResponse,
    pb::RestoreMemberResponse
);

impl From<(RosterEntry, i64)> for pb::LeaveOrganizationResponse {
    fn from((_, revision): (RosterEntry, i64)) -> Self {
        Self { revision }
    }
}

/// What the caller may do, in the contract's terms.
fn organization_actions(actions: OrganizationActions) -> pb::OrganizationActions {
    let named = |(role, name): (RoleId, String)| pb::NamedRole { role: role.as_str().to_owned(), display_name: name };
    pb::OrganizationActions {
        invitable_roles: actions.invitable_roles.into_iter().map(named).collect(),
        manage_roles: actions.manage_roles,
        transfer_ownership: actions.transfer_ownership,
        update_organization: actions.update_organization,
        delete_organization: actions.delete_organization,
    }
}
