//! CredentialService.

use tonic::{Request, Response, Status};

use super::{
    edge::Edge,
    fields::{Fields, PASSWORD, Parse, TOKEN},
    pb::{self, credential_service_server::CredentialService},
};
use crate::app::credentials;

#[tonic::async_trait]
impl CredentialService for Edge {
    async fn change_password(
        &self,
        request: Request<pb::ChangePasswordRequest>,
    ) -> Result<Response<pb::ChangePasswordResponse>, Status> {
        let (ctx, command) = self.admit(request)?;
        let answer = credentials::change_password(&self.app, &ctx, command).await?;
        Ok(Response::new(answer))
    }

    async fn request_password_reset(
        &self,
        request: Request<pb::RequestPasswordResetRequest>,
    ) -> Result<Response<pb::RequestPasswordResetResponse>, Status> {
        let (ctx, command) = self.admit(request)?;
        Ok(Response::new(self.app.execute(&ctx, &command).await?))
    }

    async fn reset_password(
        &self,
        request: Request<pb::ResetPasswordRequest>,
    ) -> Result<Response<pb::ResetPasswordResponse>, Status> {
        let (ctx, command) = self.admit(request)?;
        let answer = credentials::reset_password(&self.app, &ctx, command).await?;
        Ok(Response::new(answer))
    }
}

impl Parse for pb::ChangePasswordRequest {
    type Command = credentials::ChangePassword;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let old = fields.secret("old_password", &self.old_password, PASSWORD);
        let new = fields.password("new_password", &self.new_password, &[]);
        Some(credentials::ChangePassword { old: old?, new: new? })
    }
}

impl Parse for pb::RequestPasswordResetRequest {
    type Command = credentials::RequestReset;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let email = fields.email("email", &self.email);
        Some(credentials::RequestReset { email: email? })
    }
}

impl Parse for pb::ResetPasswordRequest {
    type Command = credentials::Reset;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let token = fields.secret("token", &self.token, TOKEN);
        let new = fields.password("new_password", &self.new_password, &[]);
        Some(credentials::Reset {
            token: token?,
            new: new?,
        })
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
    pb::ResetPasswordResponse
);
