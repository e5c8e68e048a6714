//! The schema's migrations on databases with rows in them: forwards, again without effect, and from every earlier version.
//!
//! `schemas/` holds, for each migration, the rows of a database of that version, as the service wrote them (`UPDATE_GOLDEN=1` writes those of the
//! newest, and never touches those of an earlier one). A later migration is tested by bringing each of them forward: a migration that fails on rows, loses
//! one, or leaves something that the service cannot read, fails here before it reaches anybody's database.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use roster_migrations::Migrator;
use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};
use sea_orm_migration::MigratorTrait;

use crate::support::contents::{columns, dump, tables, texts};
use crate::support::mailbox::Fault;
use crate::support::pb::audit_service_client::AuditServiceClient;
use crate::support::pb::member_service_client::MemberServiceClient;
use crate::support::pb::organization_service_client::OrganizationServiceClient;
use crate::support::pb::session_service_client::SessionServiceClient;
use crate::support::pb::user_service_client::UserServiceClient;
use crate::support::pb::{
    ListMembersRequest, ListOrganizationsRequest, ListUsersRequest, MemberState, VerifyUserAuditChainRequest,
};
use crate::support::postgres;
use crate::support::process::{Process, run};
use crate::support::scenario::{PASSWORD, Scenario, call, create_user, credentials};
use crate::support::waiting::all_sent;
use crate::support::world::World;

/// What sealed the rows of the checked-in databases: a key for tests that is nobody's.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The owner in the checked-in databases.
const OWNER: &str = "olga@example.com";

/// The names of all migrations, oldest first.
fn versions() -> Vec<String> {
    Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect()
}

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/schemas")
}

fn file(version: &str, backend: DbBackend) -> PathBuf {
    let database = if backend == DbBackend::Postgres { "postgres" } else { "sqlite" };
    schemas().join(version).join(format!("{database}.sql"))
}

/// A database's rows as statements, tables in the order in which they were made, so that what is referred to comes first.
pub(crate) async fn inserts(connection: &DatabaseConnection) -> String {
    let mut text = String::new();
    for table in tables(connection).await.into_iter().filter(|table| table != "seaql_migrations") {
        let columns = columns(connection, &table).await;
        let names: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
        let values: Vec<String> = columns
            .iter()
            .map(|column| match connection.get_database_backend() {
                DbBackend::Postgres => format!("quote_nullable(CAST(\"{column}\" AS text))"),
                _ => format!("quote(\"{column}\")"),
            })
            .collect();
        let query = format!("SELECT {} AS line FROM \"{table}\" ORDER BY 1", values.join(" || ', ' || "));
        for line in texts(connection, &query, "line").await {
            text.push_str(&format!("INSERT INTO \"{table}\" ({}) VALUES ({line});\n", names.join(", ")));
        }
    }
    text
}

/// How many rows each table has.
async fn counts(connection: &DatabaseConnection) -> BTreeMap<String, usize> {
    dump(connection).await.into_iter().map(|(table, rows)| (table, rows.len())).collect()
}

/// Rows of every kind: an organization with an owner, a second member, invitations pending, accepted and revoked, mail sent, failed and queued, a replay.
async fn fill(world: &World) -> Scenario {
    use crate::support::pb::{
        CreateServiceAccountRequest, Organization, RevokeInvitationRequest, UpdateOrganizationRequest,
    };

    let team = Scenario::with(world, "default", "", OWNER).await;
    let organization = Organization {
        organization_id: team.organization_id.clone(),
        display_name: "Analytical Engines".to_owned(),
        ..Default::default()
    };
    let request = UpdateOrganizationRequest { organization: Some(organization), ..Default::default() };
    call!(world, organizations.update_organization, world.operator_key(), request).unwrap();
    create_user(world, "Zo\u{eb}@B\u{fc}cher.example").await;
    let (_, token) = team.invited_by(&team.owner.session, "bea@example.com", &[]).await;
    world.invitations().accept_invitation(crate::support::scenario::signing_up(&token, PASSWORD)).await.unwrap();
    team.invited_by(&team.owner.session, "pending@example.com", &[]).await;
    let (invitation, _) = team.invited_by(&team.owner.session, "revoked@example.com", &[]).await;
    let request = RevokeInvitationRequest {
        organization_id: team.organization_id.clone(),
        invitation_id: invitation.invitation_id,
        ..Default::default()
    };
    world.invitations().revoke_invitation(world.as_session(&team.owner.session, request)).await.unwrap();
    let scopes = vec!["users.read".to_owned()];
    let request = CreateServiceAccountRequest {
        display_name: "O'Neil's \"portal\"".to_owned(),
        scopes,
        request_id: uuid::Uuid::nil().to_string(),
        ..CreateServiceAccountRequest::default()
    };
    world.service_accounts().create_service_account(world.as_operator(request)).await.unwrap();
    world.mailbox.inject(Fault::Reject("gone@example.com".to_owned()));
    world
        .invitations()
        .create_invitation(world.as_session(&team.owner.session, team.invitation("gone@example.com")))
        .await
        .unwrap();
    all_sent(world).await;
    team
}

