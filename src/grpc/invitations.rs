//! InvitationService.

pub(super) mod batches;
pub(super) mod join_links;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use tonic::{Request, Response, Status};

use crate::{
    app::{
        etag,
        invitations::{
            self, Issued,
            acceptance::{
                self, Accepted,
                preview::{Preview, preview},
            },
            lists::{self, Waiting},
        },
        records::{InvitationFilter, InvitationRow},
        sessions::sign_in::Entry,
    },
    domain::{
        invitation::{InvitationState, InvitationStatus},
        text::PersonName,
    },
    grpc::{
        pb::{self, invitation_service_server::InvitationService},
        sessions::sign_in::sign_in_challenge,
        wire::{
            convert::{id, roles, timestamp},
            edge::Edge,
            fields::{ETAG, Fields, Parse, TOKEN},
        },
    },
};

/// Characters of a personal message at the most.
pub(super) const MESSAGE: usize = 500;

#[tonic::async_trait]
impl InvitationService for Edge {
    async fn create_invitation(
        &self,
        request: Request<pb::CreateInvitationRequest>,
    ) -> Result<Response<pb::CreateInvitationResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn get_invitation(
        &self,
        request: Request<pb::GetInvitationRequest>,
    ) -> Result<Response<pb::GetInvitationResponse>, Status> {
        let (ctx, (organization, id)) = self.admit(request).await?;
        let row = lists::get(&self.app, &ctx, organization, id).await?;
        Ok(Response::new((row, ctx.now).into()))
    }

    async fn list_invitations(
        &self,
        request: Request<pb::ListInvitationsRequest>,
    ) -> Result<Response<pb::ListInvitationsResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let page = lists::list(&self.app, &ctx, query).await?;
        Ok(Response::new(page.map(|row| invitation(row, ctx.now)).await.into()))
    }

    async fn resend_invitation(
        &self,
        request: Request<pb::ResendInvitationRequest>,
    ) -> Result<Response<pb::ResendInvitationResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn revoke_invitation(
        &self,
        request: Request<pb::RevokeInvitationRequest>,
    ) -> Result<Response<pb::RevokeInvitationResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn preview_invitation(
        &self,
        request: Request<pb::PreviewInvitationRequest>,
    ) -> Result<Response<pb::PreviewInvitationResponse>, Status> {
        let (ctx, token) = self.admit(request).await?;
        Ok(Response::new(preview(&self.app, &ctx, token).await?.into()))
    }

    async fn accept_invitation(
        &self,
        request: Request<pb::AcceptInvitationRequest>,
    ) -> Result<Response<pb::AcceptInvitationResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn decline_invitation(
        &self,
        request: Request<pb::DeclineInvitationRequest>,
    ) -> Result<Response<pb::DeclineInvitationResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn batch_create_invitations(
        &self,
        request: Request<pb::BatchCreateInvitationsRequest>,
    ) -> Result<Response<pb::BatchCreateInvitationsResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn list_user_invitations(
        &self,
        request: Request<pb::ListUserInvitationsRequest>,
    ) -> Result<Response<pb::ListUserInvitationsResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let page = lists::list_of_user(&self.app, &ctx, query).await?;
        Ok(Response::new(page.map(user_invitation).await.into()))
    }
}

impl Parse for pb::CreateInvitationRequest {
    type Command = invitations::Create;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let email = fields.email("email", &self.email);
        let roles = fields.roles("roles", &self.roles);
        let given_name = fields.optional_text("given_name", &self.given_name, PersonName::parse);
        let family_name = fields.optional_text("family_name", &self.family_name, PersonName::parse);
        let personal_message = fields.lines("personal_message", &self.personal_message, MESSAGE);
        let locale = fields.locale("locale", &self.locale);
        Some(invitations::Create {
            organization_id: organization_id?,
            email: email?,
            given_name: given_name?,
            family_name: family_name?,
            roles: roles?,
            personal_message: personal_message?,
            locale: locale?,
            include_link: self.include_link,
            validate_only: self.validate_only,
        })
    }
}

impl Parse for pb::GetInvitationRequest {
    type Command = (uuid::Uuid, uuid::Uuid);

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization = fields.uuid("organization_id", &self.organization_id);
        let invitation = fields.uuid("invitation_id", &self.invitation_id);
        Some((organization?, invitation?))
    }
}

impl Parse for pb::ListInvitationsRequest {
    type Command = lists::List;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let page = fields.page(self);
        let states = fields.values("states", &self.states, pb::InvitationState::known);
        let email = fields.optional_email("email", &self.email);
        let states = states?;
        Some(lists::List {
            organization_id: organization_id?,
            filter: InvitationFilter {
                expired: states.contains(&InvitationStatus::Expired),
                states: states.into_iter().filter_map(stored).collect(),
                email_key: email?.map(|email| email.key().to_owned()),
            },
            page: page?,
        })
    }
}

