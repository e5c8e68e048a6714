//! What an operator does from the command line. Everything goes over gRPC to a running server, so that it never goes behind a cache; only the key of
//! last resort is made in the database itself, and a restored database is cleared there before anybody may call.

mod audit;
mod import;
mod models;
mod restore;

use std::io::Write;

use secrecy::ExposeSecret;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use tonic_types::StatusExt;

use crate::{
    config::{AdminArgs, AdminCommand},
    grpc::pb::{
        self, delivery_service_client::DeliveryServiceClient, organization_service_client::OrganizationServiceClient,
        service_account_service_client::ServiceAccountServiceClient,
    },
    platform::{clock::Clock, entropy::Entropy},
    server,
};

/// Rows that are asked for at a time.
const PAGE: i32 = 500;

/// What came of a command that did what it could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Everything.
    All,
    /// Everything but some lines of a file, which were told.
    SomeRefused,
}

/// Does what the arguments say, and writes a line for each thing that it shows.
///
/// # Errors
/// A sentence for the operator.
pub async fn run(arguments: &AdminArgs, out: &mut (impl Write + Send)) -> Result<Done, String> {
    match &arguments.command {
        AdminCommand::BootstrapKey(database) => {
            let key = server::bootstrap_key(database, &Clock::system(), &Entropy::system()).await;
            line(out, key.map_err(|error| error.to_string())?.expose_secret())
        }
        AdminCommand::AfterRestore(arguments) => {
            let restored = server::after_restore(arguments, &Clock::system(), &Entropy::system()).await;
            restore::show(&restored.map_err(|error| error.to_string())?, arguments.revoke_invitations, out)
        }
        AdminCommand::Organizations => Operator::connect(arguments).await?.organizations(out).await,
        AdminCommand::ServiceAccounts => Operator::connect(arguments).await?.service_accounts(out).await,
        AdminCommand::CreateKey { name, scopes, organizations } => {
            Operator::connect(arguments).await?.create_key(name, scopes, organizations, out).await
        }
        AdminCommand::RevokeKey { account, key } => {
            Operator::connect(arguments).await?.revoke_key(account, key, out).await
        }
        AdminCommand::Messages { failed } => Operator::connect(arguments).await?.messages(*failed, out).await,
        AdminCommand::RetryMessages { messages } => Operator::connect(arguments).await?.retry(messages, out).await,
        AdminCommand::PutModel { file, validate_only } => {
            Operator::connect(arguments).await?.put_model(file, *validate_only, out).await
        }
        AdminCommand::Import(file) => return import::run(&Operator::connect(arguments).await?, file, out).await,
        AdminCommand::Verify { organizations } => Operator::connect(arguments).await?.verify(organizations, out).await,
    }?;
    Ok(Done::All)
}

struct Operator {
    channel: Channel,
    authorization: MetadataValue<Ascii>,
}

impl Operator {
    async fn connect(arguments: &AdminArgs) -> Result<Self, String> {
        let key = arguments.operator_key()?;
        let authorization = format!("Bearer {}", key.expose_secret());
        let mut authorization: MetadataValue<Ascii> =
            authorization.parse().map_err(|_| "the operator key is not a key".to_owned())?;
        authorization.set_sensitive(true);
        let unreachable = |error: tonic::transport::Error| format!("{}: {error}", arguments.endpoint);
        let mut endpoint = Endpoint::from_shared(arguments.endpoint.clone()).map_err(unreachable)?;
        if arguments.endpoint.starts_with("https:") {
            let tls = match &arguments.tls_ca {
                Some(file) => {
                    let pem = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
                    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
                }
                None => ClientTlsConfig::new().with_webpki_roots(),
            };
            endpoint = endpoint.tls_config(tls).map_err(unreachable)?;
        }
        Ok(Self { channel: endpoint.connect().await.map_err(unreachable)?, authorization })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        request
    }

    async fn organizations(&self, out: &mut impl Write) -> Result<(), String> {
        let mut page_token = String::new();
        loop {
            let page = self.organizations_page(page_token).await?;
            for row in page.organizations {
                let state = row.state().as_str_name().trim_start_matches("ORGANIZATION_STATE_").to_owned();
                line(out, &[row.organization_id, state, row.access_model, row.display_name].join("\t"))?;
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(());
            }
        }
    }

