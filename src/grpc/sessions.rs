//! SessionService.

pub(super) mod sign_in;

use chrono::{DateTime, Utc};
use tonic::{Request, Response, Status};

use crate::{
    app::{
        permissions::SessionRights,
        records::{Challenge, Session, SessionHolder},
        sessions::{self, first_factor, step_up},
    },
    domain::{access_model::PermissionId, challenge::Purpose},
    grpc::{
        pb::{self, session_service_server::SessionService},
        permissions::consistency,
        sessions::sign_in::{entered, session},
        users::shown::user,
        wire::{
            convert::{roles, timestamp},
            edge::Edge,
            fields::{Fields, Parse, TOKEN},
        },
    },
};

/// Permissions that are checked with a session at the most.
const PERMISSIONS: usize = 50;

/// Characters of a short code at the most.
const CODE: usize = 16;

#[tonic::async_trait]
impl SessionService for Edge {
    async fn sign_in(&self, request: Request<pb::SignInRequest>) -> Result<Response<pb::SignInResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        let entry = first_factor::sign_in(&self.app, &ctx, command).await?;
        Ok(Response::new(entered(entry, |session| self.idle_end(session))))
    }

    async fn complete_sign_in(
        &self,
        request: Request<pb::CompleteSignInRequest>,
    ) -> Result<Response<pb::CompleteSignInResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        let answer = self.app.execute(&ctx, command).await?;
        Ok(Response::new(answer))
    }

    async fn verify_session(
        &self,
        request: Request<pb::VerifySessionRequest>,
    ) -> Result<Response<pb::VerifySessionResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let verdict = sessions::verify(&self.app, &ctx, query).await?;
        Ok(Response::new(self.verdict(verdict)))
    }

    async fn get_me(&self, request: Request<pb::GetMeRequest>) -> Result<Response<pb::GetMeResponse>, Status> {
        let (ctx, ()) = self.admit(request).await?;
        let SessionHolder { session, user: account } = sessions::me(&ctx)?;
        Ok(Response::new(pb::GetMeResponse { user: Some(user(account)), session: Some(self.session(session)) }))
    }

    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Result<Response<pb::ListSessionsResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let page = sessions::list(&self.app, &ctx, query).await?;
        Ok(Response::new(page.map(|row| self.session(row)).await.into()))
    }

    async fn revoke_session(
        &self,
        request: Request<pb::RevokeSessionRequest>,
    ) -> Result<Response<pb::RevokeSessionResponse>, Status> {
        let (ctx, (user, session)) = self.admit(request).await?;
        sessions::revoke(&self.app, &ctx, user, session).await?;
        Ok(Response::new(pb::RevokeSessionResponse {}))
    }

    async fn revoke_user_sessions(
        &self,
        request: Request<pb::RevokeUserSessionsRequest>,
    ) -> Result<Response<pb::RevokeUserSessionsResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        let answer = self.app.execute(&ctx, command).await?;
        Ok(Response::new(answer))
    }

    async fn start_step_up(
        &self,
        request: Request<pb::StartStepUpRequest>,
    ) -> Result<Response<pb::StartStepUpResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        let answer = self.app.execute(&ctx, command).await?;
        Ok(Response::new(answer))
    }

    async fn complete_step_up(
        &self,
        request: Request<pb::CompleteStepUpRequest>,
    ) -> Result<Response<pb::CompleteStepUpResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        let answer = self.app.execute(&ctx, command).await?;
        Ok(Response::new(answer))
    }

    async fn sign_out(&self, request: Request<pb::SignOutRequest>) -> Result<Response<pb::SignOutResponse>, Status> {
        let (ctx, ()) = self.admit(request).await?;
        sessions::sign_out(&self.app, &ctx).await?;
        Ok(Response::new(pb::SignOutResponse {}))
    }
}

impl Edge {
    fn idle_end(&self, row: &Session) -> DateTime<Utc> {
        self.app.sessions.idle_expire_time(row.last_used_time, row.expire_time)
    }

