//! JoinLinkService.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use tonic::{Request, Response, Status};

use crate::{
    app::{
        etag,
        invitations::join_links::{
            self, Created,
            joining::{self, Joined, Preview},
        },
        records::JoinLink,
    },
    domain::text::DisplayName,
    grpc::{
        pb::{self, join_link_service_server::JoinLinkService},
        wire::{
            convert::{id, roles, timestamp},
            edge::Edge,
            fields::{ETAG, Fields, Parse, TOKEN},
        },
    },
};

/// Domains of one link at the most.
const DOMAINS: usize = 20;

#[tonic::async_trait]
impl JoinLinkService for Edge {
    async fn create_join_link(
        &self,
        request: Request<pb::CreateJoinLinkRequest>,
    ) -> Result<Response<pb::CreateJoinLinkResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn get_join_link(
        &self,
        request: Request<pb::GetJoinLinkRequest>,
    ) -> Result<Response<pb::GetJoinLinkResponse>, Status> {
        let (ctx, (organization, id)) = self.admit(request).await?;
        let link = join_links::get(&self.app, &ctx, organization, id).await?;
        Ok(Response::new(pb::GetJoinLinkResponse { join_link: Some(join_link(link, ctx.now)) }))
    }

    async fn list_join_links(
        &self,
        request: Request<pb::ListJoinLinksRequest>,
    ) -> Result<Response<pb::ListJoinLinksResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let page = join_links::list(&self.app, &ctx, query).await?;
        Ok(Response::new(page.map(|row| join_link(row, ctx.now)).await.into()))
    }

    async fn revoke_join_link(
        &self,
        request: Request<pb::RevokeJoinLinkRequest>,
    ) -> Result<Response<pb::RevokeJoinLinkResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn preview_join_link(
        &self,
        request: Request<pb::PreviewJoinLinkRequest>,
    ) -> Result<Response<pb::PreviewJoinLinkResponse>, Status> {
        let (ctx, token) = self.admit(request).await?;
        Ok(Response::new(joining::preview(&self.app, &ctx, token).await?.into()))
    }

    async fn join_organization(
        &self,
        request: Request<pb::JoinOrganizationRequest>,
    ) -> Result<Response<pb::JoinOrganizationResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }
}

impl Parse for pb::CreateJoinLinkRequest {
    type Command = join_links::Create;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let roles = fields.roles("roles", &self.roles);
        let expire_time = fields.future("expire_time", self.expire_time.as_ref());
        let max_uses = fields.not_negative("max_uses", self.max_uses.into());
        let email_domains = fields.domains("email_domains", &self.email_domains, DOMAINS);
        let display_name = fields.optional_text("display_name", &self.display_name, DisplayName::parse);
        Some(join_links::Create {
            organization_id: organization_id?,
            roles: roles?,
            expire_time: expire_time?,
            max_uses: max_uses.map(|_| Some(self.max_uses).filter(|most| *most > 0))?,
            email_domains: email_domains?.into_iter().collect(),
            display_name: display_name?,
            validate_only: self.validate_only,
        })
    }
}

impl Parse for pb::GetJoinLinkRequest {
    type Command = (uuid::Uuid, uuid::Uuid);

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization = fields.uuid("organization_id", &self.organization_id);
        let link = fields.uuid("join_link_id", &self.join_link_id);
        Some((organization?, link?))
    }
}

impl Parse for pb::ListJoinLinksRequest {
    type Command = join_links::List;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let page = fields.page(self);
        Some(join_links::List { organization_id: organization_id?, open_only: self.open_only, page: page? })
    }
}

impl Parse for pb::RevokeJoinLinkRequest {
    type Command = join_links::Revoke;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let organization_id = fields.uuid("organization_id", &self.organization_id);
        let join_link_id = fields.uuid("join_link_id", &self.join_link_id);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        Some(join_links::Revoke { organization_id: organization_id?, join_link_id: join_link_id?, etag: etag? })
    }
}

impl Parse for pb::PreviewJoinLinkRequest {
    type Command = SecretString;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.secret("token", &self.token, TOKEN)
    }
}

impl Parse for pb::JoinOrganizationRequest {
    type Command = joining::Join;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let token = fields.secret("token", &self.token, TOKEN);
        Some(joining::Join { token: token? })
    }
}

/// The link in the contract's terms, as it is at a time.
fn join_link(link: JoinLink, now: DateTime<Utc>) -> pb::JoinLink {
    pb::JoinLink {
        state: pb::JoinLinkState::from(link.status(now)).into(),
        join_link_id: link.id.to_string(),
        organization_id: link.organization_id.to_string(),
        display_name: link.display_name.unwrap_or_default(),
        roles: roles(&link.roles),
        max_uses: link.max_uses.unwrap_or_default(),
        use_count: link.use_count,
        email_domains: link.email_domains.iter().map(ToOwned::to_owned).collect(),
        expire_time: Some(timestamp(link.expire_time)),
        creator_user_id: id(link.creator_user_id),
        creator_service_account_id: id(link.creator_service_account_id),
        create_time: Some(timestamp(link.create_time)),
        revoke_time: link.revoke_time.map(timestamp),
        etag: etag(link.changed_revision),
    }
}

impl From<Created> for pb::CreateJoinLinkResponse {
    fn from(created: Created) -> Self {
        let now = created.link.create_time;
        let (token, link) = created.shown.unzip();
        Self {
            join_link: Some(join_link(created.link, now)),
            token: token.map(|token| token.expose().to_owned()).unwrap_or_default(),
            link: link.map(|link| link.expose_secret().to_owned()).unwrap_or_default(),
            revision: created.revision,
        }
    }
}

impl From<(JoinLink, i64)> for pb::RevokeJoinLinkResponse {
    fn from((link, revision): (JoinLink, i64)) -> Self {
        // Revoked, whatever the time.
        let now = link.create_time;
        Self { join_link: Some(join_link(link, now)), revision }
    }
}

impl From<Preview> for pb::PreviewJoinLinkResponse {
    fn from(preview: Preview) -> Self {
        Self {
            organization_id: preview.link.organization_id.to_string(),
            organization_display_name: preview.organization_name,
            role_display_names: preview.role_names,
            email_domains: preview.link.email_domains.iter().map(ToOwned::to_owned).collect(),
            expire_time: Some(timestamp(preview.link.expire_time)),
        }
    }
}

impl From<Joined> for pb::JoinOrganizationResponse {
    fn from(joined: Joined) -> Self {
        Self {
            user_id: joined.user_id.to_string(),
            organization_id: joined.organization_id.to_string(),
            organization_display_name: joined.organization_name,
            roles: roles(&joined.roles),
            revision: joined.revision,
        }
    }
}
