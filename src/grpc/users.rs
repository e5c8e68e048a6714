//! UserService.

pub(super) mod changes;
pub(super) mod imports;
pub(super) mod personal_data;
pub(super) mod shown;

use futures_util::stream::BoxStream;
use secrecy::SecretString;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    app::{
        records::User,
        users::{self, NewUser, addresses},
    },
    domain::{search::Search, text::PersonName},
    grpc::{
        pb::{self, user_service_server::UserService},
        users::{personal_data::Export, shown::user},
        wire::{
            edge::{Edge, admitted},
            fields::{ETAG, Fields, PASSWORD, Parse, TOKEN},
            pieces::in_pieces,
        },
    },
};

#[tonic::async_trait]
impl UserService for Edge {
    async fn create_user(
        &self,
        request: Request<pb::CreateUserRequest>,
    ) -> Result<Response<pb::CreateUserResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn get_user(&self, request: Request<pb::GetUserRequest>) -> Result<Response<pb::GetUserResponse>, Status> {
        let (ctx, id) = self.admit(request).await?;
        Ok(Response::new(users::get(&self.app, &ctx, id).await?.into()))
    }

    async fn change_user_email(
        &self,
        request: Request<pb::ChangeUserEmailRequest>,
    ) -> Result<Response<pb::ChangeUserEmailResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        let answer = self.app.execute(&ctx, command).await?;
        Ok(Response::new(answer))
    }

    async fn send_email_verification(
        &self,
        request: Request<pb::SendEmailVerificationRequest>,
    ) -> Result<Response<pb::SendEmailVerificationResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn verify_user_email(
        &self,
        request: Request<pb::VerifyUserEmailRequest>,
    ) -> Result<Response<pb::VerifyUserEmailResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn list_users(
        &self,
        request: Request<pb::ListUsersRequest>,
    ) -> Result<Response<pb::ListUsersResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let page = users::list(&self.app, &ctx, query).await?;
        Ok(Response::new(page.map(user).await.into()))
    }

    async fn batch_get_users(
        &self,
        request: Request<pb::BatchGetUsersRequest>,
    ) -> Result<Response<pb::BatchGetUsersResponse>, Status> {
        let (ctx, ids) = self.admit(request).await?;
        let rows = users::get_batch(&self.app, &ctx, ids).await?;
        Ok(Response::new(rows.into()))
    }

    async fn update_user(
        &self,
        request: Request<pb::UpdateUserRequest>,
    ) -> Result<Response<pb::UpdateUserResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn suspend_user(
        &self,
        request: Request<pb::SuspendUserRequest>,
    ) -> Result<Response<pb::SuspendUserResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn activate_user(
        &self,
        request: Request<pb::ActivateUserRequest>,
    ) -> Result<Response<pb::ActivateUserResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn delete_user(
        &self,
        request: Request<pb::DeleteUserRequest>,
    ) -> Result<Response<pb::DeleteUserResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn undelete_user(
        &self,
        request: Request<pb::UndeleteUserRequest>,
    ) -> Result<Response<pb::UndeleteUserResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn schedule_user_deletion(
        &self,
        request: Request<pb::ScheduleUserDeletionRequest>,
    ) -> Result<Response<pb::ScheduleUserDeletionResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn cancel_user_deletion(
        &self,
        request: Request<pb::CancelUserDeletionRequest>,
    ) -> Result<Response<pb::CancelUserDeletionResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn erase_user(
        &self,
        request: Request<pb::EraseUserRequest>,
    ) -> Result<Response<pb::EraseUserResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    type ExportUserStream = BoxStream<'static, Result<pb::ExportUserResponse, Status>>;

    async fn export_user(
        &self,
        request: Request<pb::ExportUserRequest>,
    ) -> Result<Response<Self::ExportUserStream>, Status> {
        let (admitted, request) = (admitted(&request)?, request.into_inner());
        Ok(Response::new(in_pieces(Export::of(self.clone(), admitted, request)).await?))
    }

    type ImportUsersStream = BoxStream<'static, Result<pb::ImportUsersResponse, Status>>;

    async fn import_users(
        &self,
        request: Request<Streaming<pb::ImportUsersRequest>>,
    ) -> Result<Response<Self::ImportUsersStream>, Status> {
        Ok(Response::new(self.import(request)?))
    }
}

