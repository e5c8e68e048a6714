//! ServiceAccountService.

use tonic::{Request, Response, Status};

use crate::{
    app::{
        call::paging::PageRequest,
        operators::service_accounts,
        records::{ServiceAccount, ServiceKey},
    },
    domain::{confinement::Confinement, scope::Scopes, text::ServiceAccountName, token::Token},
    grpc::{
        pb::{self, service_account_service_server::ServiceAccountService},
        wire::{
            convert::timestamp,
            edge::Edge,
            fields::{ETAG, Fields, Parse},
        },
    },
};

/// Scopes that one request may name.
const MAX_SCOPES: usize = 50;

/// Organizations that one account is confined to at the most.
const MAX_ORGANIZATIONS: usize = 50;

#[tonic::async_trait]
impl ServiceAccountService for Edge {
    async fn create_service_account(
        &self,
        request: Request<pb::CreateServiceAccountRequest>,
    ) -> Result<Response<pb::CreateServiceAccountResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn list_service_accounts(
        &self,
        request: Request<pb::ListServiceAccountsRequest>,
    ) -> Result<Response<pb::ListServiceAccountsResponse>, Status> {
        let (ctx, page) = self.admit(request).await?;
        let page = service_accounts::list(&self.app, &ctx, page).await?;
        Ok(Response::new(page.map(account).await.into()))
    }

    async fn update_service_account(
        &self,
        request: Request<pb::UpdateServiceAccountRequest>,
    ) -> Result<Response<pb::UpdateServiceAccountResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn disable_service_account(
        &self,
        request: Request<pb::DisableServiceAccountRequest>,
    ) -> Result<Response<pb::DisableServiceAccountResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn create_service_key(
        &self,
        request: Request<pb::CreateServiceKeyRequest>,
    ) -> Result<Response<pb::CreateServiceKeyResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }

    async fn list_service_keys(
        &self,
        request: Request<pb::ListServiceKeysRequest>,
    ) -> Result<Response<pb::ListServiceKeysResponse>, Status> {
        let (ctx, query) = self.admit(request).await?;
        let page = service_accounts::list_keys(&self.app, &ctx, query).await?;
        Ok(Response::new(page.map(key).await.into()))
    }

    async fn revoke_service_key(
        &self,
        request: Request<pb::RevokeServiceKeyRequest>,
    ) -> Result<Response<pb::RevokeServiceKeyResponse>, Status> {
        let (ctx, command) = self.admit(request).await?;
        Ok(Response::new(self.app.execute(&ctx, command).await?))
    }
}

impl Parse for pb::CreateServiceAccountRequest {
    type Command = service_accounts::Create;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let display_name = fields.text("display_name", &self.display_name, ServiceAccountName::parse);
        let scopes = scopes(fields, &self.scopes);
        let confinement = confinement(fields, &self.organization_ids);
        Some(service_accounts::Create {
            display_name: display_name?,
            scopes: scopes?,
            confinement: confinement?,
            validate_only: self.validate_only,
        })
    }
}

fn confinement(fields: &mut Fields<'_>, ids: &[String]) -> Option<Option<Confinement>> {
    fields.uuids("organization_ids", ids, MAX_ORGANIZATIONS).map(Confinement::to)
}

fn scopes(fields: &mut Fields<'_>, names: &[String]) -> Option<Scopes> {
    fields.items("scopes", names, MAX_SCOPES)?;
    if names.is_empty() {
        fields.violation("scopes", "is required");
    }
    for (index, name) in names.iter().enumerate() {
        if Scopes::parse([name.as_str()]).is_err() {
            fields.violation(&format!("scopes[{index}]"), "must be a scope, such as permissions.check");
        }
    }
    Scopes::parse(names.iter().map(String::as_str)).ok()
}

impl Parse for pb::ListServiceAccountsRequest {
    type Command = PageRequest;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.page(self)
    }
}

