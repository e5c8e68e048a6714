//! What the tests of safety and operations share: an organization with its owner, refusals as code and reason, and everything that a database holds.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, Statement, TransactionTrait};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use crate::support::pb::create_organization_request::Owner;
use crate::support::pb::invitation_service_client::InvitationServiceClient;
use crate::support::pb::organization_service_client::OrganizationServiceClient;
use crate::support::pb::session_service_client::SessionServiceClient;
use crate::support::pb::{
    AcceptInvitationRequest, CreateInvitationRequest, CreateOrganizationRequest, CreateUserRequest, Invitation,
    NewUser, SignInRequest, SignUp,
};
use crate::support::world::World;

/// A password that the policy takes.
pub(crate) const PASSWORD: &str = "violet tractor under 9 moons";

/// An organization and its owner.
pub(crate) struct Team {
    pub(crate) organization_id: String,
    pub(crate) owner_id: String,
    /// The owner's session.
    pub(crate) owner: String,
}

impl Team {
    /// Founds an organization whose owner is `olga@example.com`.
    pub(crate) async fn found(world: &World) -> Self {
        Self::found_at(world, world.channel()).await
    }

    /// The same over another connection.
    pub(crate) async fn found_at(world: &World, channel: Channel) -> Self {
        let request = CreateOrganizationRequest {
            display_name: "Analytical Engines".to_owned(),
            owner: Some(Owner::NewOwner(NewUser {
                email: "olga@example.com".to_owned(),
                given_name: "Olga".to_owned(),
                password: PASSWORD.to_owned(),
                email_verified: true,
                ..NewUser::default()
            })),
            ..CreateOrganizationRequest::default()
        };
        let mut organizations = OrganizationServiceClient::new(channel.clone());
        let made = organizations.create_organization(world.as_operator(request)).await;
        let made = made.unwrap().into_inner();
        let request = credentials("olga@example.com", PASSWORD);
        let signed_in = SessionServiceClient::new(channel).sign_in(request).await.unwrap();
        Self {
            organization_id: made.organization.unwrap().organization_id,
            owner_id: made.owner_user_id,
            owner: signed_in.into_inner().session_token,
        }
    }

    /// An invitation of this address in the default role.
    pub(crate) fn invitation(&self, email: &str) -> CreateInvitationRequest {
        CreateInvitationRequest {
            organization_id: self.organization_id.clone(),
            email: email.to_owned(),
            ..CreateInvitationRequest::default()
        }
    }

    /// The owner invites an address; answers with the invitation and the token out of the mail.
    pub(crate) async fn invite(&self, world: &World, email: &str) -> (Invitation, String) {
        self.invite_at(world, world.channel(), email).await
    }

    /// The same over another connection.
    pub(crate) async fn invite_at(&self, world: &World, channel: Channel, email: &str) -> (Invitation, String) {
        let before = world.mailbox.tokens(email, "rin_").len();
        let request = world.as_session(&self.owner, self.invitation(email));
        let mut invitations = InvitationServiceClient::new(channel);
        let made = invitations.create_invitation(request).await.unwrap().into_inner();
        let token = world.mailbox.wait_for_token(email, "rin_", before + 1).await;
        settled(world).await;
        (made.invitation.unwrap(), token)
    }
}

/// Makes a user by the operator's hand and answers with the user's id.
pub(crate) async fn create_user(world: &World, email: &str, verified: bool) -> Result<String, Status> {
    let request = CreateUserRequest {
        email: email.to_owned(),
        given_name: "Ada".to_owned(),
        password: PASSWORD.to_owned(),
        email_verified: verified,
        ..CreateUserRequest::default()
    };
    let made = world.users().create_user(world.as_operator(request)).await?;
    Ok(made.into_inner().user.unwrap().user_id)
}

/// Signs in and answers with the session's token.
pub(crate) async fn sign_in(world: &World, email: &str, password: &str) -> Result<String, Status> {
    let request = credentials(email, password);
    Ok(world.sessions().sign_in(request).await?.into_inner().session_token)
}

/// An attempt to sign in.
pub(crate) fn credentials(email: &str, password: &str) -> SignInRequest {
    SignInRequest { email: email.to_owned(), password: password.to_owned(), ..SignInRequest::default() }
}

