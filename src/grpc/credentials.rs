//! CredentialService.

use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use crate::{
    app::{
        credentials::{identities, mfa, passwords},
        records::{LinkedIdentity, MfaFactor},
    },
    domain::mfa::FactorKind,
    grpc::{
        pb::{self, credential_service_server::CredentialService},
        sessions::sign_in::{CODE, Shown, mfa_setup},
        wire::{
            convert::timestamp,
            edge::Edge,
            fields::{Fields, PASSWORD, Parse, TOKEN},
        },
    },
};

#[tonic::async_trait]
impl CredentialService for Edge {
    async fn change_password(
        &self,
        request: Request<pb::ChangePasswordRequest>,
    ) -> Result<Response<pb::ChangePasswordResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        let answer = self.app.execute(&ctx, command).await?;
        Ok(Response::new(answer))
    }

    async fn request_password_reset(
        &self,
        request: Request<pb::RequestPasswordResetRequest>,
    ) -> Result<Response<pb::RequestPasswordResetResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn reset_password(
        &self,
        request: Request<pb::ResetPasswordRequest>,
    ) -> Result<Response<pb::ResetPasswordResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        let answer = self.app.execute(&ctx, command).await?;
        Ok(Response::new(answer))
    }

    async fn begin_mfa_enrollment(
        &self,
        request: Request<pb::BeginMfaEnrollmentRequest>,
    ) -> Result<Response<pb::BeginMfaEnrollmentResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        let answer = self.app.execute(&ctx, command).await?;
        Ok(Response::new(answer))
    }

    async fn confirm_mfa_enrollment(
        &self,
        request: Request<pb::ConfirmMfaEnrollmentRequest>,
    ) -> Result<Response<pb::ConfirmMfaEnrollmentResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        let answer = self.app.execute(&ctx, command).await?;
        Ok(Response::new(answer))
    }

    async fn remove_mfa(
        &self,
        request: Request<pb::RemoveMfaRequest>,
    ) -> Result<Response<pb::RemoveMfaResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        let answer = self.app.execute(&ctx, command).await?;
        Ok(Response::new(answer))
    }

    async fn list_mfa_factors(
        &self,
        request: Request<pb::ListMfaFactorsRequest>,
    ) -> Result<Response<pb::ListMfaFactorsResponse>, Status> {
        let (ctx, user) = self.admit(request).await?;
        Ok(Response::new(mfa::list(&self.app, &ctx, user).await?.into()))
    }

    async fn link_identity(
        &self,
        request: Request<pb::LinkIdentityRequest>,
    ) -> Result<Response<pb::LinkIdentityResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn list_identities(
        &self,
        request: Request<pb::ListIdentitiesRequest>,
    ) -> Result<Response<pb::ListIdentitiesResponse>, Status> {
        let (ctx, user) = self.admit(request).await?;
        Ok(Response::new(identities::list(&self.app, &ctx, user).await?.into()))
    }

    async fn unlink_identity(
        &self,
        request: Request<pb::UnlinkIdentityRequest>,
    ) -> Result<Response<pb::UnlinkIdentityResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn regenerate_recovery_codes(
        &self,
        request: Request<pb::RegenerateRecoveryCodesRequest>,
    ) -> Result<Response<pb::RegenerateRecoveryCodesResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        let answer = self.app.execute(&ctx, command).await?;
        Ok(Response::new(answer))
    }
}

impl Parse for pb::ChangePasswordRequest {
    type Command = passwords::ChangePassword;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let old = fields.secret("old_password", &self.old_password, PASSWORD);
        let new = fields.password("new_password", &self.new_password);
        Some(passwords::ChangePassword { old: old?, new: new? })
    }
}

impl Parse for pb::RequestPasswordResetRequest {
    type Command = passwords::RequestReset;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let email = fields.email("email", &self.email);
        let access_model = fields.optional_identifier("access_model", &self.access_model);
        Some(passwords::RequestReset { email: email?, access_model: access_model? })
    }
}

impl Parse for pb::ResetPasswordRequest {
    type Command = passwords::Reset;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let token = fields.secret("token", &self.token, TOKEN);
        let new = fields.password("new_password", &self.new_password);
        Some(passwords::Reset { token: token?, new: new? })
    }
}

impl Parse for pb::BeginMfaEnrollmentRequest {
    type Command = mfa::Begin;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        Some(mfa::Begin)
    }
}

impl Parse for pb::ConfirmMfaEnrollmentRequest {
    type Command = mfa::Confirm;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let enrollment_id = fields.uuid("enrollment_id", &self.enrollment_id);
        let code = fields.secret("totp_code", &self.totp_code, CODE);
        Some(mfa::Confirm { enrollment_id: enrollment_id?, code: code? })
    }
}

impl Parse for pb::RemoveMfaRequest {
    type Command = mfa::removal::Remove;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        use pb::remove_mfa_request::Proof;