impl Parse for pb::UpdateServiceAccountRequest {
    type Command = service_accounts::Update;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        let mask =
            fields.mask(self.update_mask.as_ref(), self.service_account.as_ref(), &["service_account_id"], CHANGEABLE);
        let account = fields.required("service_account", self.service_account.as_ref())?;
        fields.within("service_account", |fields| {
            let id = fields.uuid("service_account_id", &account.service_account_id);
            let display_name = fields.changed(&mask, "display_name", |fields, field| {
                fields.text(field, &account.display_name, ServiceAccountName::parse)
            });
            let scopes = fields.changed(&mask, "scopes", |fields, _| scopes(fields, &account.scopes));
            let organizations =
                fields.changed(&mask, "organization_ids", |fields, _| confinement(fields, &account.organization_ids));
            Some(service_accounts::Update {
                service_account_id: id?,
                display_name: display_name?,
                scopes: scopes?,
                confinement: organizations?,
                etag: etag?,
                validate_only: self.validate_only,
            })
        })
    }
}

/// The fields that a mask may name.
const CHANGEABLE: &[&str] = &["display_name", "scopes", "organization_ids"];

impl Parse for pb::DisableServiceAccountRequest {
    type Command = service_accounts::Disable;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let service_account_id = fields.uuid("service_account_id", &self.service_account_id);
        let etag = fields.at_most("etag", &self.etag, ETAG);
        Some(service_accounts::Disable { service_account_id: service_account_id?, etag: etag? })
    }
}

impl Parse for pb::CreateServiceKeyRequest {
    type Command = service_accounts::CreateKey;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let service_account_id = fields.uuid("service_account_id", &self.service_account_id);
        let expire_time = fields.future("expire_time", self.expire_time.as_ref());
        Some(service_accounts::CreateKey {
            service_account_id: service_account_id?,
            expire_time: expire_time?,
            validate_only: self.validate_only,
        })
    }
}

impl Parse for pb::ListServiceKeysRequest {
    type Command = service_accounts::ListKeys;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        let service_account_id = fields.uuid("service_account_id", &self.service_account_id);
        let page = fields.page(self);
        Some(service_accounts::ListKeys { service_account_id: service_account_id?, page: page? })
    }
}

impl Parse for pb::RevokeServiceKeyRequest {
    type Command = service_accounts::RevokeKey;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Self::Command> {
        fields.request_id(&self.request_id);
        let service_account_id = fields.uuid("service_account_id", &self.service_account_id);
        let service_key_id = fields.uuid("service_key_id", &self.service_key_id);
        Some(service_accounts::RevokeKey { service_account_id: service_account_id?, service_key_id: service_key_id? })
    }
}

fn account(row: ServiceAccount) -> pb::ServiceAccount {
    pb::ServiceAccount {
        etag: service_accounts::etag(&row),
        service_account_id: row.id.to_string(),
        display_name: row.display_name,
        scopes: row.scopes.iter().map(ToOwned::to_owned).collect(),
        disabled: row.disabled,
        create_time: Some(timestamp(row.create_time)),
        organization_ids: row.organizations.iter().flat_map(Confinement::iter).map(|id| id.to_string()).collect(),
    }
}

fn key(row: ServiceKey) -> pb::ServiceKey {
    pb::ServiceKey {
        service_key_id: row.id.to_string(),
        service_account_id: row.service_account_id.to_string(),
        hint: row.hint,
        create_time: Some(timestamp(row.create_time)),
        expire_time: row.expire_time.map(timestamp),
        revoke_time: row.revoke_time.map(timestamp),
    }
}

impl From<ServiceAccount> for pb::CreateServiceAccountResponse {
    fn from(row: ServiceAccount) -> Self {
        Self { service_account: Some(account(row)) }
    }
}

impl From<ServiceAccount> for pb::UpdateServiceAccountResponse {
    fn from(row: ServiceAccount) -> Self {
        Self { service_account: Some(account(row)) }
    }
}

impl From<ServiceAccount> for pb::DisableServiceAccountResponse {
    fn from(row: ServiceAccount) -> Self {
        Self { service_account: Some(account(row)) }
    }
}

impl From<(ServiceKey, Option<Token>)> for pb::CreateServiceKeyResponse {
    fn from((row, token): (ServiceKey, Option<Token>)) -> Self {
        Self { service_key: Some(key(row)), key: token.map(|token| token.expose().to_owned()).unwrap_or_default() }
    }
}

impl From<ServiceKey> for pb::RevokeServiceKeyResponse {
    fn from(row: ServiceKey) -> Self {
        Self { service_key: Some(key(row)) }
    }
}