impl Parse for pb::CreateUserRequest {
    type Command = users::Create;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let email = fields.email("email", &self.email);
        let given_name = fields.text("given_name", &self.given_name, PersonName::parse);
        let family_name = fields.optional_text("family_name", &self.family_name, PersonName::parse);
        let password = fields.password("password", &self.password);
        let locale = fields.locale("locale", &self.locale);
        let phone_number = fields.phone_number("phone_number", &self.phone_number);
        let attributes = fields.attributes("attributes", &self.attributes);
        Some(users::Create {
            person: NewUser {
                email: email?,
                email_verified: self.email_verified,
                proven: false,
                given_name: given_name?,
                family_name: family_name?,
                password: Some(password?),
                locale: locale?,
                username: None,
                phone_number: phone_number?,
                attributes: attributes?,
            },
            validate_only: self.validate_only,
        })
    }
}

impl Parse for pb::GetUserRequest {
    type Command = uuid::Uuid;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.uuid("user_id", &self.user_id)
    }
}

impl Parse for pb::ChangeUserEmailRequest {
    type Command = addresses::Change;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let user_id = fields.uuid("user_id", &self.user_id);
        let email = fields.email("email", &self.email);
        let password = fields.at_most("password", &self.password, PASSWORD);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        Some(addresses::Change {
            user_id: user_id?,
            email: email?,
            password: password
                .map(|password| Some(password).filter(|password| !password.is_empty()))?
                .map(SecretString::from),
            verified: self.email_verified,
            etag: etag?,
            validate_only: self.validate_only,
        })
    }
}

impl Parse for pb::SendEmailVerificationRequest {
    type Command = addresses::SendVerification;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let user_id = fields.uuid("user_id", &self.user_id);
        let access_model = fields.optional_identifier("access_model", &self.access_model);
        Some(addresses::SendVerification { user_id: user_id?, access_model: access_model? })
    }
}

impl From<bool> for pb::SendEmailVerificationResponse {
    fn from(verification_sent: bool) -> Self {
        Self { verification_sent }
    }
}

impl Parse for pb::VerifyUserEmailRequest {
    type Command = addresses::Verify;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let token = fields.secret("token", &self.token, TOKEN);
        Some(addresses::Verify { token: token? })
    }
}

impl From<addresses::Changed> for pb::ChangeUserEmailResponse {
    fn from(changed: addresses::Changed) -> Self {
        Self { user: Some(user(changed.user)), verification_sent: changed.verification_sent }
    }
}

impl From<User> for pb::VerifyUserEmailResponse {
    fn from(row: User) -> Self {
        Self { user: Some(user(row)) }
    }
}

impl Parse for pb::ListUsersRequest {
    type Command = users::List;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let page = fields.page(self);
        let email = fields.optional_email("email", &self.email);
        let username = fields.username("username", &self.username);
        let search = fields.optional_text("search", &self.search, Search::parse);
        Some(users::List { email: email?, username: username?, search: search?, page: page? })
    }
}

impl From<Vec<User>> for pb::BatchGetUsersResponse {
    fn from(rows: Vec<User>) -> Self {
        Self { users: rows.into_iter().map(user).collect() }
    }
}

/// Responses that carry the user.
macro_rules! of_user {
    ($($response:ty),*) => {
        $(impl From<User> for $response {
            fn from(row: User) -> Self {
                Self { user: Some(user(row)) }
            }
        })*
    };
}

of_user!(
    pb::CreateUserResponse,
    pb::GetUserResponse,
    pb::UpdateUserResponse,
    pb::SuspendUserResponse,
    pb::ActivateUserResponse,
    pb::DeleteUserResponse,
    pb::UndeleteUserResponse,
    pb::ScheduleUserDeletionResponse,
    pb::CancelUserDeletionResponse
);