    fn verdict(&self, verdict: sessions::Verdict) -> pb::VerifySessionResponse {
        match verdict {
            sessions::Verdict::Good(holder, rights) => pb::VerifySessionResponse {
                valid: true,
                session: Some(self.session(holder.session)),
                user: Some(user(holder.user)),
                ..rights.map(decisions).unwrap_or_default()
            },
            sessions::Verdict::Denied(deny_reason) => pb::VerifySessionResponse {
                deny_reason: pb::DenyReason::from(deny_reason).into(),
                ..pb::VerifySessionResponse::default()
            },
            sessions::Verdict::Over => pb::VerifySessionResponse::default(),
        }
    }

    /// A session in the contract's terms.
    pub(super) fn session(&self, row: Session) -> pb::Session {
        let idle_end = self.idle_end(&row);
        session(row, idle_end)
    }
}

impl Parse for pb::VerifySessionRequest {
    type Command = sessions::Verify;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let token = fields.secret("session_token", &self.session_token, TOKEN);
        let organization_id = fields.optional_uuid("organization_id", &self.organization_id);
        let permissions = fields.identifiers("permissions", &self.permissions, PERMISSIONS);
        if !self.permissions.is_empty() && self.organization_id.is_empty() {
            fields.violation("organization_id", "is required where permissions are given");
        }
        consistency(fields, self.consistency.as_ref())?;
        Some(sessions::Verify {
            token: token?,
            organization_id: organization_id?,
            permissions: permissions?.into_iter().map(PermissionId::from).collect(),
        })
    }
}

/// What was checked of the session's user.
fn decisions(rights: SessionRights) -> pb::VerifySessionResponse {
    let decided = rights.decisions.into_iter().map(|(permission, decision)| {
        let answer = pb::CheckPermissionResponse::from(decision);
        pb::PermissionDecision {
            permission: permission.as_str().to_owned(),
            decision: answer.decision,
            deny_reason: answer.deny_reason,
        }
    });
    pb::VerifySessionResponse {
        decisions: decided.collect(),
        roles: roles(&rights.roles),
        revision: rights.revision,
        ..pb::VerifySessionResponse::default()
    }
}

impl Parse for pb::ListSessionsRequest {
    type Command = sessions::List;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let user_id = fields.uuid("user_id", &self.user_id);
        let page = fields.page(self);
        Some(sessions::List { user_id: user_id?, page: page? })
    }
}

impl Parse for pb::StartStepUpRequest {
    type Command = step_up::Start;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let purpose = match pb::StepUpPurpose::try_from(self.purpose) {
            Ok(pb::StepUpPurpose::InviteMembers) => Some(Purpose::StepUpInviteMembers),
            Ok(pb::StepUpPurpose::Unspecified) | Err(_) => None,
        };
        if purpose.is_none() {
            fields.violation("purpose", "must be a known value other than UNSPECIFIED");
        }
        Some(step_up::Start { purpose: purpose? })
    }
}

impl From<Challenge> for pb::StartStepUpResponse {
    fn from(challenge: Challenge) -> Self {
        Self { step_up_id: challenge.id.to_string(), expire_time: Some(timestamp(challenge.expire_time)) }
    }
}

impl Parse for pb::CompleteStepUpRequest {
    type Command = step_up::Complete;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let step_up_id = fields.uuid("step_up_id", &self.step_up_id);
        let code = fields.secret("code", &self.code, CODE);
        Some(step_up::Complete { step_up_id: step_up_id?, code: code? })
    }
}

impl From<Session> for pb::CompleteStepUpResponse {
    fn from(session: Session) -> Self {
        Self { step_up_expire_time: session.step_up_expire_time.map(timestamp) }
    }
}

impl Parse for pb::RevokeUserSessionsRequest {
    type Command = sessions::RevokeAll;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        Some(sessions::RevokeAll { user_id: fields.uuid("user_id", &self.user_id)?, keep_current: self.keep_current })
    }
}

impl From<u64> for pb::RevokeUserSessionsResponse {
    fn from(count: u64) -> Self {
        Self { revoked_count: i32::try_from(count).unwrap_or(i32::MAX) }
    }
}

impl Parse for pb::RevokeSessionRequest {
    type Command = (uuid::Uuid, uuid::Uuid);

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let user = fields.uuid("user_id", &self.user_id);
        let session = fields.uuid("session_id", &self.session_id);
        Some((user?, session?))
    }
}