/// The stored state behind a status; expiry is never stored.
fn stored(status: InvitationStatus) -> Option<InvitationState> {
    match status {
        InvitationStatus::Pending => Some(InvitationState::Pending),
        InvitationStatus::Accepted => Some(InvitationState::Accepted),
        InvitationStatus::Declined => Some(InvitationState::Declined),
        InvitationStatus::Revoked => Some(InvitationState::Revoked),
        InvitationStatus::Expired => None,
    }
}

impl Parse for pb::ResendInvitationRequest {
    type Command = invitations::Resend;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let invitation_id = fields.uuid("invitation_id", &self.invitation_id);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        Some(invitations::Resend {
            organization_id: organization_id?,
            invitation_id: invitation_id?,
            include_link: self.include_link,
            etag: etag?,
        })
    }
}

impl Parse for pb::RevokeInvitationRequest {
    type Command = invitations::Revoke;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let invitation_id = fields.uuid("invitation_id", &self.invitation_id);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        Some(invitations::Revoke { organization_id: organization_id?, invitation_id: invitation_id?, etag: etag? })
    }
}

impl Parse for pb::PreviewInvitationRequest {
    type Command = SecretString;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.secret("token", &self.token, TOKEN)
    }
}

impl Parse for pb::AcceptInvitationRequest {
    type Command = acceptance::Accept;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let hold = hold(fields, &self.token, &self.invitation_id);
        let sign_up = match &self.sign_up {
            None => Some(None),
            Some(person) => fields.within("sign_up", |fields| sign_up(person, fields)).map(Some),
        };
        if let (Some(acceptance::Hold::Address(_)), "", Some(_)) = (&hold, self.token.as_str(), &self.sign_up) {
            fields.violation("sign_up", "must be empty beside invitation_id: the account is there");
        }
        Some(acceptance::Accept { hold: hold?, sign_up: sign_up? })
    }
}

/// By what the caller has an invitation: the token of its link, or its id.
pub(super) fn hold(fields: &mut Fields<'_>, token: &str, invitation: &str) -> Option<acceptance::Hold> {
    if invitation.is_empty() {
        return fields.secret("token", token, TOKEN).map(acceptance::Hold::Link);
    }
    let Some(invitation) = fields.uuid("invitation_id", invitation) else {
        fields.at_most("token", token, TOKEN);
        return None;
    };
    fields.absent_beside("invitation_id", "token", token);
    Some(acceptance::Hold::Address(invitation))
}

fn sign_up(person: &pb::SignUp, fields: &mut Fields<'_>) -> Option<acceptance::SignUp> {
    let given_name = fields.text("given_name", &person.given_name, PersonName::parse);
    let family_name = fields.optional_text("family_name", &person.family_name, PersonName::parse);
    let way = match &person.open_id_connect {
        Some(token) => {
            fields.absent_beside("open_id_connect", "password", &person.password);
            fields.id_token("open_id_connect", token).map(acceptance::FirstCredential::Identity)
        }
        None => fields.password("password", &person.password).map(acceptance::FirstCredential::Password),
    };
    let locale = fields.locale("locale", &person.locale);
    let phone_number = fields.phone_number("phone_number", &person.phone_number);
    Some(acceptance::SignUp {
        given_name: given_name?,
        family_name: family_name?,
        way: way?,
        locale: locale?,
        phone_number: phone_number?,
        enroll_mfa: person.enroll_mfa,
    })
}

/// The invitation in the contract's terms, as it is at a time.
pub(super) fn invitation(row: InvitationRow, now: DateTime<Utc>) -> pb::Invitation {
    let status = row.invitation.status(now);
    let invitation = row.invitation;
    pb::Invitation {
        invitation_id: invitation.id.to_string(),
        organization_id: invitation.organization_id.to_string(),
        email: invitation.email,
        roles: roles(&invitation.roles),
        inviter_user_id: id(invitation.inviter_user_id),
        inviter_service_account_id: id(invitation.inviter_service_account_id),
        state: pb::InvitationState::from(status).into(),
        delivery_state: row.delivery_state.map_or(0, |state| pb::DeliveryState::from(state).into()),
        send_count: invitation.send_count,
        signup_completed: invitation.signup_completed,
        // The invited person has an account, whatever its address is now (PF05).
        user_created: row.known_user_id.or(invitation.accepted_user_id).is_some(),
        create_time: Some(timestamp(invitation.create_time)),
        sent_time: Some(timestamp(invitation.sent_time)),
        expire_time: Some(timestamp(invitation.expire_time)),
        accept_time: invitation.accept_time.map(timestamp),
        accepted_user_id: id(invitation.accepted_user_id),
        locale: invitation.locale.unwrap_or_default(),
        etag: etag(invitation.changed_revision),
        given_name: invitation.given_name,
        family_name: invitation.family_name,
    }
}