    async fn organizations_page(&self, page_token: String) -> Result<pb::ListOrganizationsResponse, String> {
        let request = self.request(pb::ListOrganizationsRequest {
            page_size: PAGE,
            page_token,
            ..pb::ListOrganizationsRequest::default()
        });
        let mut client = OrganizationServiceClient::new(self.channel.clone());
        Ok(client.list_organizations(request).await.map_err(sentence)?.into_inner())
    }

    async fn service_accounts(&self, out: &mut impl Write) -> Result<(), String> {
        let mut client = ServiceAccountServiceClient::new(self.channel.clone());
        let mut page_token = String::new();
        loop {
            let request =
                self.request(pb::ListServiceAccountsRequest { page_size: PAGE, page_token, include_total_size: false });
            let page = client.list_service_accounts(request).await.map_err(sentence)?.into_inner();
            for row in page.service_accounts {
                let state = if row.disabled { "DISABLED" } else { "ACTIVE" };
                let fields = [&row.service_account_id, state, &row.scopes.join(","), &row.display_name];
                line(out, &fields.join("\t"))?;
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(());
            }
        }
    }

    async fn create_key(
        &self,
        name: &str,
        scopes: &[String],
        organizations: &[String],
        out: &mut impl Write,
    ) -> Result<(), String> {
        let mut client = ServiceAccountServiceClient::new(self.channel.clone());
        let account = self.request(pb::CreateServiceAccountRequest {
            display_name: name.to_owned(),
            scopes: scopes.to_vec(),
            request_id: String::new(),
            validate_only: false,
            organization_ids: organizations.to_vec(),
        });
        let account = client.create_service_account(account).await.map_err(sentence)?.into_inner();
        let account = account.service_account.unwrap_or_default();
        let key = self.request(pb::CreateServiceKeyRequest {
            service_account_id: account.service_account_id,
            expire_time: None,
            request_id: String::new(),
            validate_only: false,
        });
        let key = client.create_service_key(key).await.map_err(sentence)?.into_inner();
        line(out, &key.key)
    }

    async fn revoke_key(&self, account: &str, key: &str, out: &mut impl Write) -> Result<(), String> {
        let mut client = ServiceAccountServiceClient::new(self.channel.clone());
        let request = self.request(pb::RevokeServiceKeyRequest {
            service_account_id: account.to_owned(),
            service_key_id: key.to_owned(),
            request_id: String::new(),
        });
        client.revoke_service_key(request).await.map_err(sentence)?;
        line(out, &format!("{key}\tREVOKED"))
    }

    async fn messages(&self, failed: bool, out: &mut impl Write) -> Result<(), String> {
        let mut client = DeliveryServiceClient::new(self.channel.clone());
        let states = if failed { vec![pb::DeliveryState::Failed.into()] } else { Vec::new() };
        let mut page_token = String::new();
        loop {
            let request = self.request(pb::ListMessagesRequest {
                page_size: PAGE,
                page_token,
                states: states.clone(),
                ..pb::ListMessagesRequest::default()
            });
            let page = client.list_messages(request).await.map_err(sentence)?.into_inner();
            for row in page.messages {
                let attempts = row.attempts.to_string();
                let fields = [&row.message_id, state(&row), &attempts, &row.recipient, &row.last_error];
                line(out, &fields.join("\t"))?;
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(());
            }
        }
    }

    async fn retry(&self, messages: &[String], out: &mut impl Write) -> Result<(), String> {
        let mut client = DeliveryServiceClient::new(self.channel.clone());
        for id in messages {
            let request = self.request(pb::RetryMessageRequest { message_id: id.clone(), request_id: String::new() });
            let row = client.retry_message(request).await.map_err(sentence)?.into_inner();
            line(out, &[id, state(&row.message.unwrap_or_default())].join("\t"))?;
        }
        Ok(())
    }
}

fn state(message: &pb::Message) -> &'static str {
    message.state().as_str_name().trim_start_matches("DELIVERY_STATE_")
}

/// A refusal as a sentence: the message, the reason, and every violated field.
fn sentence(status: Status) -> String {
    let details = status.get_error_details();
    let reason = details.error_info().map_or_else(String::new, |info| format!(" ({})", info.reason));
    let fields: Vec<String> = details
        .bad_request()
        .map(|bad| bad.field_violations.iter().map(|one| format!("\n  {}: {}", one.field, one.description)).collect())
        .unwrap_or_default();
    format!("{}{reason}{}", status.message(), fields.concat())
}

fn line(out: &mut impl Write, text: &str) -> Result<(), String> {
    writeln!(out, "{text}").map_err(|error| error.to_string())
}