/// `roster migrate` on a database of this version with rows in it changes nothing, however often, also while a server uses it.
#[wire_test]
async fn migrating_again_changes_nothing(world: World) {
    let team = fill(&world).await;
    let before = dump(world.database()).await;
    assert!(before.values().filter(|rows| !rows.is_empty()).count() >= 10, "{:?}", counts(world.database()).await);
    let url = format!("--database-url={}", world.flag("database-url"));
    for _ in 0..2 {
        let ended = run(&["migrate", &url], &[]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    assert_eq!(dump(world.database()).await, before);
    let request = world
        .as_session(&team.owner.session, crate::support::pb::GetUserRequest { user_id: team.owner.user_id.clone() });
    world.users().get_user(request).await.unwrap();
}

/// Two who migrate an empty database at once do so once, and both succeed.
#[wire_test]
async fn two_migrations_at_once_are_one(world: World) {
    let empty = Empty::make(&world).await;
    let url = format!("--database-url={}", empty.url);
    let (first, second) = (Process::start(&["migrate", &url], &[]), Process::start(&["migrate", &url], &[]));
    for process in [first, second] {
        let ended = process.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    let connection = postgres::connect(&empty.url).await.unwrap();
    assert_eq!(texts(&connection, "SELECT version AS n FROM seaql_migrations ORDER BY version", "n").await, versions());
    let _ = connection.close().await;
    empty.remove().await;
}

/// Every earlier version's rows are brought forward, one migration after the other as it was released, and served: same people, same passwords, same
/// organizations, and no row lost.
#[wire_test]
async fn every_earlier_version_is_brought_forward(world: World) {
    let backend = world.database().get_database_backend();
    let newest = versions().pop().unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        world.restart_with(&[("secret-key", KEY)]).await;
        fill(&world).await;
        let file = file(&newest, backend);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, inserts(world.database()).await).unwrap();
    }
    for (number, version) in versions().into_iter().enumerate() {
        let file = file(&version, backend);
        let rows = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}; UPDATE_GOLDEN=1 writes the newest version's", file.display()));
        let empty = Empty::make(&world).await;
        let connection = postgres::connect(&empty.url).await.unwrap();
        Migrator::up(&connection, Some(u32::try_from(number).unwrap() + 1)).await.unwrap();
        // What a migration writes by itself is among the rows as it was then.
        for table in tables(&connection).await.into_iter().filter(|table| table != "seaql_migrations") {
            connection.execute_unprepared(&format!("DELETE FROM \"{table}\"")).await.unwrap();
        }
        connection.execute_unprepared(&rows).await.unwrap();
        let mut before = counts(&connection).await;
        // What happened to users is moved to where everything else is.
        let moved = before.insert("user_events".to_owned(), 0).unwrap_or_default();
        *before.entry("events".to_owned()).or_default() += moved;
        // A head comes with each stream: the service verifies them below.
        before.remove("stream_heads");
        let ended = run(&["migrate", &format!("--database-url={}", empty.url)], &[]).await;
        assert_eq!(ended.code, Some(0), "{version}: {}", ended.stderr);
        let after = counts(&connection).await;
        for (table, count) in before.iter().filter(|(table, _)| *table != "seaql_migrations") {
            assert_eq!(after.get(table), Some(count), "{version}: rows of {table}");
        }
        let strays = "SELECT h.role AS n FROM role_holders h JOIN members m ON m.organization_id = h.organization_id AND m.user_id = h.user_id WHERE m.state <> h.state OR m.sort_key <> h.sort_key";
        assert_eq!(
            texts(&connection, strays, "n").await,
            [""; 0],
            "{version}: holders that are not what their members are"
        );
        serve(&world, &empty.url, &version).await;
        let _ = connection.close().await;
        empty.remove().await;
    }
}