        fields.request_id(&self.request_id);
        let shown = self.proof.as_ref().map(|proof| match proof {
            Proof::TotpCode(text) => Shown::Totp(text),
            Proof::RecoveryCode(text) => Shown::Recovery(text),
            Proof::PresentPassword(text) => Shown::Password(text),
        });
        fields.proof("proof", shown).map(|proof| mfa::removal::Remove { proof })
    }
}

impl Parse for pb::ListMfaFactorsRequest {
    type Command = uuid::Uuid;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.uuid("user_id", &self.user_id)
    }
}

impl Parse for pb::LinkIdentityRequest {
    type Command = identities::Link;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let token = fields.required("open_id_connect", self.open_id_connect.as_ref())?;
        let shown = fields.id_token("open_id_connect", token);
        Some(identities::Link { shown: shown? })
    }
}

impl Parse for pb::ListIdentitiesRequest {
    type Command = uuid::Uuid;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.uuid("user_id", &self.user_id)
    }
}

impl Parse for pb::UnlinkIdentityRequest {
    type Command = identities::Unlink;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let identity_id = fields.uuid("identity_id", &self.identity_id);
        Some(identities::Unlink { identity_id: identity_id? })
    }
}

/// The identity in the contract's terms.
pub(super) fn identity(row: LinkedIdentity) -> pb::Identity {
    pb::Identity {
        identity_id: row.id.to_string(),
        issuer: row.issuer,
        subject: row.subject,
        create_time: Some(timestamp(row.create_time)),
        last_used_time: row.last_used_time.map(timestamp),
    }
}

impl From<LinkedIdentity> for pb::LinkIdentityResponse {
    fn from(row: LinkedIdentity) -> Self {
        Self { identity: Some(identity(row)) }
    }
}

impl From<Vec<LinkedIdentity>> for pb::ListIdentitiesResponse {
    fn from(rows: Vec<LinkedIdentity>) -> Self {
        Self { identities: rows.into_iter().map(identity).collect() }
    }
}

impl Parse for pb::RegenerateRecoveryCodesRequest {
    type Command = mfa::Regenerate;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        use pb::regenerate_recovery_codes_request::Proof;

        fields.request_id(&self.request_id);
        let shown = self.proof.as_ref().map(|proof| match proof {
            Proof::TotpCode(text) => Shown::Totp(text),
            Proof::PresentPassword(text) => Shown::Password(text),
        });
        fields.proof("proof", shown).map(|proof| mfa::Regenerate { proof })
    }
}

/// The second factor in the contract's terms.
pub(super) fn factor(row: MfaFactor) -> pb::MfaFactor {
    pb::MfaFactor {
        mfa_factor_id: row.id.to_string(),
        kind: match row.kind {
            FactorKind::Totp => pb::MfaFactorKind::Totp,
        }
        .into(),
        create_time: Some(timestamp(row.create_time)),
        last_used_time: row.last_used_time.map(timestamp),
    }
}

fn shown_once(codes: &[Zeroizing<String>]) -> Vec<String> {
    codes.iter().map(|code| code.to_string()).collect()
}

impl From<mfa::StartedEnrollment> for pb::BeginMfaEnrollmentResponse {
    fn from(begun: mfa::StartedEnrollment) -> Self {
        Self {
            enrollment_id: begun.challenge.id.to_string(),
            setup: Some(mfa_setup(&begun.setup)),
            expire_time: Some(timestamp(begun.challenge.expire_time)),
        }
    }
}

impl From<mfa::Enrolled> for pb::ConfirmMfaEnrollmentResponse {
    fn from(enrolled: mfa::Enrolled) -> Self {
        Self { mfa_factor: Some(factor(enrolled.factor)), recovery_codes: shown_once(&enrolled.recovery_codes) }
    }
}

impl From<mfa::Factors> for pb::ListMfaFactorsResponse {
    fn from(factors: mfa::Factors) -> Self {
        Self {
            mfa_factors: factors.factors.into_iter().map(factor).collect(),
            recovery_codes_left: i32::try_from(factors.recovery_codes_left).unwrap_or(i32::MAX),
        }
    }
}

impl From<Vec<Zeroizing<String>>> for pb::RegenerateRecoveryCodesResponse {
    fn from(codes: Vec<Zeroizing<String>>) -> Self {
        Self { recovery_codes: shown_once(&codes) }
    }
}

/// Responses that say no more than that it was done.
macro_rules! done {
    ($($response:ty),*) => {
        $(impl From<()> for $response {
            fn from((): ()) -> Self {
                Self {}
            }
        })*
    };
}

done!(
    pb::ChangePasswordResponse,
    pb::RequestPasswordResetResponse,
    pb::ResetPasswordResponse,
    pb::RemoveMfaResponse,
    pb::UnlinkIdentityResponse
);