/// The invitation as the holder of its link sees it: what the preview shows, and its state (ab_52). Who invited, how its mail fares and how often it was sent is for those who
/// read the organization's invitations.
pub(super) fn by_link(row: InvitationRow, now: DateTime<Utc>) -> pb::Invitation {
    let whole = invitation(row, now);
    pb::Invitation {
        organization_id: whole.organization_id,
        email: whole.email,
        given_name: whole.given_name,
        family_name: whole.family_name,
        state: whole.state,
        expire_time: whole.expire_time,
        user_created: whole.user_created,
        signup_completed: whole.signup_completed,
        accept_time: whole.accept_time,
        accepted_user_id: whole.accepted_user_id,
        ..pb::Invitation::default()
    }
}

fn exposed(link: Option<SecretString>) -> String {
    link.map(|link| link.expose_secret().to_owned()).unwrap_or_default()
}

impl From<Issued> for pb::CreateInvitationResponse {
    fn from(issued: Issued) -> Self {
        let now = issued.row.invitation.sent_time;
        Self { invitation: Some(invitation(issued.row, now)), revision: issued.revision, link: exposed(issued.link) }
    }
}

impl From<Issued> for pb::ResendInvitationResponse {
    fn from(issued: Issued) -> Self {
        let now = issued.row.invitation.sent_time;
        Self { invitation: Some(invitation(issued.row, now)), revision: issued.revision, link: exposed(issued.link) }
    }
}

impl From<(InvitationRow, i64)> for pb::RevokeInvitationResponse {
    fn from((row, revision): (InvitationRow, i64)) -> Self {
        // Revoked, whatever the time.
        let now = row.invitation.sent_time;
        Self { invitation: Some(invitation(row, now)), revision }
    }
}

impl From<(InvitationRow, DateTime<Utc>)> for pb::GetInvitationResponse {
    fn from((row, now): (InvitationRow, DateTime<Utc>)) -> Self {
        Self { invitation: Some(invitation(row, now)) }
    }
}

impl From<Preview> for pb::PreviewInvitationResponse {
    fn from(preview: Preview) -> Self {
        Self {
            organization_id: preview.organization_id.to_string(),
            organization_display_name: preview.organization_name,
            email: preview.email,
            role_display_names: preview.role_names,
            inviter_display_name: preview.inviter_name.unwrap_or_default(),
            expire_time: Some(timestamp(preview.expire_time)),
            account_exists: preview.account_exists,
            given_name: preview.given_name,
            family_name: preview.family_name,
        }
    }
}

impl From<Accepted> for pb::AcceptInvitationResponse {
    fn from(accepted: Accepted) -> Self {
        // Accepted, whatever the time.
        let now = accepted.invitation.invitation.sent_time;
        let answer = Self {
            user_id: accepted.user_id.to_string(),
            organization_id: accepted.organization_id.to_string(),
            roles: roles(&accepted.roles),
            revision: accepted.revision,
            invitation: Some(by_link(accepted.invitation, now)),
            ..Self::default()
        };
        match accepted.entry {
            None => answer,
            Some(Entry::Session(begun)) => Self {
                session_expire_time: Some(timestamp(begun.session.expire_time)),
                session_token: begun.token.expose().to_owned(),
                ..answer
            },
            Some(Entry::Pending(pending)) => Self { challenge: Some(sign_in_challenge(&pending)), ..answer },
        }
    }
}

/// An invitation that waits for a person, in the contract's terms.
#[expect(deprecated, reason = "who reads the fields of before still finds them filled")]
pub(super) fn user_invitation(one: Waiting) -> pb::UserInvitation {
    let inviter_name = one.inviter_name.unwrap_or_default();
    pb::UserInvitation {
        invitation_id: one.invitation.id.to_string(),
        organization_id: one.invitation.organization_id.to_string(),
        organization_name: one.organization_name.clone(),
        organization_display_name: one.organization_name,
        role_names: one.role_names.clone(),
        role_display_names: one.role_names,
        inviter_name: inviter_name.clone(),
        inviter_display_name: inviter_name,
        sent_time: Some(timestamp(one.invitation.sent_time)),
        expire_time: Some(timestamp(one.invitation.expire_time)),
    }
}
