//! A database with a large and a small organization, and servers on it, each in a process of its own.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use roster::grpc::pb::{
    CreateOrganizationRequest, CreateUserRequest, SignInRequest, create_organization_request::Owner,
    organization_service_client::OrganizationServiceClient, session_service_client::SessionServiceClient,
    user_service_client::UserServiceClient,
};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};

use crate::{Effort, postgres};

pub(crate) const PASSWORD: &str = "violet tractor under 9 moons";
pub(crate) const OWNER: &str = "owner@example.com";
const PROGRAM: &str = env!("CARGO_BIN_EXE_roster");

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

/// A server that runs.
pub(crate) struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(flags: &[String]) -> Self {
        let mut process = Command::new(PROGRAM)
            .arg("serve")
            .args(flags)
            .args(["--listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--log-format=json"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        let (told, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if line.contains("\"message\":\"serving\"") {
                    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
                    let _ = told.send(line["grpc"].as_str().unwrap().to_owned());
                }
            }
        });
        let address = address.recv_timeout(Duration::from_secs(60)).unwrap();
        Self { process, address: format!("http://{address}") }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) async fn connect(&self) -> Channel {
        let endpoint = Endpoint::from_shared(self.address.clone()).unwrap();
        endpoint.tcp_nodelay(true).connect().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An organization, its owner, and how its members are counted.
pub(crate) struct Team {
    pub(crate) organization_id: String,
    pub(crate) owner_id: String,
    /// The first part of the ids of its members.
    mark: u32,
}

impl Team {
    /// The id of a member, by number from 1.
    pub(crate) fn member(&self, number: usize) -> String {
        format!("{:08x}-0000-7000-8000-{number:012x}", self.mark)
    }
}

/// Everything that is measured at.
pub(crate) struct Site {
    pub(crate) database: Database,
    pub(crate) url: String,
    pub(crate) servers: Vec<Server>,
    pub(crate) key: String,
    pub(crate) large: Team,
    pub(crate) small: Team,
    pub(crate) session: String,
    /// The token of the last page of the large organization.
    pub(crate) last_page: tokio::sync::OnceCell<String>,
    flags: Vec<String>,
    _folder: tempfile::TempDir,
}

impl Site {
    pub(crate) async fn open(database: Database, effort: Effort) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match database {
            Database::Sqlite => format!("sqlite://{}/roster.db", folder.path().display()),
            Database::Postgres => {
                let cluster = postgres::shared().await.unwrap();
                cluster.create_database().await.unwrap().url
            }
        };
        let flags = vec![
            format!("--database-url={url}"),
            format!("--data-dir={}", folder.path().display()),
            "--secret-key=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned(),
        ];
        let first = Server::start(&flags);
        let key = Command::new(PROGRAM).args(["admin", "bootstrap-key", &flags[0]]).output().unwrap();
        let key = String::from_utf8(key.stdout).unwrap().trim().to_owned();
        let connection = postgres::connect(&url).await.unwrap();
        let channel = first.connect().await;
        let large = team(&channel, &key, &connection, OWNER, effort.members, 0xaaaa_0001).await;
        let small = team(&channel, &key, &connection, "small@example.com", 100, 0xaaaa_0002).await;
        if database == Database::Postgres {
            connection.execute_unprepared("VACUUM ANALYZE").await.unwrap();
        }
        let mut sessions = SessionServiceClient::new(channel.clone());
        let request = SignInRequest { email: OWNER.to_owned(), password: PASSWORD.to_owned(), ..Default::default() };
        let session = sessions.sign_in(request).await.unwrap().into_inner().session_token;
        // Filled behind its back: another server begins with what is there now.
        drop(first);
        let servers = vec![Server::start(&flags)];
        Self {
            database,
            url,
            servers,
            key,
            large,
            small,
            session,
            last_page: tokio::sync::OnceCell::new(),
            flags,
            _folder: folder,
        }
    }

    /// Starts one more server on the same database.
    pub(crate) fn another(&mut self) {
        self.servers.push(Server::start(&self.flags));
    }

    pub(crate) async fn close(self) {
        drop(self.servers);
    }
}

/// The message with the credential of who calls.
pub(crate) fn with<T>(credential: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {credential}").parse().unwrap());
    request
}

/// Founds an organization, and fills it with so many members, copies of its owner but for their role, straight in the database.
async fn team(
    channel: &Channel,
    key: &str,
    database: &DatabaseConnection,
    owner: &str,
    members: usize,
    mark: u32,
) -> Team {
    let request = CreateUserRequest {
        email: owner.to_owned(),
        given_name: "Ada".to_owned(),
        password: PASSWORD.to_owned(),
        email_verified: true,
        ..Default::default()
    };
    let user = UserServiceClient::new(channel.clone()).create_user(with(key, request)).await.unwrap();
    let owner_id = user.into_inner().user.unwrap().user_id;
    let request = CreateOrganizationRequest {
        display_name: "Acme".to_owned(),
        access_model: "default".to_owned(),
        owner: Some(Owner::OwnerUserId(owner_id.clone())),
        ..Default::default()
    };
    let made = OrganizationServiceClient::new(channel.clone()).create_organization(with(key, request)).await.unwrap();
    let team = Team { organization_id: made.into_inner().organization.unwrap().organization_id, owner_id, mark };
    fill(database, &team, members).await;
    team
}

async fn fill(database: &DatabaseConnection, team: &Team, members: usize) {
    let postgres = database.get_database_backend() == DbBackend::Postgres;
    let literal = |id: &str| match postgres {
        true => format!("'{id}'"),
        false => format!("X'{}'", id.replace('-', "")),
    };
    let (mark, owner) = (team.mark, literal(&team.owner_id));
    let (series, id) = match postgres {
        true => (
            format!("generate_series(1, {members}) AS s(n)"),
            format!("('{mark:08x}-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"),
        ),
        false => (
            format!(
                "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {members}) SELECT n FROM s)"
            ),
            format!("unhex(printf('{mark:08x}000070008000%012x', n))"),
        ),
    };
    let name = format!("'member-{mark:x}-' || n || '@example.com'");
    let sort_key = if postgres { format!("convert_to({name}, 'UTF8')") } else { format!("CAST({name} AS BLOB)") };
    for (table, owned) in [("users", "id"), ("members", "user_id"), ("role_holders", "user_id")] {
        let columns = columns(database, table).await;
        let values = columns.iter().map(|column| match column.as_str() {
            "id" | "user_id" => id.clone(),
            "email" | "email_key" => name.clone(),
            "sort_key" => sort_key.clone(),
            "role" => "'member'".to_owned(),
            "roles" => "'[\"member\"]'".to_owned(),
            other => format!("t.{other}"),
        });
        let values: Vec<String> = values.collect();
        let insert = format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {table} t, {series} WHERE t.{owned} = {owner}",
            columns.join(", "),
            values.join(", ")
        );
        database.execute_unprepared(&insert).await.unwrap();
    }
}

async fn columns(database: &DatabaseConnection, table: &str) -> Vec<String> {
    let backend = database.get_database_backend();
    let query = match backend {
        DbBackend::Postgres => format!(
            "SELECT column_name::text AS n FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = '{table}'"
        ),
        _ => format!("SELECT name AS n FROM pragma_table_info('{table}')"),
    };
    let rows = database.query_all_raw(Statement::from_string(backend, query)).await.unwrap();
    rows.iter().map(|row| row.try_get("", "n").unwrap()).collect()
}