/// ab_38: what was deleted before the state from before was kept comes back as it was, too: the record of the deletion says it.
#[wire_test]
async fn ab_38_what_was_deleted_by_an_earlier_version_comes_back_as_it_was(world: World) {
    let backend = world.database().get_database_backend();
    let empty = Empty::make(&world).await;
    let connection = postgres::connect(&empty.url).await.unwrap();
    let known = versions().iter().position(|version| version == "m20261122_000010_invited_names").unwrap() + 1;
    Migrator::up(&connection, Some(u32::try_from(known).unwrap())).await.unwrap();
    let rows = std::fs::read_to_string(file("m20261122_000010_invited_names", backend)).unwrap();
    connection.execute_unprepared(&rows).await.unwrap();
    for statement in [
        "INSERT INTO events (organization_id, revision, kind, data, hash, create_time) SELECT organization_id, 9, 'organization.deleted', '{\"after\":\"deleted\",\"before\":\"suspended\"}', hash, create_time FROM events WHERE revision = 8",
        // Whoever was deleted in an organization that was deleted before has an event after that.
        "INSERT INTO events (organization_id, revision, kind, data, hash, create_time) SELECT organization_id, 10, 'member.account_deleted', '{\"after\":\"deleted\",\"before\":\"active\"}', hash, create_time FROM events WHERE revision = 8",
        "UPDATE organizations SET state = 'deleted', revision = 10, changed_revision = 9",
        "INSERT INTO user_events (user_id, revision, kind, data, create_time) SELECT id, 7, 'user.deleted', '{\"after\":\"deleted\",\"before\":\"active\"}', create_time FROM users WHERE email = 'bea@example.com'",
        "INSERT INTO user_events (user_id, revision, kind, data, create_time) SELECT id, 9, 'user.deleted', '{\"after\":\"deleted\",\"before\":\"suspended\"}', create_time FROM users WHERE email = 'bea@example.com'",
        "INSERT INTO user_events (user_id, revision, kind, data, create_time) SELECT id, 7, 'user.deleted', '{\"after\":\"deleted\",\"before\":\"active\"}', create_time FROM users WHERE email LIKE 'Zo%'",
        "UPDATE users SET state = 'deleted', revision = 9 WHERE email <> 'olga@example.com'",
    ] {
        connection.execute_unprepared(statement).await.unwrap();
    }
    let ended = run(&["migrate", &format!("--database-url={}", empty.url)], &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let state = "COALESCE(state_before_deletion, 'none') AS n";
    assert_eq!(texts(&connection, &format!("SELECT {state} FROM organizations"), "n").await, ["suspended"]);
    assert_eq!(
        texts(&connection, &format!("SELECT {state} FROM users ORDER BY email_key"), "n").await,
        ["suspended", "none", "active"]
    );
    let _ = connection.close().await;
    empty.remove().await;
}

/// ab_34: of accounts from before it was noted, those have chosen their password by a link that signed up by one, or have reset it and have nothing older; of all others it is not
/// known, and their next reset takes away what was there before.
#[wire_test]
async fn ab_34_who_has_chosen_a_password_by_a_link_is_found(world: World) {
    const OLGA: &str = "(SELECT id FROM users WHERE email = 'olga@example.com')";
    const ZOE: &str = "(SELECT id FROM users WHERE email LIKE 'Zo%')";
    let before = versions().iter().position(|name| name.contains("ways_in")).unwrap();
    let rows = std::fs::read_to_string(file(&versions()[before - 1], world.database().get_database_backend())).unwrap();
    let (reset, older, newer) = ("2030-01-02 00:00:00+00:00", "2030-01-01 00:00:00+00:00", "2030-01-03 00:00:00+00:00");
    let identity = |of: &str, subject: &str, time: &str| {
        format!(
            "INSERT INTO identities (id, user_id, issuer, subject, create_time) SELECT {of}, {of}, 'i', '{subject}', '{time}'"
        )
    };
    let event = |of: &str, revision: i64, kind: &str, time: &str| {
        format!(
            "INSERT INTO user_events (user_id, revision, kind, data, create_time) SELECT {of}, {revision}, '{kind}', '{{}}', '{time}'"
        )
    };
    for (changes, expected) in [
        (vec![], vec!["bea@example.com"]),
        (
            vec![event(OLGA, 900, "user.password_reset", reset), identity(OLGA, "1", newer)],
            vec!["bea@example.com", OWNER],
        ),
        (
            vec![event(OLGA, 900, "user.password_reset", reset), event(OLGA, 901, "user.email_changed", newer)],
            vec!["bea@example.com"],
        ),
        (vec![event(ZOE, 900, "user.password_reset", reset), identity(ZOE, "1", older)], vec!["bea@example.com"]),
    ] {
        let empty = Empty::make(&world).await;
        let connection = postgres::connect(&empty.url).await.unwrap();
        Migrator::up(&connection, Some(u32::try_from(before).unwrap())).await.unwrap();
        connection.execute_unprepared(&rows).await.unwrap();
        for change in &changes {
            connection.execute_unprepared(change).await.unwrap();
        }
        Migrator::up(&connection, None).await.unwrap();
        let proven =
            texts(&connection, "SELECT email AS n FROM users WHERE proof_time IS NOT NULL ORDER BY email", "n").await;
        assert_eq!(proven, expected, "{changes:?}");
        let _ = connection.close().await;
        empty.remove().await;
    }
}

/// No migration disappears or changes its name once its rows are checked in: a database that has it could not be brought forward any more.
#[wire_test]
async fn a_released_migration_stays(_world: World) {
    for entry in std::fs::read_dir(schemas()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(versions().contains(&name), "there is no migration {name} any more");
    }
}

/// Serves a database that was brought forward, and finds in it what was put there.
async fn serve(world: &World, url: &str, version: &str) {
    let mut flags = world.flags();
    flags.retain(|flag| {
        !["--database-url=", "--secret-key=", "--smtp-url="].iter().any(|start| flag.starts_with(start))
    });
    let data = tempfile::tempdir().unwrap();
    flags.extend([
        format!("--database-url={url}"),
        format!("--secret-key={KEY}"),
        format!("--data-dir={}", data.path().display()),
    ]);
    let (process, addresses) = Process::serve(&flags, &[]).await;
    let mut sessions = SessionServiceClient::new(addresses.channel());
    for email in [OWNER, "bea@example.com", "zo\u{eb}@xn--bcher-kva.example"] {
        sessions
            .sign_in(credentials(email, PASSWORD))
            .await
            .unwrap_or_else(|status| panic!("{version}: {email}: {status}"));
    }
    let key = run(&["admin", "bootstrap-key", &format!("--database-url={url}")], &[]).await.stdout;
    let list = OrganizationServiceClient::new(addresses.channel())
        .list_organizations(world.as_service(key.trim(), ListOrganizationsRequest::default()))
        .await;
    let organizations = list.unwrap().into_inner().organizations;
    let names: Vec<&str> = organizations.iter().map(|organization| organization.display_name.as_str()).collect();
    assert_eq!(names, ["Analytical Engines"], "{version}");
    for (role, holders) in [("owner", [OWNER]), ("member", ["bea@example.com"])] {
        let request = ListMembersRequest {
            organization_id: organizations[0].organization_id.clone(),
            states: vec![MemberState::Active.into()],
            role: role.to_owned(),
            ..ListMembersRequest::default()
        };
        let roster =
            MemberServiceClient::new(addresses.channel()).list_members(world.as_service(key.trim(), request)).await;
        let roster = roster.unwrap().into_inner().members;
        let emails: Vec<&str> = roster.iter().map(|row| row.email.as_str()).collect();
        assert_eq!(emails, holders, "{version}: {role}");
    }
    let users = UserServiceClient::new(addresses.channel())
        .list_users(world.as_service(key.trim(), ListUsersRequest::default()))
        .await;
    let users = users.unwrap().into_inner().users;
    assert_eq!(users.len(), 3, "{version}");
    // What was recorded of them is whole, and began with them or before this was recorded.
    for user in users {
        let request = VerifyUserAuditChainRequest { user_id: user.user_id, ..Default::default() };
        let found = AuditServiceClient::new(addresses.channel())
            .verify_user_audit_chain(world.as_service(key.trim(), request))
            .await;
        assert!(found.unwrap().into_inner().intact, "{version}");
    }
    let ended = process.stop().await;
    assert!(!ended.stderr.contains("\"level\":\"ERROR\""), "{version}: {}", ended.stderr);
}

/// A database without a schema.
struct Empty {
    url: String,
    folder: Option<tempfile::TempDir>,
}

impl Empty {
    async fn make(world: &World) -> Self {
        if world.database().get_database_backend() != DbBackend::Postgres {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}?mode=rwc", folder.path().join("roster.db").display());
            return Self { url, folder: Some(folder) };
        }
        let name = format!("empty_{}", roster::platform::Entropy::system().uuid(world.clock.now()).simple());
        admin(&format!("CREATE DATABASE {name}")).await;
        Self { url: postgres::shared().await.unwrap().url(&name), folder: None }
    }

    async fn remove(self) {
        if self.folder.is_none() {
            let name = self.url.rsplit('/').next().unwrap();
            admin(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

async fn admin(statement: &str) {
    let connection = postgres::connect(&postgres::shared().await.unwrap().url("postgres")).await.unwrap();
    connection.execute_unprepared(statement).await.unwrap();
    let _ = connection.close().await;
}