/// An acceptance by a new person.
pub(crate) fn signing_up(token: &str, password: &str) -> AcceptInvitationRequest {
    AcceptInvitationRequest {
        token: token.to_owned(),
        sign_up: Some(SignUp { given_name: "Bea".to_owned(), password: password.to_owned(), ..SignUp::default() }),
        ..AcceptInvitationRequest::default()
    }
}

/// An acceptance by whoever's session comes with it.
pub(crate) fn accepting(token: &str) -> AcceptInvitationRequest {
    AcceptInvitationRequest { token: token.to_owned(), ..AcceptInvitationRequest::default() }
}

/// The code and the reason of a refused call.
pub(crate) fn refusal<T: Debug>(outcome: Result<Response<T>, Status>) -> (Code, String) {
    let status = outcome.map(Response::into_inner).expect_err("the call was not refused");
    (status.code(), reason(&status))
}

/// The reason in a status.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The violated fields in a status.
pub(crate) fn violated(status: &Status) -> Vec<String> {
    let details = status.get_details_bad_request();
    let violations = details.map(|details| details.field_violations).unwrap_or_default();
    violations.into_iter().map(|found| found.field).collect()
}

/// When a status says to try again.
pub(crate) fn retry_delay(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}

/// Every row of every table, columns as the database writes them; bytes are in hexadecimal.
pub(crate) async fn dump(connection: &DatabaseConnection) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for table in tables(connection).await {
        let query = match connection.get_database_backend() {
            DbBackend::Postgres => format!("SELECT CAST(t AS text) AS line FROM \"{table}\" t ORDER BY 1"),
            _ => {
                let columns = columns(connection, &table).await;
                let quoted: Vec<String> = columns.iter().map(|column| format!("quote(\"{column}\")")).collect();
                format!("SELECT {} AS line FROM \"{table}\" ORDER BY 1", quoted.join(" || ' | ' || "))
            }
        };
        let lines = texts(connection, &query, "line").await;
        all.insert(table, lines);
    }
    all
}

/// The tables, in the order in which they were made.
pub(crate) async fn tables(connection: &DatabaseConnection) -> Vec<String> {
    let query = match connection.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT CAST(relname AS text) AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY oid"
        }
        _ => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid",
    };
    texts(connection, query, "name").await
}

/// The columns of a table, in order.
pub(crate) async fn columns(connection: &DatabaseConnection, table: &str) -> Vec<String> {
    let query = match connection.get_database_backend() {
        DbBackend::Postgres => format!(
            "SELECT CAST(attname AS text) AS name FROM pg_attribute WHERE attrelid = '\"{table}\"'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        ),
        _ => format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"),
    };
    texts(connection, &query, "name").await
}

/// One column of text.
pub(crate) async fn texts(connection: &DatabaseConnection, query: &str, column: &str) -> Vec<String> {
    let statement = Statement::from_string(connection.get_database_backend(), query);
    let rows = connection.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get("", column).unwrap()).collect()
}

/// Holds every organization's row (SQLite: the one writer's place), so that whoever wants to change one waits until this is rolled back.
pub(crate) async fn hold_organizations(world: &World) -> DatabaseTransaction {
    let held = world.database().begin().await.unwrap();
    held.execute_unprepared("UPDATE organizations SET revision = revision").await.unwrap();
    held
}

/// The value of a flag that the servers of this world are started with.
pub(crate) fn flag(world: &World, name: &str) -> String {
    let start = format!("--{name}=");
    let flags = world.flags();
    flags.iter().find_map(|flag| flag.strip_prefix(&start)).unwrap().to_owned()
}

/// The database's file; `None` on PostgreSQL.
pub(crate) fn sqlite_file(world: &World) -> Option<PathBuf> {
    flag(world, "database-url").strip_prefix("sqlite://").map(PathBuf::from)
}

/// Waits until no message is in the outbox any more: the worker notes a little later than the mail server has a message that it is sent.
pub(crate) async fn settled(world: &World) {
    let empty = async {
        while world.count("SELECT COUNT(*) AS n FROM outbox_messages WHERE state = 'queued'").await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("the outbox", empty).await;
}

/// Whether a call failed on its way, without an answer of the server.
pub(crate) fn never_answered(status: &Status) -> bool {
    std::error::Error::source(status).is_some_and(|source| source.is::<tonic::transport::Error>())
}

/// What comes of this, which must not take long.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let patience = Duration::from_secs(10);
    tokio::time::timeout(patience, future).await.unwrap_or_else(|_| panic!("{what}: nothing after {patience:?}"))
}
